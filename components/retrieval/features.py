"""Encoders of features, and means of embeddings; both models are made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras as keras

from components.transform.encoding import EncodedFeature

_SMALL_TABLE = 65_536
"""Rows of an embedding table up to which a gradient of all of it costs less than finding unique rows."""


def embedding_initializer(seed: int) -> keras.initializers.Initializer:
    """How embeddings start: small, so that similarities start near zero."""
    return keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)


def kernel_initializer(seed: int) -> keras.initializers.Initializer:
    """How dense layers start."""
    return keras.initializers.GlorotUniform(seed=seed)


class FeatureEncoder(keras.layers.Layer):
    """Embeds encoded features and lays them side by side.

    A category becomes its embedding, several categories become the mean of theirs, a vector is projected
    (linearly, without bias: a missing one, all zeros, stays zeros), a dense feature stays as it is.
    """

    def __init__(self, features: Sequence[EncodedFeature], dim: int, *, seed: int, name: str | None = None):
        """Makes an embedding per categorical feature and a projection per vector, ``dim`` wide."""
        super().__init__(name=name)
        self._features = tuple(features)
        self._embeddings = {
            feature.name: keras.layers.Embedding(
                feature.size, dim, embeddings_initializer=embedding_initializer(seed + i)
            )
            for i, feature in enumerate(self._features)
            if feature.kind in ("category", "categories")
        }
        self._projections = {
            feature.name: keras.layers.Dense(
                dim, use_bias=False, kernel_initializer=kernel_initializer(seed + i)
            )
            for i, feature in enumerate(self._features)
            if feature.kind == "vector"
        }

    def call(self, features: Mapping[str, tf.Tensor]) -> list[tf.Tensor]:
        """Returns one float32 [batch, width] tensor per feature, in the order declared."""
        return [self._encode(feature, features[feature.name]) for feature in self._features]

    def _encode(self, feature: EncodedFeature, values: tf.Tensor) -> tf.Tensor:
        if feature.kind == "dense":
            return tf.cast(values, tf.float32)
        if feature.kind == "vector":
            return self._projections[feature.name](values)
        embedded = self._embeddings[feature.name](values)
        if feature.kind == "category":
            return embedded
        return masked_mean(embedded, values > 0)


def masked_mean(vectors: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean over the second dimension where the mask holds; zero where it holds nowhere.

    Args:
        vectors: float32 [batch, length, dim].
        mask: bool [batch, length].

    Returns:
        float32 [batch, dim].
    """
    weights = tf.cast(mask, tf.float32)[:, :, tf.newaxis]
    return tf.math.divide_no_nan(tf.reduce_sum(vectors * weights, axis=1), tf.reduce_sum(weights, axis=1))


def mean_embedding(embedding: keras.layers.Embedding, indices: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Mean of the embeddings of each row's indices where the mask holds; zero where it holds nowhere.

    Args:
        embedding: The embeddings, built.
        indices: int64 [batch, length].
        mask: bool [batch, length].

    Returns:
        float32 [batch, dim].
    """
    return weighted_mean_embedding(embedding, indices, tf.cast(mask, tf.float32))


def weighted_mean_embedding(
    embedding: keras.layers.Embedding, indices: tf.Tensor, weights: tf.Tensor
) -> tf.Tensor:
    """Weighted mean of the embeddings of each row's indices; zero where all weights are.

    What looking up and :func:`masked_mean` make, as one product of a sparse matrix with the table: neither
    the embeddings of long histories nor their gradients are laid out one by one, which halves the time of a
    training step. Of a large table only the rows in use take part, so that the gradient stays sparse.

    Args:
        embedding: The embeddings, built.
        indices: int64 [batch, length].
        weights: float32 [batch, length], not negative; 0 leaves an index out.

    Returns:
        float32 [batch, dim].
    """
    table, columns = tf.convert_to_tensor(embedding.embeddings), tf.constant(embedding.input_dim, tf.int64)
    places = tf.where(weights > 0)
    used = tf.gather_nd(indices, places)
    if embedding.input_dim > _SMALL_TABLE:
        rows, used = tf.unique(used, out_idx=tf.int64)
        table, columns = tf.gather(embedding.embeddings, rows), tf.size(rows, out_type=tf.int64)
    totals = tf.reduce_sum(weights, axis=1)
    shares = tf.gather_nd(weights, places) / tf.gather(totals, places[:, 0])
    matrix = tf.SparseTensor(
        tf.stack([places[:, 0], used], axis=1),
        shares,
        tf.stack([tf.shape(indices, out_type=tf.int64)[0], columns]),
    )
    return tf.sparse.sparse_dense_matmul(matrix, table)
