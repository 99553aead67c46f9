"""Features as embeddings, and means of embeddings."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.retrieval import features
from components.retrieval.features import (
    FeatureEncoder,
    masked_mean,
    mean_embedding,
    weighted_mean_embedding,
)
from components.transform.encoding import EncodedFeature


def test_a_vector_is_projected_to_the_width_of_an_embedding_and_a_missing_one_adds_nothing():
    encoder = FeatureEncoder([EncodedFeature("picture", "vector", 0, 5)], 3, seed=1)
    one, other = np.random.default_rng(0).normal(size=(2, 5))
    vectors = tf.constant([one, other, one + other, np.zeros(5)], tf.float32)
    (projected,) = encoder({"picture": vectors})
    assert projected.shape == (4, 3)
    np.testing.assert_allclose(projected[2], projected[0] + projected[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(projected[3], [0, 0, 0])
    assert np.abs(projected[0]).min() > 0


def test_categories_are_the_mean_of_theirs_and_dense_features_stay_as_they_are():
    shapes = [EncodedFeature("words", "categories", 4, 3), EncodedFeature("price", "dense", 0, 1)]
    encoder = FeatureEncoder(shapes, 2, seed=1)
    words, price = encoder({"words": tf.constant([[1, 3, 0]]), "price": tf.constant([[0.25]])})
    table = encoder.get_weights()[0]
    np.testing.assert_allclose(words[0], (table[1] + table[3]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(price, [[0.25]])


def test_mean_of_nothing_is_zero_not_nan():
    vectors = tf.ones([2, 3, 4])
    mask = tf.constant([[True, False, False], [False, False, False]])
    np.testing.assert_array_equal(masked_mean(vectors, mask), [[1] * 4, [0] * 4])


@pytest.mark.parametrize("small_table", [65_536, 3], ids=["dense_gradient", "sparse_gradient"])
@pytest.mark.parametrize("weighted", [False, True])
def test_mean_embedding_is_the_mean_of_the_looked_up_ones_and_has_its_gradient(
    monkeypatch, small_table, weighted
):
    monkeypatch.setattr(features, "_SMALL_TABLE", small_table)
    embedding = keras.layers.Embedding(6, 4)
    embedding.build(None)
    indices = tf.constant([[1, 5, 5, 0], [0, 0, 0, 0], [2, 1, 0, 0]], tf.int64)
    mask = indices > 0
    weights = tf.cast(mask, tf.float32) * (tf.constant([0.25, 1.0, 3.0, 2.0]) if weighted else 1.0)

    def plain():
        total = tf.reduce_sum(embedding(indices) * weights[:, :, tf.newaxis], axis=1)
        return tf.math.divide_no_nan(total, tf.reduce_sum(weights, axis=1, keepdims=True))

    def fast():
        if weighted:
            return weighted_mean_embedding(embedding, indices, weights)
        return mean_embedding(embedding, indices, mask)

    found = []
    for pooled in (fast, plain):
        with tf.GradientTape() as tape:
            mean = pooled()
            loss = tf.reduce_sum(mean**2)
        found.append((mean, tape.gradient(loss, embedding.embeddings)))
    assert isinstance(found[0][1], tf.IndexedSlices) == (small_table == 3)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(
            tf.convert_to_tensor(one), tf.convert_to_tensor(other), rtol=1e-5, atol=1e-8
        )
    assert np.abs(found[0][0]).max() > 0
