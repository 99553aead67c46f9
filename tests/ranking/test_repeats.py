"""What the ranker sees of a history and a candidate, against counting by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from components.ranking.repeats import REPEAT_WIDTH, contains, distinct_rows, repeat_features, sort_history

DAY = 86_400.0
HISTORY = tf.constant([[3, 0, 3, 3, 5], [2, -1, -1, -1, -1], [-1, -1, -1, -1, -1]], tf.int64)
AGES = tf.constant([[9.0, 8.0, 5.0, 1.0, 0.5], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0]]) * DAY


def test_features_are_those_counted_by_hand():
    features = repeat_features(HISTORY, AGES, tf.constant([[3, 5, 1], [0, 2, 9], [0, 1, 2]], tf.int64))
    three = [1, math.log(4), 3 / 5, 1 / 2, math.log(2), math.log(1 + (9 - 1) / 2)]
    five = [1, math.log(2), 1 / 5, 1 / 1.5, math.log(1.5), 0]
    two = [1, math.log(2), 1, 1 / 3, math.log(3), 0]
    never = [0] * REPEAT_WIDTH
    np.testing.assert_allclose(features[0], [three, five, never], rtol=1e-6)
    np.testing.assert_allclose(features[1], [never, two, never], rtol=1e-6)
    np.testing.assert_allclose(features[2], [never] * 3)


def test_features_equal_a_plain_loop_over_random_histories():
    rng = np.random.default_rng(0)
    history = rng.integers(0, 6, (40, 12))
    history[np.arange(12)[None, :] >= rng.integers(0, 13, 40)[:, None]] = -1
    ages = -np.sort(-rng.uniform(0, 50 * DAY, (40, 12)), axis=1).astype(np.float32)
    rows = rng.integers(0, 8, (40, 9))
    actual = repeat_features(tf.constant(history), tf.constant(ages), tf.constant(rows)).numpy()
    for i in range(40):
        for j in range(9):
            days = ages[i][history[i] == rows[i, j]] / DAY
            n, m = len(days), (history[i] >= 0).sum()
            gap = math.log1p((days[0] - days[-1]) / (n - 1)) if n > 1 else 0
            expected = (
                [1, math.log1p(n), n / m, 1 / (1 + days[-1]), math.log1p(days[-1]), gap]
                if n
                else [0] * REPEAT_WIDTH
            )
            np.testing.assert_allclose(actual[i, j], expected, rtol=1e-4, atol=1e-6)


def test_each_candidate_of_a_history_stands_once_among_its_distinct_ones():
    for found, expected in zip(distinct_rows(HISTORY).numpy(), [{0, 3, 5}, {2}, set()], strict=True):
        held = found[found >= 0]
        assert len(held) == len(expected)
        assert set(held) == expected


@pytest.mark.parametrize("shape", [(0, 3), (2, 0)])
def test_no_query_or_no_candidate_is_no_error(shape):
    rows = tf.zeros(shape, tf.int64)
    assert repeat_features(HISTORY[: shape[0]], AGES[: shape[0]], rows).shape == (*shape, REPEAT_WIDTH)


@pytest.mark.parametrize(("row", "held"), [(3, [True, False, False]), (2, [False, True, False])])
def test_a_history_contains_what_it_holds(row, held):
    found = contains(sort_history(HISTORY), tf.fill([3, 1], tf.constant(row, tf.int64)))
    assert found.numpy()[:, 0].tolist() == held
