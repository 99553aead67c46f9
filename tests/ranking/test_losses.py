"""The heads' losses against numpy by hand."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.ranking.config import RankingConfig
from components.ranking.heads import Head
from components.ranking.losses import LOSSES, Group, TotalLoss, pairwise, pointwise, softmax

LOGITS = np.array([[2.0, 0.5, -1.0], [0.3, 1.2, 9.0], [1.0, 2.0, 3.0], [0.7, 9.0, 9.0]])
LOG_EXPECTED = np.array([[0.1, -0.4, 0.6], [-1.0, 0.2, 9.0], [0.0, 0.0, 0.0], [0.5, 9.0, 9.0]])
LABELS = np.array([[1.0, 0, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]])
# Two negatives; one, beside a place where none was drawn; the log's own negative; a positive without any.
WEIGHTS = np.array([[2.0, 2, 2], [1, 1, 0], [3, 0, 0], [1, 0, 0]])
GROUP = Group(*(tf.constant(part, tf.float32) for part in (LOGITS, -LOG_EXPECTED, LABELS, WEIGHTS)))
SCORES = LOGITS - LOG_EXPECTED


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_pointwise_is_the_cross_entropy_of_what_counts():
    p = sigmoid(SCORES)
    expected = -(np.log(np.where(LABELS > 0, p, 1 - p)) * WEIGHTS).sum(axis=1)
    np.testing.assert_allclose(pointwise(GROUP), expected, rtol=1e-5)


def test_pairwise_is_the_mean_surprise_at_each_positive_being_above_its_negatives():
    first = -np.mean(np.log(sigmoid(SCORES[0, 0] - SCORES[0, 1:])))
    second = -np.log(sigmoid(SCORES[1, 0] - SCORES[1, 1]))
    np.testing.assert_allclose(pairwise(GROUP), [2 * first, second, 0, 0], rtol=1e-5)


def test_softmax_is_the_surprise_at_the_positive_among_its_negatives():
    first = -np.log(np.exp(SCORES[0, 0]) / np.exp(SCORES[0]).sum())
    second = -np.log(np.exp(SCORES[1, 0]) / np.exp(SCORES[1, :2]).sum())
    np.testing.assert_allclose(softmax(GROUP), [2 * first, second, 0, 0], rtol=1e-5)


@pytest.mark.parametrize("loss", ["pairwise", "softmax"])
def test_where_nothing_is_drawn_nothing_is_compared_and_no_gradient_is_lost(loss):
    logits = tf.Variable(LOGITS, dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(LOSSES[loss](GROUP._replace(logits=logits)))
    gradient = tf.convert_to_tensor(tape.gradient(value, logits)).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[2:] == 0).all() and gradient[1, 2] == 0
    assert (gradient[:2, 0] < 0).all() and (gradient[0, 1:] > 0).all()


P, OFTEN = np.array([0.6, 0.3, 0.1]), np.array([1.0, 0.5, 0.2])
PAIRS = [(own, drawn) for own in range(3) for drawn in range(3) if own != drawn]
"""Groups of a positive and one negative; how likely they come follows from P and OFTEN."""


def expected_loss(loss, logits):
    """Of positives that come by P, and negatives drawn OFTEN times on average."""
    rows = tf.constant(PAIRS)
    chance = np.array([P[own] * OFTEN[drawn] for own, drawn in PAIRS])
    # Pointwise sums over all that is drawn, so that a positive counts once whatever is drawn beside it.
    positive = chance if loss != "pointwise" else P[[own for own, _ in PAIRS]] / 2
    labels = np.tile([1.0, 0.0], (len(PAIRS), 1))
    parts = (-np.log(OFTEN)[rows.numpy()], labels, np.stack([positive, chance], axis=1))
    group = Group(tf.gather(logits, rows), *(tf.constant(part, tf.float32) for part in parts))
    return tf.reduce_sum(LOSSES[loss](group))


@pytest.mark.parametrize("loss", LOSSES)
def test_corrected_scores_are_of_the_probability_whatever_is_drawn(loss):
    logits = tf.Variable(np.log(P / (1 - P)) if loss == "pointwise" else np.log(P), dtype=tf.float32)
    with tf.GradientTape() as tape:
        value = expected_loss(loss, logits)
    gradient = tf.convert_to_tensor(tape.gradient(value, logits))
    np.testing.assert_allclose(gradient, np.zeros(3), atol=1e-6)
    for change in ([0.3, 0, 0], [0, 0.3, 0], [0, 0, -0.3]):
        assert expected_loss(loss, logits + change) > value


HEADS = [Head("positive", "probability"), Head("rating", "value"), Head("buy", "probability", ("buy",))]
LOSS_OF = {"positive": 0.7, "rating": 1.9, "buy": 0.2}


def test_fixed_weights_are_those_named_and_1():
    total = TotalLoss(HEADS, {"rating": 0.5, "buy": 3.0}, uncertainty=False)
    losses = {name: tf.constant(loss) for name, loss in LOSS_OF.items()}
    assert float(total(losses)) == pytest.approx(0.7 + 0.5 * 1.9 + 3 * 0.2)
    assert not total.trainable_variables


def test_uncertainty_weighs_by_the_likelihood_of_kendall_gal_and_cipolla():
    total = TotalLoss(HEADS, {}, uncertainty=True)
    losses = {name: tf.constant(loss) for name, loss in LOSS_OF.items()}
    sigmas = {"positive": 1.5, "rating": 0.8, "buy": 0.3}
    for name, sigma in sigmas.items():
        total.log_variances[name].assign(2 * np.log(sigma))
    expected = 0.7 / 1.5**2 + 1.9 / (2 * 0.8**2) + 0.2 / 0.3**2 + sum(map(np.log, sigmas.values()))
    assert float(total(losses)) == pytest.approx(expected, rel=1e-5)
    assert len(total.trainable_variables) == 3


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "pairwise", "negatives": {}}, "'pairwise' holds a positive against drawn ones"),
        ({"sharing": "mmoe", "layers": []}, "'sharing: mmoe' without 'layers'"),
        ({"structure": "parallel", "layers": []}, "'structure: parallel' without 'layers'"),
        ({"weighting": "uncertainty", "head_weights": {"positive": 2}}, "learns them; expected one"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        RankingConfig(**settings)


def test_a_loss_of_groups_draws_negatives_also_where_the_log_holds_some():
    assert RankingConfig(loss="softmax").resolved_negatives(has_negatives=True).total > 0
    assert RankingConfig().resolved_negatives(has_negatives=True).total == 0
