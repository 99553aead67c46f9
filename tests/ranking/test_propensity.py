"""Weights by the chance to be seen, against numbers by hand."""

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.errors import UserError
from components.ranking.config import Propensity
from components.ranking.losses import Group, pairwise, pointwise, softmax
from components.ranking.propensity import InversePropensity
from components.transform.interaction_dataset import EncodedInteractions

LOGITS = np.array([[1.0, -0.5], [0.3, 0.7], [-2.0, 0.1]])
LABELS = np.array([[1.0, 0], [0, 0], [1, 0]])
WEIGHTS = np.array([[5.0, 5], [1, 0], [1, 1]])
GROUP = Group(*(tf.constant(part, tf.float32) for part in (LOGITS, 0 * LOGITS, LABELS, WEIGHTS)))


def split(**columns):
    return EncodedInteractions({"candidate_row": tf.range(3), **columns})


def surprise(label):
    return np.log1p(np.exp(-LOGITS if label else LOGITS))


def test_logged_propensities_weigh_whatever_was_shown_and_one_in_the_mean(tiny):
    log = tiny.declaration(tiny.shown()).interactions
    chances = tf.constant([0.5, 0.01, 0.0])  # the last is not known
    made = InversePropensity(split(chance=chances), log, Propensity(clip=4))
    expected = np.array([2, 4, 1]) / ((2 + 4 + 1) / 3)
    found = made.weights({"chance": chances})
    assert found.shape == (3,)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    corrected = made.corrected(GROUP, found)
    assert corrected.weights.shape == (3, 2) and made.weighs_all
    np.testing.assert_allclose(corrected.weights, WEIGHTS * expected[:, np.newaxis], rtol=1e-6)
    np.testing.assert_array_equal(corrected.labels, LABELS)


def test_a_positive_at_a_place_seldom_looked_at_stands_for_passed_over_ones_that_were_not_seen(tiny):
    shown = tiny.shown()
    del shown["propensity"]
    log = tiny.declaration(shown).interactions
    places = tf.constant([2, 9, 3])
    made = InversePropensity(split(place=places), log, Propensity(examination=(1.0, 0.5, 0.1), clip=4))
    weights = made.weights({"place": tf.cast(places, tf.int64)})
    np.testing.assert_allclose(weights, [2, 4, 4], rtol=1e-6)
    loss = pointwise(made.corrected(GROUP, weights))
    ours, others = surprise(1), surprise(0)
    expected = [
        # w · (loss of a positive) + (1 - w) · (loss of a negative), and w times what is drawn beside it.
        5 * (2 * ours[0, 0] - 1 * others[0, 0]) + 5 * 2 * others[0, 1],
        others[1, 0],
        (4 * ours[2, 0] - 3 * others[2, 0]) + 4 * others[2, 1],
    ]
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", [pairwise, softmax])
def test_compared_with_what_is_drawn_a_positive_weighs_the_inverse(tiny, loss):
    shown = tiny.shown()
    del shown["propensity"]
    log = tiny.declaration(shown).interactions
    places = tf.constant([1, 2, 3])
    made = InversePropensity(split(place=places), log, Propensity(examination=(1.0, 0.5, 0.25)))
    weights = made.weights({"place": tf.cast(places, tf.int64)})
    found = loss(made.corrected(GROUP, weights))
    np.testing.assert_allclose(found, loss(GROUP) * [1, 2, 4], rtol=1e-6)
    assert found[0] > 0 and found[1] == 0


def test_its_expectation_is_the_loss_of_the_label_everybody_would_have_given(tiny):
    """Over who looks: a click comes with p · relevance, and the corrected loss is that of the relevance."""
    shown = tiny.shown()
    del shown["propensity"]
    log = tiny.declaration(shown).interactions
    made = InversePropensity(
        split(place=tf.constant([1, 2, 3])), log, Propensity(examination=(1.0, 0.5, 0.2))
    )
    places = tf.constant([1, 2, 3], tf.int64)
    relevance, p = 0.6, np.array([1.0, 0.5, 0.2])
    logits = tf.constant(LOGITS[:, :1], tf.float32)

    def loss(label):
        labels = tf.fill([3, 1], float(label))
        group = Group(logits, tf.zeros([3, 1]), labels, tf.ones([3, 1]))
        return pointwise(made.corrected(group, made.weights({"place": places}))).numpy()

    expected = relevance * surprise(1)[:, 0] + (1 - relevance) * surprise(0)[:, 0]
    clicked = p * relevance
    np.testing.assert_allclose(clicked * loss(1) + (1 - clicked) * loss(0), expected, rtol=1e-5)


def test_without_negatives_in_the_log_positives_weigh_the_inverse_one_in_the_mean(tiny):
    log = tiny.declaration({"position": "place"}).interactions
    places = tf.constant([1, 2, 0])
    made = InversePropensity(split(place=places), log, Propensity(examination=(0.8, 0.4)))
    expected = np.array([1.25, 2.5, 1]) / ((1.25 + 2.5 + 1) / 3)
    found = made.weights({"place": tf.cast(places, tf.int64)})
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    corrected = made.corrected(GROUP, found)
    np.testing.assert_allclose(corrected.weights, WEIGHTS * expected[:, np.newaxis], rtol=1e-6)


def test_the_ranker_s_loss_is_of_the_corrected_groups_and_of_logged_propensities_the_rating_s_too(tiny):
    batch = tiny.batch()
    rated = {**tiny.shown(), "actions": None, "rating": tiny.rated}
    plain = tiny.model(rated)
    model = tiny.model(rated, inverse_propensity={"clip": 3})
    weights = model._propensity.weights(batch).numpy()
    assert len(set(weights.tolist())) > 2
    groups, logits = plain.groups(batch)
    positive = pointwise(groups["positive"]).numpy() * weights
    errors = (batch["stars"] - logits["rating"][:, 0]).numpy() ** 2 * batch["weight"].numpy() * weights
    assert float(model.compute_loss(batch)) == pytest.approx((positive + errors).mean(), rel=1e-5)


def test_a_train_split_without_a_propensity_is_refused(tiny):
    log = tiny.declaration(tiny.shown()).interactions
    with pytest.raises(UserError, match=r"has a value in column 'chance'.*remove"):
        InversePropensity(split(chance=tf.zeros([3])), log, Propensity())
