"""Examples as signature inputs, and the popularity baseline."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.evaluate.list_metrics import UNFILLED
from components.evaluate.served import Catalogue, ServedModel, tensor


def batch(values: list[list | None], kind: pa.DataType) -> pa.RecordBatch:
    return pa.record_batch({"x": pa.array(values, pa.large_list(kind))})


@pytest.mark.parametrize(
    ("values", "kind", "spec", "expected"),
    [
        ([[b"a"], None, []], pa.large_binary(), tf.TensorSpec([None], tf.string), [b"a", b"", b""]),
        ([[1.5], None, [2.5]], pa.float32(), tf.TensorSpec([None], tf.float32), [1.5, np.nan, 2.5]),
        ([[7], []], pa.int64(), tf.TensorSpec([None], tf.int64), [7, 0]),
        (
            [[b"a", b"b"], None, [b"c"]],
            pa.large_binary(),
            tf.TensorSpec([None, None], tf.string),
            [[b"a", b"b"], [b"", b""], [b"c", b""]],
        ),
        ([[], [1.0]], pa.float32(), tf.TensorSpec([None, None], tf.float32), [[0.0], [1.0]]),
        (
            [[1.0, 2.0], None],
            pa.float32(),
            tf.TensorSpec([None, 2], tf.float32),
            [[1.0, 2.0], [np.nan, np.nan]],
        ),
        ([None, []], pa.large_binary(), tf.TensorSpec([None, None], tf.string), [[b""], [b""]]),
    ],
)
def test_missing_values_and_padding_are_as_the_signatures_ask(values, kind, spec, expected):
    actual = tensor(batch(values, kind), "x", spec)
    np.testing.assert_array_equal(actual, np.array(expected, actual.dtype))
    assert tf.constant(actual).dtype == spec.dtype


def test_a_column_the_examples_lack_is_missing_throughout():
    np.testing.assert_array_equal(
        tensor(batch([[1], [2]], pa.int64()), "age", tf.TensorSpec([None], tf.float32)), [np.nan, np.nan]
    )


def catalogue(positives: list[int]) -> Catalogue:
    return Catalogue.from_table(
        pa.table(
            {
                "id": [chr(ord("a") + i) for i in range(len(positives))],
                "train_positive_count": pa.array(positives, pa.int64()),
                "train_count": pa.array(positives, pa.int64()),
                "train_rating_mean": pa.array([None if p == 0 else 4.0 for p in positives], pa.float64()),
            }
        )
    )


def test_popularity_breaks_ties_by_id_and_skips_the_excluded():
    popular = catalogue([2, 5, 2, 0]).most_popular(np.array([[UNFILLED, UNFILLED], [1, 2], [3, 3]]))
    assert popular.shape == (3, 100)
    assert [row[row != UNFILLED].tolist() for row in popular] == [[1, 0, 2, 3], [0, 3], [1, 0, 2]]


def test_the_own_most_frequent_come_first_later_ones_before_and_popular_ones_after():
    history = np.array([[3, 0, 3, UNFILLED, 0, 2, UNFILLED], [UNFILLED] * 7])
    frequent = catalogue([2, 5, 2, 0, 9]).own_frequent(history)
    assert frequent.shape == (2, 100)
    assert [row[row != UNFILLED].tolist() for row in frequent] == [[0, 3, 2, 4, 1], [4, 1, 0, 2, 3]]
    large = catalogue(list(range(150, 0, -1))).own_frequent(np.arange(149, 20, -1)[None])
    assert large[0].tolist() == list(range(21, 121)), "a long history leaves no room for others"


def test_a_catalogue_without_ratings_has_no_means():
    table = pa.table({"id": ["a"], "train_positive_count": [1], "train_count": [1]})
    assert Catalogue.from_table(table).positive_share == 1.0


def test_popularity_looks_past_the_excluded_in_a_large_catalogue():
    large = catalogue(list(range(150, 0, -1)))
    popular = large.most_popular(np.array([[0, 1, 2, 149]]))
    assert popular[0].tolist() == list(range(3, 103))


def test_segments_hold_a_third_of_the_positives_each():
    segments = catalogue([4, 3, 2, 2, 1, 0]).segment.tolist()
    assert segments == [b"head", b"middle", b"middle", b"tail", b"tail", b"cold"]


def test_a_catalogue_without_train_positives_is_all_cold():
    cold = catalogue([0, 0])
    assert cold.segment.tolist() == [b"cold", b"cold"]
    assert cold.global_mean == 0.0


def test_a_model_that_an_earlier_version_pushed_does_not_tell_what_it_ranks():
    served = object.__new__(ServedModel)
    served._model = object()
    assert served.delivered({}, np.empty((0, 1), object)) is None
