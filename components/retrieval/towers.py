"""The query tower and the candidate tower, and the encoders they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tf_keras as keras

from components.ingest.declaration import HISTORY
from components.retrieval.config import RetrievalConfig
from components.transform.encoding import EncodedFeature

UNKNOWN_ID = 0
"""Index of the embedding shared by every id that training has not seen; known ids start at 1."""


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
            feature.name: keras.layers.Embedding(feature.size, dim, embeddings_initializer=_uniform(seed + i))
            for i, feature in enumerate(self._features)
            if feature.kind in ("category", "categories")
        }
        self._projections = {
            feature.name: keras.layers.Dense(dim, use_bias=False, kernel_initializer=_glorot(seed + i))
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

    What :func:`masked_mean` makes of the looked-up embeddings, as one product of a sparse matrix with the
    table: neither the embeddings of long histories nor their gradients are laid out one by one, which halves
    the time of a training step.

    Args:
        embedding: The embeddings, built.
        indices: int64 [batch, length].
        mask: bool [batch, length].

    Returns:
        float32 [batch, dim].
    """
    places = tf.where(mask)
    weights = 1.0 / tf.maximum(tf.reduce_sum(tf.cast(mask, tf.float32), axis=1), 1.0)
    matrix = tf.SparseTensor(
        tf.stack([places[:, 0], tf.boolean_mask(indices, mask)], axis=1),
        tf.gather(weights, places[:, 0]),
        tf.stack([tf.shape(indices, out_type=tf.int64)[0], tf.constant(embedding.input_dim, tf.int64)]),
    )
    return tf.sparse.sparse_dense_matmul(matrix, tf.convert_to_tensor(embedding.embeddings))


class Tower(keras.layers.Layer):
    """Hidden layers over the concatenated inputs, then a linear layer to the embedding's width."""

    def __init__(self, config: RetrievalConfig, *, seed: int, name: str | None = None):
        """Makes ``config.layers`` hidden layers and the output layer of ``config.dim``."""
        super().__init__(name=name)
        self._hidden = [
            keras.layers.Dense(width, activation="relu", kernel_initializer=_glorot(seed + i))
            for i, width in enumerate(config.layers)
        ]
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed)
        self._output = keras.layers.Dense(config.dim, kernel_initializer=_glorot(seed + 99))

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Maps float32 [batch, any] inputs to float32 [batch, dim]."""
        x = tf.concat(list(inputs), axis=1)
        for layer in self._hidden:
            x = self._dropout(layer(x), training=training)
        return self._output(x)


class CandidateTower(keras.layers.Layer):
    """Embeds a candidate from its id and features; the last component is a bias of the candidate.

    The bias lets the dot product carry popularity, which neither id nor features need to spend
    capacity on; the query tower's last component is the constant 1.
    """

    def __init__(self, features: Sequence[EncodedFeature], known_ids: int, config: RetrievalConfig):
        """Makes the tower.

        Args:
            features: Shapes of the catalogue's encoded features.
            known_ids: Number of candidates with an id embedding of their own.
            config: Widths, dropout and seed.
        """
        super().__init__(name="candidate_tower")
        self._config = config
        self.ids = keras.layers.Embedding(
            known_ids + 1, config.dim, embeddings_initializer=_uniform(config.seed + 1), name="embed_id"
        )
        self._bias = keras.layers.Embedding(known_ids + 1, 1, embeddings_initializer="zeros", name="bias")
        self._features = FeatureEncoder(features, config.feature_dim, seed=config.seed + 100)
        self._tower = Tower(config, seed=config.seed + 200)

    def call(self, ids: tf.Tensor, features: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Embeds candidates.

        Args:
            ids: int64 [batch] indices of id embeddings, ``UNKNOWN_ID`` for a candidate not trained on.
            features: Encoded features, each [batch, ...].
            training: Whether dropout is on.

        Returns:
            float32 [batch, dim + 1] embeddings, [batch, dim] of unit length if ``normalize``.
        """
        if training:
            ids = drop_ids(ids, self._config.id_dropout)
        identity = self.ids(ids)
        embedding = identity + self._tower([identity, *self._features(features)], training=training)
        if self._config.normalize:
            return tf.math.l2_normalize(embedding, axis=1)
        return tf.concat([embedding, self._bias(ids)], axis=1)


class QueryTower(keras.layers.Layer):
    """Embeds a query from its id, its attributes and context, and the mean of its history."""

    def __init__(
        self,
        id_name: str,
        id_size: int,
        features: Sequence[EncodedFeature],
        known_candidates: int,
        config: RetrievalConfig,
    ):
        """Makes the tower.

        Args:
            id_name: Name of the query id among the inputs.
            id_size: Number of integers an id can be; the last one stands for unknown.
            features: Shapes of context and attributes.
            known_candidates: Number of candidates with an embedding of their own in a history.
            config: Widths, dropout and seed.
        """
        super().__init__(name="query_tower")
        self._config = config
        self._id_name = id_name
        self._unknown = id_size - 1
        self._ids = keras.layers.Embedding(
            id_size, config.feature_dim, embeddings_initializer=_uniform(config.seed + 2), name="embed_id"
        )
        self._history = keras.layers.Embedding(
            known_candidates + 1,
            config.dim,
            embeddings_initializer=_uniform(config.seed + 3),
            name="embed_history",
        )
        self._history.build(None)
        self._features = FeatureEncoder(features, config.feature_dim, seed=config.seed + 300)
        self._tower = Tower(config, seed=config.seed + 400)

    def call(self, query: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Embeds queries.

        Args:
            query: The encoded id (int64 [batch]) and features, and ``history``: int64 [batch, length] id
                embedding indices of candidates, negative for padding.
            training: Whether dropout is on.

        Returns:
            float32 [batch, dim + 1] embeddings, [batch, dim] of unit length if ``normalize``.
        """
        ids = query[self._id_name]
        if training:
            ids = drop_ids(ids, self._config.id_dropout, unknown=self._unknown)
        history = query[HISTORY]
        pooled = mean_embedding(self._history, history, history > UNKNOWN_ID)
        embedding = pooled + self._tower([self._ids(ids), pooled, *self._features(query)], training=training)
        if self._config.normalize:
            return tf.math.l2_normalize(embedding, axis=1)
        return tf.concat([embedding, tf.ones_like(embedding[:, :1])], axis=1)


def drop_ids(ids: tf.Tensor, share: float, unknown: int = UNKNOWN_ID) -> tf.Tensor:
    """Replaces a random share of ids by the unknown one, whose embedding learns what is true of anybody."""
    dropped = tf.random.uniform(tf.shape(ids)) < share
    return tf.where(dropped, tf.cast(unknown, ids.dtype), ids)


def _uniform(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)


def _glorot(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.GlorotUniform(seed=seed)
