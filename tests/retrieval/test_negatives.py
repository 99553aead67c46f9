"""Negatives come as often as the correction expects them."""

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval.negatives import NegativePool, sampling_probabilities
from components.transform.interaction_dataset import EncodedInteractions

COUNTS = np.array([500, 0, 300, 200])


def test_sampling_probability_is_the_share_of_interactions_and_never_zero():
    np.testing.assert_allclose(sampling_probabilities(np.array([4, 0, 2, 2])), [0.5, 0.0625, 0.25, 0.25])


@pytest.mark.parametrize(
    ("in_batch", "uniform", "by_hand"),
    [
        (True, 0, [9 * 0.5, 9 * 0.0005, 9 * 0.3, 9 * 0.2]),
        (False, 6, [1.5] * 4),
        (True, 6, [9 * 0.5 + 1.5, 9 * 0.0005 + 1.5, 9 * 0.3 + 1.5, 9 * 0.2 + 1.5]),
    ],
)
def test_expected_counts_are_of_the_other_interactions_and_the_even_draws(in_batch, uniform, by_hand):
    pool = NegativePool(COUNTS, in_batch=in_batch, uniform=uniform)
    found = pool.log_expected_counts(tf.range(4, dtype=tf.int64), tf.constant(9.0))
    np.testing.assert_allclose(np.exp(found), by_hand, rtol=1e-5)


def test_queries_expect_the_more_the_less_of_the_batch_is_their_own():
    pool = NegativePool(COUNTS, in_batch=True, uniform=4)
    rows = tf.range(4, dtype=tf.int64)[tf.newaxis, :]
    found = pool.log_expected_counts(rows, tf.constant([[9.0], [2.0]]))
    by_hand = np.array([[9.0], [2.0]]) * [0.5, 0.0005, 0.3, 0.2] + 1
    np.testing.assert_allclose(np.exp(found), by_hand, rtol=1e-5)


def test_a_batch_of_one_query_has_expectations_too():
    pool = NegativePool(COUNTS, in_batch=True, uniform=0)
    assert np.isfinite(pool.log_expected_counts(tf.range(4, dtype=tf.int64), tf.constant(0.0))).all()


def test_batches_and_draws_hold_each_candidate_as_often_as_expected():
    log = EncodedInteractions({"candidate_row": tf.constant(np.repeat(np.arange(4), COUNTS), tf.int32)})
    tf.random.set_seed(2)
    pool = NegativePool(COUNTS, in_batch=True, uniform=6)
    totals, batches = np.zeros(4), 0
    for batch in log.shuffled_batches(10, 1, range(4)):
        rows = batch["candidate_row"].numpy()
        # Of one interaction a batch: its negatives are the other nine and the even draws.
        totals += np.bincount(rows[1:], minlength=4) + np.bincount(pool.draw_uniform(), minlength=4)
        batches += 1
    expected = np.exp(pool.log_expected_counts(tf.range(4, dtype=tf.int64), tf.constant(9.0)))
    assert batches == 400
    np.testing.assert_allclose(totals / batches, expected, atol=0.15)


def test_without_even_draws_nothing_is_drawn():
    assert NegativePool(COUNTS, in_batch=True, uniform=0).draw_uniform() is None
