"""Joined requests get what they would get alone."""

import os
import threading

import numpy as np
import pytest
import tensorflow as tf
from tiny_model import inputs_of

from serving.joining import SMALLEST_HALF, check_rows, halves, join, joining_key, split
from serving.loaded_model import LoadedModel

OUTPUTS = ("candidate_ids", "positive", "scores")


@pytest.fixture(scope="module")
def model(saved) -> LoadedModel:
    # As many threads for an operation as the server gives one.
    return LoadedModel(saved / "1", run_threads=1)


def _arrays(**changes) -> dict[str, np.ndarray]:
    return {name: np.asarray(tensor) for name, tensor in inputs_of(**changes).items()}


def _key(model, padding=True, **changes):
    return joining_key(model.signature("recommend"), _arrays(**changes), OUTPUTS, padding)


def test_requests_of_different_widths_are_padded_and_answered_as_if_alone(model):
    signature = model.signature("recommend")
    requests = [
        _arrays(users=("ada",), history=("c7", "c9")),
        _arrays(users=("bob", "cyd"), exclude=("c0",)),
        _arrays(users=("dee",), history=("c3",), exclude=("c3", "c1", "c2")),
    ]
    keys = {joining_key(signature, request, OUTPUTS, True) for request in requests}
    assert len(keys) == 1 and None not in keys
    rows = [check_rows(signature, request) for request in requests]
    joined = split(model.run(signature, join(signature, requests), OUTPUTS), rows)
    for request, outputs in zip(requests, joined, strict=True):
        alone = model.run(signature, request, OUTPUTS)
        for name in OUTPUTS:
            np.testing.assert_array_equal(outputs[name], alone[name])


def test_only_what_padding_leaves_as_it_is_may_differ(model):
    assert _key(model) == _key(model, history=("c1",), users=("x", "y"))
    assert _key(model) != _key(model, k=4)
    assert _key(model) != _key(model, tags=tf.constant([["a"]]))
    # Another power of two: a wide request does not make the others wide.
    assert _key(model) != _key(model, exclude=("c1",) * 65)
    assert _key(model, padding=False) != _key(model, padding=False, history=("c1",))


def test_a_request_that_padding_would_make_right_is_run_alone(model):
    assert _key(model, history=("c1",), history_age=tf.zeros([1, 2])) is None
    assert _key(model, age=tf.constant([1.0, 2.0])) is None


def test_a_signature_whose_outputs_have_no_rows_is_not_joined(model):
    signature = model.signature("slow")
    inputs = {"x": np.zeros([1], np.float32), "rounds": np.array(1, np.int32)}
    assert joining_key(signature, inputs, ("same",), True) is not None
    fixed = {"same": signature.outputs["same"].__class__("same", tf.float32, (1,), "same:0")}
    alone = signature.__class__("slow", signature.inputs, fixed)
    assert joining_key(alone, inputs, ("same",), True) is None


def test_outputs_with_other_rows_are_not_taken_apart():
    with pytest.raises(ValueError, match="output 'x' has 2 rows, expected 3"):
        split({"x": np.zeros([2])}, [1, 2])


def test_a_request_of_many_rows_is_answered_in_halves_as_each_row_alone(model):
    signature = model.signature("recommend")
    count = 2 * SMALLEST_HALF + 1
    users, histories = (tuple(f"{letter}{number % 40}" for number in range(count)) for letter in ("u", "c"))
    asked = _arrays(users=users, history=("",))
    asked["history"] = np.array(histories, dtype=object)[:, np.newaxis]
    first, last = halves(signature, asked, OUTPUTS)
    assert (check_rows(signature, first), check_rows(signature, last)) == (SMALLEST_HALF, SMALLEST_HALF + 1)
    together = model.run(signature, asked, OUTPUTS)
    if os.cpu_count() > 1:
        assert any(thread.name.startswith("second-half") for thread in threading.enumerate())
    one_by_one = split(together, [1] * count)
    for number in (0, SMALLEST_HALF - 1, SMALLEST_HALF, count - 1):
        alone = model.run(signature, {**asked, **_row(signature, asked, number)}, OUTPUTS)
        for name in OUTPUTS:
            np.testing.assert_array_equal(one_by_one[number][name], alone[name])


def test_only_a_large_request_whose_rows_agree_is_halved(model):
    signature = model.signature("recommend")
    large = _arrays(users=("ada",) * 2 * SMALLEST_HALF)
    assert halves(signature, large, OUTPUTS) is not None
    assert halves(signature, _arrays(users=("ada",) * (2 * SMALLEST_HALF - 1)), OUTPUTS) is None
    assert halves(signature, {**large, "age": large["age"][1:]}, OUTPUTS) is None


def _row(signature, inputs, number):
    return {name: inputs[name][number : number + 1] for name in signature.row_inputs}
