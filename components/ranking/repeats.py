"""How often and how lately a query's history holds each of the candidates it is scored with."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from components.transform.candidate_table import UNKNOWN_ROW

REPEAT_WIDTH = 6
"""Number of features :func:`repeat_features` makes of a query and a candidate."""
_SECONDS_PER_DAY = 86_400.0


class SortedHistory(NamedTuple):
    """A batch of histories ordered by candidate, the events of one candidate still oldest first.

    Sorted once, each candidate is then found by binary search: comparing every candidate with every event
    would need memory for batch x candidates x length.

    Attributes:
        keys: int64 [batch, length], ascending: candidate row x length + position; negative for padding.
        rows: int64 [batch, length] candidate rows, negative for padding.
        first: bool [batch, length] whether an event is the oldest of its candidate; never for padding.
    """

    keys: tf.Tensor
    rows: tf.Tensor
    first: tf.Tensor


def sort_history(history: tf.Tensor) -> SortedHistory:
    """Orders histories (int64 [batch, length] rows, oldest first, negative for padding) by candidate."""
    length = tf.shape(history, out_type=tf.int64)[1]
    keys = tf.sort(history * length + tf.range(length), axis=1)
    rows = tf.math.floordiv(keys, length)
    before = tf.pad(rows[:, :-1], [[0, 0], [1, 0]], constant_values=UNKNOWN_ROW)
    return SortedHistory(keys, rows, (rows >= 0) & (rows != before))


def distinct_rows(history: tf.Tensor) -> tf.Tensor:
    """Each history's candidates once: int64 [batch, length], ``UNKNOWN_ROW`` in the other places."""
    ordered = sort_history(history)
    return tf.where(ordered.first, ordered.rows, tf.cast(UNKNOWN_ROW, tf.int64))


def contains(ordered: SortedHistory, rows: tf.Tensor) -> tf.Tensor:
    """Whether each history holds each candidate: bool, of the shape of rows, int64 [batch, candidates]."""
    start, stop = _span(ordered, rows)
    return stop > start


def repeat_features(history: tf.Tensor, ages: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """What the history says of each candidate.

    With n events of the candidate among the m of the history, the last one ``last`` days ago and the first
    one ``first`` days ago:

    - whether n > 0
    - log(1 + n)
    - n / m
    - 1 / (1 + last)
    - log(1 + last)
    - log(1 + (first - last) / (n - 1)), of the mean number of days from one to the next; 0 if n < 2

    All are 0 where n = 0.

    Args:
        history: int64 [batch, length] candidate rows, oldest first, negative for padding.
        ages: float32 [batch, length] seconds since each event.
        rows: int64 [batch, candidates], none negative.

    Returns:
        float32 [batch, candidates, ``REPEAT_WIDTH``].
    """
    ordered = sort_history(history)
    start, stop = _span(ordered, rows)
    count = tf.cast(stop - start, tf.float32)
    held = tf.cast(count > 0, tf.float32)
    days = tf.maximum(ages, 0.0) / _SECONDS_PER_DAY
    last = _days_at(ordered, days, stop - 1)
    gap = tf.math.divide_no_nan(_days_at(ordered, days, start) - last, tf.maximum(count - 1.0, 0.0))
    events = tf.reduce_sum(tf.cast(history >= 0, tf.float32), axis=1, keepdims=True)
    features = [
        tf.ones_like(count),
        tf.math.log1p(count),
        tf.math.divide_no_nan(count, events),
        1.0 / (1.0 + last),
        tf.math.log1p(last),
        tf.math.log1p(tf.maximum(gap, 0.0)),
    ]
    return tf.stack([held * feature for feature in features], axis=2)


def _span(ordered: SortedHistory, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Where in the sorted history each candidate's events start and stop (exclusive), as int32."""
    length = tf.shape(ordered.keys, out_type=tf.int64)[1]
    # tf.searchsorted is this operation, but cannot tell the batch's size where there is no candidate.
    start, stop = (
        tf.raw_ops.LowerBound(sorted_inputs=ordered.keys, values=bound)
        for bound in (rows * length, (rows + 1) * length)
    )
    return start, stop


def _days_at(ordered: SortedHistory, days: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
    """The age at each place of the sorted history; of any event where the place is outside it."""
    length = tf.shape(ordered.keys)[1]
    inside = tf.clip_by_value(place, 0, length - 1)
    positions = tf.math.floormod(tf.gather(ordered.keys, inside, batch_dims=1), tf.cast(length, tf.int64))
    return tf.gather(days, positions, batch_dims=1)
