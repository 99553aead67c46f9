"""Towers by their weights, in numpy."""

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval.config import RetrievalConfig
from components.retrieval.history import UNKNOWN_ID
from components.retrieval.towers import Tower, drop_ids

ID_INDICES = np.array([1, UNKNOWN_ID, 2, 3])
"""Of the tiny catalogue's rows: the second has no interaction."""
GENRES, WORDS = [0, 0, 1, 1], [[1], [2, 1], [], [2, 2]]


def table(embedding):
    return embedding.get_weights()[0]


def tower(layer, inputs):
    """Dense layers by hand, from a tower's inputs [batch, width]."""
    x = np.concatenate(inputs, axis=1)
    for hidden in layer._hidden:
        kernel, bias = hidden.get_weights()
        x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = layer._output.get_weights()
    return x @ kernel + bias


def mean_history(model, batch):
    """The mean of known events, [batch, dim]."""
    embeddings = table(model.query_tower._events)
    histories = [ID_INDICES[row[row >= 0]] for row in batch["history"].numpy()]
    return np.stack([embeddings[h].mean(axis=0) if len(h) else np.zeros(4) for h in histories])


@pytest.mark.parametrize("layers", [None, (), (5,), (6, 3)])
def test_a_candidate_is_its_id_plus_what_the_tower_makes_of_id_and_features(tiny, layers):
    model = tiny.model(layers=layers)
    candidates = model.candidate_tower
    identity = table(candidates.ids)[ID_INDICES]
    genres, words = (table(embedding) for embedding in candidates._features._embeddings.values())
    of_words = np.stack([words[list(w)].mean(axis=0) if w else np.zeros(3) for w in WORDS])
    inputs = [genres[GENRES], of_words]
    by_hand = identity + tower(candidates._tower, inputs if layers is None else [identity, *inputs])
    bias = table(candidates._bias)[ID_INDICES]
    np.testing.assert_allclose(
        model.embed_catalogue(), np.concatenate([by_hand, bias], axis=1), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("layers", [None, (), (5,), (6, 3)])
def test_a_query_is_its_history_plus_what_the_tower_makes_of_all_it_has(tiny, layers):
    model, batch = tiny.model(layers=layers), tiny.batch()
    queries = model.query_tower
    identity, history = table(queries._ids)[batch["user"]], mean_history(model, batch)
    age = batch["age"].numpy()
    if layers is None:
        by_hand = identity + history + tower(queries._tower, [age])
    else:
        by_hand = history + tower(queries._tower, [identity, history, age])
    np.testing.assert_allclose(
        model.embed_query(batch), np.concatenate([by_hand, np.ones([3, 1])], axis=1), rtol=1e-4, atol=1e-5
    )


def test_without_layers_history_and_features_it_is_matrix_factorisation(tiny):
    model = tiny.model(features=False, layers=None, history={"encoder": "none"})
    users, items = table(model.query_tower._ids), table(model.candidate_tower.ids)
    biases = table(model.candidate_tower._bias)
    assert len(model.trainable_variables) == 3
    batch = tiny.batch(features=False)
    scores = model.embed_query(batch).numpy() @ model.embed_catalogue().numpy().T
    for i, user in enumerate(batch["user"].numpy()):
        for row, item in enumerate(ID_INDICES):
            assert scores[i, row] == pytest.approx(users[user] @ items[item] + biases[item, 0], rel=1e-4)


@pytest.mark.parametrize("layers", [None, (5,)])
def test_without_query_ids_queries_are_told_apart_by_the_rest_alone(tiny, layers):
    model, batch = tiny.model(layers=layers, query_id=False), tiny.batch()
    others = {**batch, "user": (batch["user"] + 1) % 3}
    np.testing.assert_array_equal(model.embed_query(batch), model.embed_query(others))
    with_ids = tiny.model(layers=layers)
    assert np.abs(with_ids.embed_query(batch) - with_ids.embed_query(others)).max() > 0.1


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_the_bias_is_a_component_of_its_own_that_queries_meet_with_1(tiny, similarity):
    biased, plain = (tiny.model(similarity=similarity, bias=bias) for bias in (True, False))
    assert plain.embed_query(tiny.batch()).shape[1] == plain.embed_catalogue().shape[1] == 4
    np.testing.assert_array_equal(biased.embed_query(tiny.batch())[:, 4], [1, 1, 1])
    by_hand = table(biased.candidate_tower._bias)[ID_INDICES, 0]
    np.testing.assert_allclose(biased.embed_catalogue()[:, 4], by_hand, rtol=1e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_cosine_similarity_is_of_vectors_of_unit_length(tiny, bias):
    cosine, batch = tiny.model(similarity="cosine", bias=bias), tiny.batch()
    dot = tiny.model(similarity="dot", bias=bias)
    for found, plain in (
        (cosine.embed_catalogue(), dot.embed_catalogue()),
        (cosine.embed_query(batch), dot.embed_query(batch)),
    ):
        lengths = np.linalg.norm(plain[:, :4], axis=1, keepdims=True)
        np.testing.assert_allclose(found[:, :4], plain[:, :4] / lengths, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("encoder", ["mean", "attention"])
def test_a_shared_history_uses_the_candidates_embeddings(tiny, encoder):
    batch = tiny.batch()
    for shared in (True, False):
        model = tiny.model(history={"encoder": encoder, "shared": shared}, layers=None, query_id=False)
        assert (model.query_tower._events is model.candidate_tower.ids) == shared
        before = model.embed_query(batch).numpy()
        model.candidate_tower.ids.embeddings.assign_add(
            tf.random.stateless_normal(model.candidate_tower.ids.embeddings.shape, [1, 2])
        )
        changed = np.abs(model.embed_query(batch) - before).max(axis=1) > 0.01
        assert changed.tolist() == [shared, shared, False], "the third history is empty"


def test_padding_of_the_history_changes_nothing(tiny):
    model, batch = tiny.model(), tiny.batch()
    wider = {**batch, "history": tf.pad(batch["history"], [[0, 0], [0, 4]], constant_values=-1)}
    np.testing.assert_allclose(model.embed_query(batch), model.embed_query(wider), rtol=1e-6)


def test_hidden_units_are_left_out_in_training_and_the_others_make_up_for_them():
    tower = Tower(RetrievalConfig(dim=1000, layers=(1000,), dropout=0.25), seed=1)
    inputs = [tf.zeros([1, 3])]
    tower(inputs)
    # Every hidden unit is 1, and the output shows each as it is.
    tower.set_weights([np.zeros([3, 1000]), np.ones(1000), np.eye(1000), np.zeros(1000)])
    np.testing.assert_array_equal(tower(inputs).embedding, np.ones([1, 1000]))
    left = tower(inputs, training=True).embedding.numpy()
    kept = left > 0
    assert np.mean(kept) == pytest.approx(0.75, abs=0.05)
    np.testing.assert_allclose(left, kept / 0.75, rtol=1e-6)


def test_ids_of_queries_and_candidates_are_hidden_in_training_only(tiny):
    tf.random.set_seed(1)
    hidden, shown = (tiny.model(features=False, layers=None, id_dropout=share) for share in (0.99999, 0.0))
    batch, rows = tiny.batch(features=False), tf.range(4, dtype=tf.int64)
    unknown = {**batch, "user": tf.fill([3], tf.constant(2, tf.int64))}
    strangers = tf.fill([4], tf.constant(1, tf.int64))
    np.testing.assert_array_equal(hidden.embed_query(batch, training=True), shown.embed_query(unknown))
    np.testing.assert_array_equal(hidden.embed_rows(rows, training=True), shown.embed_rows(strangers))
    np.testing.assert_array_equal(hidden.embed_query(batch), shown.embed_query(batch))
    np.testing.assert_array_equal(hidden.embed_rows(rows), shown.embed_rows(rows))
    assert np.abs(shown.embed_query(unknown) - shown.embed_query(batch)).max() > 0.1


def test_dropped_ids_become_the_unknown_one():
    tf.random.set_seed(3)
    ids = drop_ids(tf.ones([10_000], tf.int64), 0.25, unknown=7).numpy()
    assert set(ids) == {1, 7}
    assert np.mean(ids == 7) == pytest.approx(0.25, abs=0.03)
