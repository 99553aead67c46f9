"""The query tower and the candidate tower."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import RetrievalConfig
from components.retrieval.features import FeatureEncoder, embedding_initializer, kernel_initializer
from components.retrieval.history import UNKNOWN_ID, AttentionHistory, MeanHistory
from components.transform.encoding import EncodedFeature


class Embedded(NamedTuple):
    """What a tower makes of queries or candidates.

    Attributes:
        embedding: float32 [batch, dim + 1], [batch, dim] without bias; of any length.
        hidden: float32 [batch, any], what the embedding but for the bias is linear in: the last hidden layer,
            and what is added to the embedding beside it.
    """

    embedding: tf.Tensor
    hidden: tf.Tensor


class Tower(keras.layers.Layer):
    """What inputs add to an embedding: hidden layers over them, then a linear layer; or nothing but that."""

    def __init__(self, config: RetrievalConfig, *, seed: int, name: str | None = None):
        """Makes ``config.layers`` hidden layers and the output layer of ``config.dim``."""
        super().__init__(name=name)
        self._hidden = [
            keras.layers.Dense(width, activation="relu", kernel_initializer=kernel_initializer(seed + i))
            for i, width in enumerate(config.layers or ())
        ]
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed)
        self._output = keras.layers.Dense(config.dim, kernel_initializer=kernel_initializer(seed + 99))

    def call(self, inputs: Sequence[tf.Tensor], training: bool = False) -> Embedded:
        """Maps float32 [batch, any] inputs to float32 [batch, dim], and the last hidden layer."""
        x = tf.concat(list(inputs), axis=1)
        for layer in self._hidden:
            x = self._dropout(layer(x), training=training)
        return Embedded(self._output(x), x)


class CandidateTower(keras.layers.Layer):
    """Embeds a candidate from its id and features; the last component is its bias, if there is one.

    The bias lets the dot product carry popularity, which neither id nor features need to spend
    capacity on; the query tower's last component is then the constant 1.
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
        self.ids = _embedding(known_ids + 1, config.dim, config.seed + 1, "embed_id")
        self.ids.build(None)
        self._bias = None
        if config.bias:
            self._bias = keras.layers.Embedding(known_ids + 1, 1, embeddings_initializer="zeros", name="bias")
        self._features = FeatureEncoder(features, config.feature_dim, seed=config.seed + 100)
        self._tower = None
        if features or config.layers is not None:
            self._tower = Tower(config, seed=config.seed + 200)

    def call(self, ids: tf.Tensor, features: Mapping[str, tf.Tensor], training: bool = False) -> Embedded:
        """Embeds candidates.

        Args:
            ids: int64 [batch] indices of id embeddings, ``UNKNOWN_ID`` for a candidate not trained on.
            features: Encoded features, each [batch, ...].
            training: Whether dropout is on.
        """
        if training:
            ids = drop_ids(ids, self._config.id_dropout)
        embedding = hidden = identity = self.ids(ids)
        if self._tower:
            inputs = [] if self._config.layers is None else [identity]
            made = self._tower([*inputs, *self._features(features)], training=training)
            embedding, hidden = identity + made.embedding, tf.concat([identity, made.hidden], axis=1)
        if self._bias is not None:
            embedding = tf.concat([embedding, self._bias(ids)], axis=1)
        return Embedded(embedding, hidden)


class QueryTower(keras.layers.Layer):
    """Embeds a query from its id, its attributes and context, and its history."""

    def __init__(
        self,
        id_name: str,
        id_size: int,
        features: Sequence[EncodedFeature],
        known_candidates: int,
        history_length: int,
        config: RetrievalConfig,
        candidate_ids: keras.layers.Embedding,
        history_actions: int = 0,
    ):
        """Makes the tower.

        Args:
            id_name: Name of the query id among the inputs.
            id_size: Number of integers an id can be; the last one stands for unknown.
            features: Shapes of context and attributes.
            known_candidates: Number of candidates with an embedding of their own in a history.
            history_length: The longest history.
            config: Widths, dropout and seed.
            candidate_ids: The candidate tower's id embeddings, for a history that shares them.
            history_actions: How many actions ``history_action`` tells apart; 0 without that feature.
        """
        super().__init__(name="query_tower")
        self._config = config
        self._id_name = id_name
        self._unknown = id_size - 1
        self._ids = None
        if config.query_id:
            # Without a tower nothing could widen it.
            width = config.dim if config.layers is None else config.feature_dim
            self._ids = _embedding(id_size, width, config.seed + 2, "embed_id")
        self._history: AttentionHistory | MeanHistory | None = None
        if config.history.encoder == "attention":
            self._history = AttentionHistory(
                config.dim,
                history_length,
                config.history,
                seed=config.seed + 500,
                actions=history_actions,
            )
        elif config.history.encoder == "mean":
            self._history = MeanHistory(config.history)
        if self._history and config.history.shared:
            self._events = candidate_ids
        elif self._history:
            self._events = _embedding(known_candidates + 1, config.dim, config.seed + 3, "embed_history")
            self._events.build(None)
        self._features = FeatureEncoder(features, config.feature_dim, seed=config.seed + 300)
        self._tower = None
        if features or config.layers is not None:
            self._tower = Tower(config, seed=config.seed + 400)

    def call(self, query: Mapping[str, tf.Tensor], training: bool = False) -> Embedded:
        """Embeds queries.

        Args:
            query: The encoded id (int64 [batch]) and features; ``history``: int64 [batch, length] id
                embedding indices of candidates, negative for padding; ``history_age``: float32
                [batch, length] seconds since each event; ``history_action``, where there is one: int64
                [batch, length] numbers of actions.
            training: Whether dropout is on.
        """
        parts: list[tf.Tensor] = []
        inputs: list[tf.Tensor] = []
        if self._ids:
            ids = query[self._id_name]
            if training:
                ids = drop_ids(ids, self._config.id_dropout, unknown=self._unknown)
            (parts if self._config.layers is None else inputs).append(self._ids(ids))
        if self._history:
            history = self._history(query, self._events, training=training)
            parts.append(history)
            if self._config.layers is not None:
                inputs.append(history)
        hidden = parts
        if self._tower:
            made = self._tower([*inputs, *self._features(query)], training=training)
            parts, hidden = [*parts, made.embedding], [*parts, made.hidden]
        embedding = tf.add_n(parts)
        if self._config.bias:
            embedding = tf.concat([embedding, tf.ones_like(embedding[:, :1])], axis=1)
        return Embedded(embedding, tf.concat(hidden, axis=1))


def drop_ids(ids: tf.Tensor, share: float, unknown: int = UNKNOWN_ID) -> tf.Tensor:
    """Replaces a random share of ids by the unknown one, whose embedding learns what is true of anybody."""
    dropped = tf.random.uniform(tf.shape(ids)) < share
    return tf.where(dropped, tf.cast(unknown, ids.dtype), ids)


def _embedding(size: int, dim: int, seed: int, name: str) -> keras.layers.Embedding:
    return keras.layers.Embedding(size, dim, embeddings_initializer=embedding_initializer(seed), name=name)
