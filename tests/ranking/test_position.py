"""The tower of positions: what it adds in training, and that no request knows of it."""

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.errors import UserError
from components.ranking.position import PositionTower, position_counts
from components.ranking.trainer import ExportedRanking, build_model
from components.retrieval.training_inputs import encoded_query_signature

COUNTS = np.array([5, 3, 1, 0])
"""Five interactions whose position nobody knows, three at the first place, one at the second."""
RAW = np.array([[4.0, 1], [2, 0], [1, 3], [7, 7]])
"""What each position's embedding comes to, for two heads."""


def tower(dropout=0.0):
    made = PositionTower(["positive", "buy"], COUNTS, dropout=dropout, width=2, seed=1)
    made._embeddings.assign(RAW)
    made._kernel.assign(np.eye(2))
    return made


def test_what_known_positions_add_is_nothing_in_the_mean_over_the_train_split():
    mean = np.array([(3 * 2 + 1) / 4, (0 + 3) / 4])
    added = tower()(tf.constant([1, 2, 0], tf.int64))
    assert {name: part.shape.as_list() for name, part in added.items()} == {"positive": [3], "buy": [3]}
    for head, name in enumerate(("positive", "buy")):
        expected = RAW[[1, 2, 0], head] - mean[head]
        np.testing.assert_allclose(added[name], expected, rtol=1e-6)
        assert COUNTS[1:3] @ expected[:2] == pytest.approx(0)


def test_positions_past_the_last_count_as_it_and_those_never_seen_add_nothing():
    added = tower()(tf.constant([3, 2_000_000_000], tf.int64))
    assert added["positive"].numpy().tolist() == [0, 0]
    assert position_counts(np.array([0, 1, 1, 3, 9]), 3).tolist() == [1, 2, 0, 2]


def test_hidden_positions_add_nothing_in_training_alone():
    positions = tf.ones([2000], tf.int64)
    always = tower(dropout=0.3)(positions)["positive"].numpy()
    assert (always == always[0]).all() and always[0] != 0
    hidden = tower(dropout=0.3)(positions, training=True)["positive"].numpy() == 0
    assert 0.25 < hidden.mean() < 0.35


def test_a_tower_starts_by_adding_nothing_and_can_learn():
    made = PositionTower(["positive"], COUNTS, dropout=0.0, width=2, seed=1)
    with tf.GradientTape() as tape:
        added = made(tf.constant([1, 2], tf.int64))["positive"]
        value = tf.reduce_sum(added * [1.0, -1.0])
    assert (added.numpy() == 0).all()
    assert np.abs(tf.convert_to_tensor(tape.gradient(value, made._embeddings))).max() > 0


@pytest.fixture
def model(tiny):
    return tiny.model(tiny.shown(), position={"maximum": 3, "dropout": 0.0}, negatives={"uniform": 2})


def test_the_loss_sees_the_position_of_an_interaction_and_of_what_is_drawn_in_its_place(tiny, model):
    batch = {**tiny.batch(), "negative_rows": tf.constant([[1, 2], [2, -1], [0, 1], [2, 0]], tf.int64)}
    groups, logits = model.groups(batch)
    added = model.position_tower(batch["place"])
    rows = tf.concat([batch["candidate_row"][:, tf.newaxis], tf.maximum(batch["negative_rows"], 0)], axis=1)
    drawn = model.sampler.log_expected(batch, rows)
    for name in ("positive", "click", "buy"):
        assert groups[name].offsets.shape == groups[name].logits.shape == (4, 3)
        expected = added[name].numpy()[:, np.newaxis] - drawn
        np.testing.assert_allclose(groups[name].offsets, expected, rtol=1e-5)
        np.testing.assert_array_equal(groups[name].logits, logits[name])
    assert np.abs(added["positive"]).max() > 0


def test_scores_are_the_same_wherever_something_was_shown(tiny, model):
    batch, rows = tiny.batch(), tf.range(4, dtype=tf.int64)[tf.newaxis] + tf.zeros([4, 1], tf.int64)
    found = model.score(batch, rows)
    elsewhere = model.score({**batch, "place": 3 - batch["place"]}, rows)
    for head in found:
        np.testing.assert_array_equal(found[head], elsewhere[head])


def test_the_exported_ranker_takes_neither_position_nor_propensity(tiny, model):
    inputs = tiny.inputs(tiny.shown())
    signature = encoded_query_signature(inputs)
    assert set(signature) == {"user", "age", "history", "history_age", "history_action"}
    exported = ExportedRanking(model, signature, 4)
    batch, rows = tiny.batch(), tf.zeros([4, 1], tf.int64)
    asked = {name: batch[name] for name in signature}
    np.testing.assert_allclose(
        exported.score(asked, rows)["positive"], model.score(batch, rows)["positive"], rtol=1e-5
    )


def test_a_train_split_without_a_position_is_refused(tiny):
    inputs = tiny.inputs(tiny.shown())
    inputs.train.columns["place"] = tf.zeros([16], tf.int64)
    for section in ({"position": {}}, {"inverse_propensity": {"examination": [0.5]}}):
        with pytest.raises(UserError, match=r"no interaction of the train split .* column 'place'.*remove"):
            build_model(inputs, tiny.config(**section))
