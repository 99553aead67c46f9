"""What scores cost, against sums by hand."""

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval.losses import (
    EXCLUDED,
    binary_cross_entropy,
    exclude_positives,
    hardest,
    log_partition,
    mean_softplus,
    positive_not_sampled_cross_entropy,
    softmax_cross_entropy,
)

POSITIVE = tf.constant([1.0, -0.5, 2.0])
NEGATIVES = tf.constant([[0.5, EXCLUDED, -1.0], [3.0, 0.0, 0.25], [EXCLUDED, EXCLUDED, EXCLUDED]])
OTHERS = tf.reduce_logsumexp(NEGATIVES, axis=1)


def counted(row):
    return np.array([score for score in NEGATIVES.numpy()[row] if score > EXCLUDED])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_a_querys_own_positives_are_no_negatives_of_it_however_often_they_are_drawn():
    scores = tf.reshape(tf.range(10.0), [2, 5])
    rows = tf.constant([7, 8, 7, 9, 3], tf.int64)
    positives, query_of = tf.constant([7, 8, 3, 5], tf.int64), tf.constant([0, 1, 0, 1], tf.int64)
    left = exclude_positives(scores, rows, positives, query_of)
    np.testing.assert_array_equal(left, [[EXCLUDED, 1, EXCLUDED, 3, EXCLUDED], [5, EXCLUDED, 7, 8, 9]])


def test_excluded_scores_pass_no_gradient():
    scores = tf.zeros([1, 3])
    with tf.GradientTape() as tape:
        tape.watch(scores)
        left = exclude_positives(
            scores, tf.constant([4, 5, 4], tf.int64), tf.constant([4], tf.int64), tf.zeros([1], tf.int64)
        )
    np.testing.assert_array_equal(tape.gradient(left, scores), [[0, 1, 0]])


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_the_hardest_are_the_highest_scores_or_all(count):
    found = np.sort(hardest(NEGATIVES, count), axis=1)
    np.testing.assert_array_equal(found, np.sort(NEGATIVES, axis=1)[:, -count:])


def test_the_partition_and_its_gradient_are_those_of_all_scores():
    rng = np.random.default_rng(4)
    queries = tf.constant(rng.normal(size=(3, 4)) * 10, tf.float32)
    candidates = tf.constant(rng.normal(size=(5, 4)), tf.float32)
    weights = tf.constant([1.0, 0.0, 2.0])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([queries, candidates])
        ours = log_partition(queries, candidates)
        reference = tf.reduce_logsumexp(tf.matmul(queries, candidates, transpose_b=True), axis=1)
        # Gathering makes the upstream gradient sparse, as in the model.
        total = tf.reduce_sum(tf.gather(ours * weights, [0, 2, 2]))
        of_reference = tf.reduce_sum(tf.gather(reference * weights, [0, 2, 2]))
    np.testing.assert_allclose(ours, reference, rtol=1e-5)
    for tensor in (queries, candidates):
        np.testing.assert_allclose(
            tape.gradient(total, tensor), tape.gradient(of_reference, tensor), rtol=1e-4, atol=1e-5
        )


def test_softmax_is_over_the_positive_and_the_negatives_that_count():
    by_hand = [
        -np.log(np.exp(p) / (np.exp(p) + np.exp(counted(i)).sum())) for i, p in enumerate(POSITIVE.numpy())
    ]
    np.testing.assert_allclose(softmax_cross_entropy(POSITIVE, OTHERS), by_hand, rtol=1e-5, atol=1e-6)
    assert by_hand[2] == 0, "without negatives there is nothing to learn"


def test_positive_not_sampled_is_the_log_odds_weighted_by_what_is_missing_to_certainty():
    by_hand = []
    for i in (0, 1):
        p, others = np.exp(POSITIVE.numpy()[i]), np.exp(counted(i)).sum()
        by_hand.append((1 - p / (p + others)) * np.log(others / p))
    with tf.GradientTape() as tape:
        tape.watch(OTHERS)
        found = positive_not_sampled_cross_entropy(POSITIVE, OTHERS)
    np.testing.assert_allclose(found, [*by_hand, 0], rtol=1e-5)
    assert np.isfinite(tape.gradient(found, OTHERS)).all(), "also where no negative counts"


def test_the_weight_of_positive_not_sampled_passes_no_gradient():
    with tf.GradientTape() as tape:
        tape.watch(POSITIVE)
        loss = positive_not_sampled_cross_entropy(POSITIVE[:1], OTHERS[:1])
    p, others = np.exp(POSITIVE.numpy()[0]), np.exp(counted(0)).sum()
    np.testing.assert_allclose(tape.gradient(loss, POSITIVE)[0], -others / (p + others), rtol=1e-5)


def mean_gradient(loss, scores, positive, shares, draws, times):
    """Of a loss over draws from the shares in the catalogue's scores, accidental hits excluded."""
    random = np.random.default_rng(0)
    drawn = tf.constant(random.choice(len(shares), size=(times, draws), p=shares))
    log_expected = tf.constant(np.log(draws * shares), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(scores)
        corrected = tf.gather(scores - log_expected, drawn)
        negatives = tf.where(drawn == positive, EXCLUDED, corrected)
        own = scores[positive] - (log_expected[positive] if loss is softmax_cross_entropy else 0.0)
        mean = tf.reduce_mean(loss(tf.fill([times], own), tf.reduce_logsumexp(negatives, axis=1)))
    return tape.gradient(mean, scores).numpy()


@pytest.mark.parametrize("positive", [0, 3])
def test_positive_not_sampled_comes_closer_to_the_full_softmax_than_logq(positive):
    scores = tf.constant([1.5, 0.3, -0.4, 0.8, -1.0, 0.0])
    shares = np.array([0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    full = tf.nn.softmax(scores).numpy() - np.eye(6)[positive]
    distances = {
        loss: np.linalg.norm(mean_gradient(loss, scores, positive, shares, draws=30, times=20_000) - full)
        for loss in (softmax_cross_entropy, positive_not_sampled_cross_entropy)
    }
    assert distances[positive_not_sampled_cross_entropy] < 0.1 * np.linalg.norm(full)
    assert distances[positive_not_sampled_cross_entropy] < 0.5 * distances[softmax_cross_entropy]


def test_the_mean_of_negatives_is_of_those_that_count():
    by_hand = [np.mean(-np.log(1 - sigmoid(counted(0)))), np.mean(-np.log(1 - sigmoid(counted(1)))), 0]
    np.testing.assert_allclose(mean_softplus(NEGATIVES), by_hand, rtol=1e-5)


def test_binary_cross_entropy_is_of_the_label_and_beside_a_positive_of_its_negatives():
    found = binary_cross_entropy(
        POSITIVE, tf.constant([1.0, 0.0, 1.0]), tf.constant([0.7, 0.2, 0.0]), negative_weight=3.0
    )
    by_hand = [-np.log(sigmoid(1.0)) + 3 * 0.7, -np.log(1 - sigmoid(-0.5)), -np.log(sigmoid(2.0))]
    np.testing.assert_allclose(found, by_hand, rtol=1e-5)
