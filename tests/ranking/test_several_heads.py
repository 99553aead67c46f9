"""Labels of actions, and what heads learn beside each other."""

import numpy as np
import pytest
import tensorflow as tf

from components.ranking.negatives import NEGATIVE_ROWS
from components.ranking.trainer import build_model
from components.ranking.training import fit
from components.transform.interaction_dataset import EncodedInteractions


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_labels_of_logged_interactions_are_by_action_and_count_alike(tiny):
    groups, logits = tiny.model(heads={"click": ["click", "buy"], "buy": ["buy"]}).groups(tiny.batch())
    assert set(groups) == set(logits) == {"positive", "click", "buy"}
    assert groups["click"].labels.numpy().ravel().tolist() == [0, 1, 1, 1]
    assert groups["buy"].labels.numpy().ravel().tolist() == [0, 0, 1, 0]
    assert (groups["buy"].weights.numpy() == 1).all()
    assert groups["positive"].weights.numpy().ravel().tolist() == [1, 1, 5, 1]


def test_beside_drawn_negatives_another_actions_positive_does_not_count(tiny):
    model = tiny.model(heads={"buy": ["buy"], "seen": ["view"]}, negatives={"uniform": 2})
    batch = {**tiny.batch(), NEGATIVE_ROWS: tf.constant([[1, 2], [2, -1], [0, 1], [2, 0]], tf.int64)}
    groups, _ = model.groups(batch)
    # A view, a click, a purchase, a click: the view is a negative, the clicks say nothing of purchases.
    assert groups["buy"].weights.numpy().tolist() == [[1, 0, 0], [0, 1, 0], [1, 1, 1], [0, 1, 1]]
    assert groups["buy"].labels.numpy().tolist() == [[0, 0, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert groups["seen"].weights.numpy().tolist() == [[1, 1, 1], [0, 1, 0], [0, 1, 1], [0, 1, 1]]
    assert groups["positive"].weights.numpy().tolist() == [[1, 0, 0], [1, 1, 0], [5, 5, 5], [1, 1, 1]]


def test_the_loss_is_the_sum_of_the_heads_by_their_weights(tiny):
    weights = {"positive": 0.5, "buy": 3.0}
    model = tiny.model(heads={"buy": ["buy"]}, head_weights=weights)
    groups, _ = model.groups(tiny.batch())
    expected = 0.0
    for name, group in groups.items():
        p, labels = sigmoid(group.logits.numpy()), group.labels.numpy()
        surprise = -np.log(np.where(labels > 0, p, 1 - p))
        expected += weights[name] * (surprise * group.weights.numpy()).sum() / 4
    assert float(model.compute_loss(tiny.batch())) == pytest.approx(expected, rel=1e-5)


def test_a_head_learns_its_own_label_where_that_says_nothing_of_the_other(tiny, tmp_path):
    """Who clicks follows from the query, who buys from the candidate; all four come together alike."""
    rng = np.random.default_rng(1)
    n = 2000
    user, row = rng.integers(0, 2, n), rng.integers(0, 4, n)
    clicks, buys = user == 0, row < 2
    log = EncodedInteractions(
        {
            **{name: tf.repeat(column[2:3], n, axis=0) for name, column in tiny.batch(3).items()},
            "user": tf.constant(user),
            "candidate_row": tf.constant(row, tf.int32),
            # Four actions would say it; three do, as a purchase without a click is left to be a view.
            "action": tf.constant(np.where(clicks, np.where(buys, 3, 2), np.where(buys, 1, 0))),
            "positive": tf.constant(clicks, tf.float32),
            "weight": tf.ones([n]),
        }
    )
    settings = {"layers": (16,), "epochs": 6, "learning_rate": 0.02, "batch_size": 100}
    config = tiny.config(heads={"bought": ["view", "buy"]}, sharing="mmoe", **settings)
    model = build_model(tiny.inputs(), config)
    fit(model, log, log.spread(500), config, str(tmp_path))
    query = next(iter(log.batches(1)))
    asked = {name: tf.repeat(column, 2, axis=0) for name, column in query.items()} | {
        "user": tf.constant([0, 1], tf.int64)
    }
    answer = model.score(asked, tf.constant([[0, 1, 2, 3]] * 2, tf.int64))
    np.testing.assert_allclose(answer["positive"], [[1] * 4, [0] * 4], atol=0.1)
    np.testing.assert_allclose(answer["bought"], [[1, 1, 0, 0]] * 2, atol=0.1)
