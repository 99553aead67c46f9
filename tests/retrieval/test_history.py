"""Histories as one vector, against numpy and against Keras' own attention."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import HistoryEncoderConfig
from components.retrieval.history import (
    AGE_BUCKETS,
    AttentionHistory,
    Events,
    MeanHistory,
    age_buckets,
    places_from_end,
    visible_events,
)

DIM, LENGTH = 8, 5
HISTORY = np.array([[3, 1, 2, -1, -1], [4, 4, 5, 1, 2], [6, -1, -1, -1, -1], [-1] * 5])
ACTIONS = np.array([[1, 2, 1, 0, 0], [2, 2, 0, 1, 1], [1, 0, 0, 0, 0], [0] * 5])
AGES = np.array([[5e6, 4e3, 9.0, 0, 0], [1e8, 1e7, 1e5, 600.0, 0.2], [3.0, 0, 0, 0, 0], [0] * 5])
PLAIN = {"positions": False, "ages": False, "actions": False}


def query(history=HISTORY, ages=AGES, actions=ACTIONS):
    return {
        "history": tf.constant(history, tf.int64),
        "history_age": tf.constant(ages, tf.float32),
        "history_action": tf.constant(actions, tf.int64),
    }


@pytest.fixture(scope="module")
def embedding():
    embedding = keras.layers.Embedding(7, DIM)
    embedding.build(None)
    embedding.set_weights([np.random.default_rng(1).normal(size=(7, DIM))])
    return embedding


def attention(embedding, **settings):
    """An encoder with weights large enough to tell formulas apart."""
    config = HistoryEncoderConfig(encoder="attention", **settings)
    encoder = AttentionHistory(DIM, LENGTH, config, seed=3, actions=2)
    encoder(query(), embedding)
    random = np.random.default_rng(2)
    encoder.set_weights([random.normal(scale=0.5, size=weight.shape) for weight in encoder.get_weights()])
    return encoder


def test_the_latest_event_is_at_place_0_and_hidden_ones_are_not_counted():
    visible = tf.constant([[True, False, True, True, False]])
    np.testing.assert_array_equal(places_from_end(visible)[visible], [2, 1, 0])


@pytest.mark.parametrize("divisor", ["length", "sqrt_length"])
@pytest.mark.parametrize("half_life", [None, 1.0, 2.5])
def test_mean_weighs_events_by_how_many_came_after(embedding, half_life, divisor):
    table = embedding.get_weights()[0]
    found = MeanHistory(HistoryEncoderConfig(half_life=half_life, divisor=divisor))(query(), embedding)
    for row, vector in zip(HISTORY, found.numpy(), strict=True):
        events = row[row > 0]
        weights = 0.5 ** (np.arange(len(events))[::-1] / (half_life or np.inf))
        by_hand = np.zeros(DIM)
        if len(events):
            by_hand = (weights[:, np.newaxis] * table[events]).sum(axis=0)
            by_hand /= weights.sum() if divisor == "length" else np.sqrt(weights.sum())
        np.testing.assert_allclose(vector, by_hand, rtol=1e-5, atol=1e-6)


def test_a_share_of_events_is_hidden_in_training_only():
    tf.random.set_seed(1)
    history = tf.ones([1000, 20], tf.int64)
    assert np.mean(visible_events(history, 0.3, training=True)) == pytest.approx(0.7, abs=0.02)
    assert np.all(visible_events(history, 0.3, training=False))
    assert np.all(visible_events(history, 0.0, training=True))


@pytest.mark.parametrize("encoder", ["mean", "attention"])
def test_events_that_training_hides_are_not_encoded(embedding, encoder):
    tf.random.set_seed(1)
    settings = {"event_dropout": 0.5, "dropout": 0.0}
    if encoder == "mean":
        layer = MeanHistory(HistoryEncoderConfig(**settings))
    else:
        layer = attention(embedding, **settings)
    many = {name: tf.repeat(column[:1], 400, axis=0) for name, column in query().items()}
    seen = {tuple(np.round(vector, 4)) for vector in layer(many, embedding, training=True).numpy()}
    assert len(seen) == 8, "three events: as many vectors as subsets"
    assert len({tuple(vector) for vector in layer(many, embedding).numpy().round(4)}) == 1


def normed(norm, x):
    """Layer normalisation by its formula, over the last axis."""
    scale, shift = norm.get_weights()
    centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
    return scale * centred / tf.sqrt(tf.reduce_mean(centred**2, axis=-1, keepdims=True) + 1e-6) + shift


def keras_block(block, heads):
    """The block as Keras' layers make it, on padded [batch, length, dim]."""
    attend = keras.layers.MultiHeadAttention(heads, DIM // heads)
    attend(tf.zeros([1, 1, DIM]), tf.zeros([1, 1, DIM]))
    weights = []
    for layer in (block._query, block._key, block._value):
        kernel, bias = layer.get_weights()
        weights += [kernel.reshape(DIM, heads, DIM // heads), bias.reshape(heads, DIM // heads)]
    kernel, bias = block._output.get_weights()
    attend.set_weights([*weights, kernel.reshape(heads, DIM // heads, DIM), bias])

    def call(x, mask):
        events = normed(block._attention_norm, x)
        x += attend(events, events, attention_mask=mask, use_causal_mask=True)
        return x + block._projection(block._hidden(normed(block._feed_forward_norm, x)))

    return call


@pytest.mark.parametrize(("heads", "layers"), [(1, 1), (2, 1), (4, 3)])
def test_attention_is_keras_causal_attention_read_at_the_latest_event(embedding, heads, layers):
    encoder = attention(embedding, heads=heads, layers=layers)
    found = encoder(query(), embedding).numpy()
    known = tf.constant(HISTORY > 0)
    x = tf.gather(embedding.embeddings, np.maximum(HISTORY, 0))
    x += tf.gather(encoder._positions.embeddings, places_from_end(known))
    x += tf.gather(encoder._ages.embeddings, age_buckets(query()["history_age"]))
    x += tf.gather(encoder._actions.embeddings, ACTIONS)
    for block in encoder._blocks:
        x = keras_block(block, heads)(x, known[:, tf.newaxis, :])
    lengths = (HISTORY > 0).sum(axis=1)
    for i in (0, 1, 2):
        expected = normed(encoder._norm, x[i, lengths[i] - 1])
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-5)


def test_attention_leaves_out_a_share_of_events_and_of_each_sub_layer_in_training(embedding, monkeypatch):
    encoder = attention(embedding, **PLAIN, dropout=0.2)
    monkeypatch.setattr(encoder, "_norm", tf.identity)
    (block,) = encoder._blocks
    block.set_weights([np.zeros(weight.shape) for weight in block.get_weights()])
    # Whatever they are given, attention makes 10 and the feed-forward layer 100; each event is 1.
    block._output.bias.assign(tf.fill([DIM], 10.0))
    block._projection.bias.assign(tf.fill([DIM], 100.0))
    ones = keras.layers.Embedding(7, DIM, embeddings_initializer="ones")
    ones.build(None)
    many = {name: tf.repeat(column[:1], 500, axis=0) for name, column in query().items()}
    np.testing.assert_array_equal(encoder(many, ones), np.full([500, DIM], 111.0))
    left = encoder(many, ones, training=True).numpy()
    for part in (100, 10, 1):
        kept = left > 0.99 * part / 0.8
        assert np.mean(kept) == pytest.approx(0.8, abs=0.03)
        left = left - kept * part / 0.8
    np.testing.assert_allclose(left, 0, atol=1e-4)


def test_a_last_block_of_latest_events_only_is_the_full_block_at_their_places(embedding):
    block = attention(embedding, heads=2)._blocks[0]
    events = Events(tf.constant(HISTORY > 0))
    x = tf.gather(embedding.embeddings, HISTORY[HISTORY > 0])
    full = events.pad(block(x, events)).numpy()
    latest = block(x, events, latest_only=True).numpy()
    for i, length in enumerate((3, 5, 1)):
        np.testing.assert_allclose(latest[i], full[i, length - 1], rtol=1e-4, atol=1e-6)


ENCODERS = {
    "mean": lambda _: MeanHistory(HistoryEncoderConfig()),
    "half_life": lambda _: MeanHistory(HistoryEncoderConfig(half_life=2, divisor="sqrt_length")),
    "attention": lambda embedding: attention(embedding, layers=2, heads=2),
    "without_positions": lambda embedding: attention(embedding, **PLAIN),
}
every_encoder = pytest.mark.parametrize("make", ENCODERS.values(), ids=ENCODERS)


@every_encoder
def test_a_history_means_the_same_whatever_is_beside_it_and_however_it_is_padded(embedding, make):
    encoder = make(embedding)
    together = encoder(query(), embedding).numpy()
    for i, length in enumerate((3, 5, 1, 0)):
        for width in {length, 5, 9} - {0}:
            padding = width - length
            alone = encoder(
                query(
                    np.pad(HISTORY[i : i + 1, :length], [(0, 0), (0, padding)], constant_values=-1),
                    np.pad(AGES[i : i + 1, :length], [(0, 0), (0, padding)]),
                    np.pad(ACTIONS[i : i + 1, :length], [(0, 0), (0, padding)]),
                ),
                embedding,
            )
            np.testing.assert_allclose(alone[0], together[i], rtol=1e-4, atol=1e-5)


@every_encoder
def test_events_of_unknown_candidates_are_as_if_they_were_not_there(embedding, make):
    encoder = make(embedding)
    with_stranger = encoder(
        query([[3, 0, 1, 2, 0]], [[5e6, 77.0, 4e3, 9.0, 1.0]], [[1, 2, 2, 1, 1]]), embedding
    )
    np.testing.assert_allclose(with_stranger[0], encoder(query(), embedding)[0], rtol=1e-4, atol=1e-6)


@every_encoder
def test_an_empty_history_is_zero_also_if_all_are(embedding, make):
    encoder = tf.function(make(embedding))
    np.testing.assert_array_equal(encoder(query(), embedding)[3], np.zeros(DIM))
    np.testing.assert_array_equal(
        encoder(query(HISTORY[3:], AGES[3:], ACTIONS[3:]), embedding), np.zeros([1, DIM])
    )


def test_empty_histories_have_gradients_without_nan(embedding):
    encoder = attention(embedding, layers=2)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(
            encoder(query(HISTORY[2:], AGES[2:], ACTIONS[2:]), embedding, training=True) ** 2
        )
    for gradient in tape.gradient(loss, [*encoder.trainable_variables, embedding.embeddings]):
        assert np.isfinite(tf.convert_to_tensor(gradient)).all()


TWO_ORDERS = [query([row], AGES[:1], ACTIONS[:1]) for row in ([3, 1, 2, -1, -1], [1, 3, 2, -1, -1])]


def test_without_positions_and_ages_one_block_knows_no_order_of_the_earlier_events(embedding):
    plain = attention(embedding, **PLAIN)
    one, other = (
        plain(query([row], AGES[:1], ACTIONS[:1]), embedding)
        for row in ([3, 1, 2, -1, -1], [1, 3, 2, -1, -1])
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_positions_tell_the_order_of_events(embedding):
    encoder = attention(embedding, **PLAIN | {"positions": True})
    one, other = (
        encoder(query([row], AGES[:1], ACTIONS[:1]), embedding)
        for row in ([3, 1, 2, -1, -1], [1, 3, 2, -1, -1])
    )
    assert np.abs(one - other).max() > 0.001


def test_ages_tell_long_ago_from_lately(embedding):
    encoder = attention(embedding, **PLAIN | {"ages": True})
    lately = encoder(query(), embedding)
    long_ago = encoder(query(ages=AGES * 1000), embedding)
    assert np.abs(lately[0] - long_ago[0]).max() > 0.001
    plain = attention(embedding, **PLAIN)
    np.testing.assert_array_equal(plain(query(), embedding), plain(query(ages=AGES * 1000), embedding))


def test_actions_tell_what_an_event_was(embedding):
    other = np.where(ACTIONS == 1, 2, ACTIONS)
    encoder = attention(embedding, **PLAIN | {"actions": True})
    assert np.abs(encoder(query(), embedding)[0] - encoder(query(actions=other), embedding)[0]).max() > 0.001
    plain = attention(embedding, **PLAIN)
    np.testing.assert_array_equal(plain(query(), embedding), plain(query(actions=other), embedding))


def test_without_several_actions_there_is_no_embedding_of_them(embedding):
    encoder = AttentionHistory(DIM, LENGTH, HistoryEncoderConfig(), seed=3)
    found = encoder({name: column for name, column in query().items() if name != "history_action"}, embedding)
    assert found.shape == (4, DIM)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-5, 0), (0, 0), (0.99, 0), (1.5, 1), (3, 2), (5, 3), (7.9, 3), (100, 7), (86_400, 17), (1e30, 33)],
)
def test_the_bucket_of_an_age_is_one_a_doubling(seconds, bucket):
    assert int(age_buckets(tf.constant(float(seconds)))) == bucket < AGE_BUCKETS
