"""Plain values become a batch of arrays."""

import math

import numpy as np
import pytest
import tensorflow as tf

from serving.contract import MISSING_MOMENT
from serving.errors import RequestError
from serving.queries import batch_of, filters_of
from serving.tensors import Spec

SPECS = {
    name: Spec(name, dtype, shape, f"{name}:0")
    for name, dtype, shape in [
        ("user", tf.string, (None,)),
        ("age", tf.float32, (None,)),
        ("since", tf.int64, (None,)),
        ("tags", tf.string, (None, None)),
        ("history_age", tf.float32, (None, None)),
        ("mood", tf.float32, (None, 2)),
    ]
}


def test_what_is_missing_is_filled_by_its_dtype_and_lists_are_padded():
    batch = batch_of(
        SPECS,
        [
            {"user": "ada", "age": 30, "tags": ["a", "b"], "history_age": [1.5], "mood": [0.5, -1]},
            {"since": 77, "tags": ["c"], "age": None},
        ],
    )
    assert batch["user"].tolist() == ["ada", ""]
    assert batch["age"][0] == 30.0 and math.isnan(batch["age"][1])
    assert batch["since"].tolist() == [MISSING_MOMENT, 77]
    assert batch["tags"].tolist() == [["a", "b"], ["c", ""]]
    assert batch["history_age"].tolist() == [[1.5], [0.0]]
    np.testing.assert_array_equal(batch["mood"], [[0.5, -1], [math.nan, math.nan]])
    for name, spec in SPECS.items():
        assert batch[name].dtype == spec.dtype.as_numpy_dtype


def test_lists_that_are_all_empty_have_no_width():
    batch = batch_of(SPECS, [{}, {"tags": []}])
    assert batch["tags"].shape == (2, 0) and batch["history_age"].shape == (2, 0)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"shoe": 1}, "query 0: found shoe, which is no input; expected some of age, history_age, mood"),
        ({"tags": "a"}, "input 'tags': found 'a', expected a list of string"),
        ({"age": "old"}, r"input 'age': found \['old'\], expected float32"),
        ({"user": 7}, r"input 'user': found \[7\], expected string"),
        ({"mood": [1.0]}, r"input 'mood': found float32 \[1, 1\], expected float32 \[\?, 2\]"),
    ],
)
def test_a_value_that_is_none_of_the_dtype_is_refused(query, message):
    with pytest.raises(RequestError, match=message):
        batch_of(SPECS, [query])


FILTERS = {
    **SPECS,
    "filter_genres": Spec("filter_genres", tf.string, (None, None), "g:0"),
    "filter_year": Spec("filter_year", tf.float32, (None, 2), "y:0"),
}


def test_filters_become_inputs_and_those_left_out_are_open():
    asked = filters_of(FILTERS, {"genres": ["Comedy", "Crime"], "year": (1990, None)})
    batch = batch_of(FILTERS, [asked, filters_of(FILTERS, {})])
    assert batch["filter_genres"].tolist() == [["Comedy", "Crime"], ["", ""]]
    np.testing.assert_array_equal(batch["filter_year"], [[1990, math.nan], [math.nan, math.nan]])


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"price": (1, 2)}, "found filter 'price', which the model has not; expected some of genres, year"),
        ({"year": (1990,)}, r"filter 'year': found \(1990,\), expected \(least, greatest\)"),
        ({"year": "1990"}, "filter 'year': found '1990', expected"),
        ({"genres": "Comedy"}, "'filter_genres': found 'Comedy', expected a list of string"),
    ],
)
def test_a_filter_that_is_none_is_refused(filters, message):
    with pytest.raises(RequestError, match=message):
        batch_of(FILTERS, [filters_of(FILTERS, filters)])
