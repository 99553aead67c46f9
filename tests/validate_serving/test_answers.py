"""What is a good answer, on arrays written down by hand."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.validate_serving.answers import complaints
from serving.tensors import Signature, Spec

NAN, INF = float("nan"), float("inf")
CATALOGUE = pa.array(["a", "b", "c"])


def spec(name, dtype, shape):
    return Spec(name, dtype, shape, f"{name}:0")


LISTS = Signature(
    "recommend",
    {"user": spec("user", tf.string, (None,)), "k": spec("k", tf.int32, ())},
    {
        "candidate_ids": spec("candidate_ids", tf.string, (None, None)),
        "scores": spec("scores", tf.float32, (None, None)),
        "positive": spec("positive", tf.float32, (None, None)),
    },
)
RANK = Signature(
    "rank",
    {"candidate_ids": spec("candidate_ids", tf.string, (None, None))},
    {"positive": spec("positive", tf.float32, (None, None))},
)
EMBED = Signature(
    "embed_query",
    {"user": spec("user", tf.string, (None,))},
    {"embedding": spec("embedding", tf.float32, (None, 2))},
)


def strings(*rows):
    return np.array([[text.encode() for text in row] for row in rows], object)


def floats(*rows):
    return np.array(rows, np.float32)


def lists(ids=("c", "a"), scores=(2.0, 1.0), positive=(0.5, 0.25), k=2, **asked):
    """What is wrong with one list."""
    inputs = {"user": np.array([b""], object), "k": np.array(k, np.int32), **asked}
    outputs = {"candidate_ids": strings(ids), "scores": floats(scores), "positive": floats(positive)}
    return complaints(LISTS, inputs, outputs, CATALOGUE)


EMPTY = {"ids": ("", ""), "scores": (-INF, -INF), "positive": (NAN, NAN)}


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"scores": (1.0, 1.0)},
        {"ids": ("b", "c", "a"), "scores": (3, 2, 1), "positive": (0, 0, 0), "k": 9},
        {"ids": ("b", ""), "scores": (3, -INF), "positive": (0.5, NAN)},
        {**EMPTY, "filter_color": strings(["red"])},
        {**EMPTY, "filter_price": floats((NAN, 3.0))},
        {"scores": (1.0, 2.0), "diversity": np.array(0.5, np.float32)},
    ],
    ids=[
        "full",
        "equal scores",
        "k above the catalogue",
        "a place that could not be filled",
        "nothing has the value",
        "nothing is within the bounds",
        "diverse",
    ],
)
def test_a_good_list_is_not_complained_of(answer):
    assert lists(**answer) == []


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"scores": (NAN, 1.0)}, "output 'scores' is no finite number in 1 of 2 places"),
        ({"scores": (INF, 1.0)}, "output 'scores' is no finite number in 1 of 2 places"),
        ({"positive": (0.5, NAN)}, "output 'positive' is no finite number in 1 of 2 places"),
        ({"ids": ("c", "x")}, "candidate_ids: 'x' is not in the catalogue of 3 candidates"),
        ({"ids": ("y", "x")}, "candidate_ids: 'x', 'y' are not in the catalogue of 3 candidates"),
        ({"ids": ("c", "c")}, "candidate_ids: a list has a candidate twice"),
        ({"scores": (1.0, 2.0)}, "scores: a list is not in their order, the best first"),
        ({"k": 3}, "output 'scores': found float32 [1, 2], expected float32 [1, 3]"),
        ({"k": 1}, "output 'scores': found float32 [1, 2], expected float32 [1, 1]"),
        (EMPTY, "candidate_ids: a list is empty, though nothing was excluded"),
        (
            {**EMPTY, "filter_color": strings([""]), "filter_price": floats((NAN, NAN))},
            "candidate_ids: a list is empty, though nothing was excluded",
        ),
        (
            {"ids": ("c", ""), "positive": (0.5, NAN)},
            "candidate_ids: places that are not filled do not come last with a score of -inf",
        ),
        (
            {"ids": ("", "c"), "scores": (-INF, 1.0), "positive": (NAN, 0.5)},
            "candidate_ids: places that are not filled do not come last with a score of -inf",
        ),
    ],
)
def test_what_is_wrong_with_a_list_is_said(answer, complaint):
    assert complaint in lists(**answer)


def test_only_candidates_that_are_unknown_may_be_ranked_nan():
    inputs = {"candidate_ids": strings(("a", "x"))}
    assert complaints(RANK, inputs, {"positive": floats((0.5, NAN))}, CATALOGUE) == []
    assert complaints(RANK, inputs, {"positive": floats((NAN, NAN))}, CATALOGUE) == [
        "output 'positive' is no finite number in 1 of 1 places"
    ]


def test_other_outputs_are_finite_and_of_the_signatures_dtype_and_shape():
    inputs = {"user": np.array([b"", b""], object)}

    def said(**outputs):
        return complaints(EMBED, inputs, outputs, CATALOGUE)

    assert said(embedding=floats((1, 2), (3, 4))) == []
    assert said(embedding=floats((1, 2), (3, NAN))) == [
        "output 'embedding' is no finite number in 1 of 4 places"
    ]
    assert said(embedding=floats((1, 2))) == [
        "output 'embedding': found float32 [1, 2], expected float32 [2, 2]"
    ]
    assert said(embedding=floats((1,), (2,))) == [
        "output 'embedding': found float32 [2, 1], expected float32 [2, 2]"
    ]
    assert said(embedding=np.zeros((2, 2))) == [
        "output 'embedding': found float64 [2, 2], expected float32 [2, 2]"
    ]
    assert said() == ["output 'embedding' is missing"]
