"""Encoders of a query's history: a mean, or self-attention over the events."""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf
import tf_keras as keras

from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE
from components.retrieval.config import HistoryEncoderConfig
from components.retrieval.features import embedding_initializer, kernel_initializer, weighted_mean_embedding

UNKNOWN_ID = 0
"""Index of the embedding shared by every id that training has not seen; known ids start at 1."""
AGE_BUCKETS = 34
"""Buckets of an event's age, one a doubling of seconds: the last but one begins at 2³², 136 years."""


def visible_events(history: tf.Tensor, dropout: float, training: bool) -> tf.Tensor:
    """Which events the encoder sees: those with a known candidate, less a random share in training.

    Args:
        history: int64 [batch, length] id embedding indices, negative for padding.
        dropout: The share.
        training: Whether dropout is on.

    Returns:
        bool [batch, length].
    """
    known = history > UNKNOWN_ID
    if training and dropout:
        known &= tf.random.uniform(tf.shape(history)) >= dropout
    return known


def places_from_end(visible: tf.Tensor) -> tf.Tensor:
    """How many visible events follow each: int64 [batch, length], 0 for the latest of a history."""
    return tf.cumsum(tf.cast(visible, tf.int64), axis=1, exclusive=True, reverse=True)


class MeanHistory(keras.layers.Layer):
    """The mean of the events' embeddings, later ones heavier if there is a half-life."""

    def __init__(self, config: HistoryEncoderConfig):
        """Takes the section ``retrieval.history``."""
        super().__init__(name="mean_history")
        self._config = config

    def call(
        self, query: Mapping[str, tf.Tensor], embedding: keras.layers.Embedding, training: bool = False
    ) -> tf.Tensor:
        """Encodes histories.

        Args:
            query: ``history``: int64 [batch, length] id embedding indices, oldest first, negative for
                padding.
            embedding: The events' embeddings, built.
            training: Whether events are hidden at random.

        Returns:
            float32 [batch, dim]; zeros for an empty history.
        """
        history = query[HISTORY]
        visible = visible_events(history, self._config.event_dropout, training)
        weights = tf.cast(visible, tf.float32)
        if self._config.half_life:
            weights *= 0.5 ** (tf.cast(places_from_end(visible), tf.float32) / self._config.half_life)
        mean = weighted_mean_embedding(embedding, history, weights)
        if self._config.divisor == "length":
            return mean
        return mean * tf.sqrt(tf.reduce_sum(weights, axis=1, keepdims=True))


class AttentionHistory(keras.layers.Layer):
    """Self-attention over the events, read at the latest one; knows nothing of any candidate, so it serves.

    Kang and McAuley, "Self-Attentive Sequential Recommendation" (SASRec), ICDM 2018, section 3, with layer
    norms before the sub-layers. Places are counted from the end, so that they mean the same whatever the
    history's length. Dense layers work on the events there are, without padding, and the last block only
    on what the latest event asks for.
    """

    def __init__(self, dim: int, length: int, config: HistoryEncoderConfig, *, seed: int, actions: int = 0):
        """Makes the blocks.

        Args:
            dim: Width of the events' embeddings and of the result.
            length: The longest history.
            config: The section ``retrieval.history``.
            seed: Of the initial weights.
            actions: How many actions ``history_action`` tells apart; 0 without that feature.
        """
        super().__init__(name="attention_history")
        self._config = config
        self._length = length
        self._positions = _embedding(length, dim, seed, "embed_position") if config.positions else None
        self._ages = _embedding(AGE_BUCKETS, dim, seed + 1, "embed_age") if config.ages else None
        self._actions = None
        if config.actions and actions:
            self._actions = _embedding(actions + 1, dim, seed + 2, "embed_action")
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed + 3)
        self._blocks = [
            AttentionBlock(dim, config.heads, config.dropout, seed=seed + 10 * (1 + i))
            for i in range(config.layers)
        ]
        self._norm = keras.layers.LayerNormalization(epsilon=1e-6, name="norm_history")

    def call(
        self, query: Mapping[str, tf.Tensor], embedding: keras.layers.Embedding, training: bool = False
    ) -> tf.Tensor:
        """Encodes histories.

        Args:
            query: ``history``: int64 [batch, length] id embedding indices, oldest first, negative for
                padding; ``history_age``: float32 [batch, length] seconds since each event;
                ``history_action``, where there is one: int64 [batch, length] numbers of actions.
            embedding: The events' embeddings, built.
            training: Whether dropout is on.

        Returns:
            float32 [batch, dim]; zeros for an empty history.
        """
        history = query[HISTORY]
        visible = visible_events(history, self._config.event_dropout, training)
        events = Events(visible)
        x = tf.gather(embedding.embeddings, tf.boolean_mask(history, visible))
        if self._positions:
            places = tf.boolean_mask(places_from_end(visible), visible)
            x += self._positions(tf.minimum(places, self._length - 1))
        if self._ages:
            x += self._ages(age_buckets(tf.boolean_mask(query[HISTORY_AGE], visible)))
        if self._actions:
            x += self._actions(tf.boolean_mask(query[HISTORY_ACTION], visible))
        x = self._dropout(x, training=training)
        for block in self._blocks[:-1]:
            x = block(x, events, training=training)
        last = self._blocks[-1](x, events, latest_only=True, training=training)
        return self._norm(last) * tf.cast(events.lengths > 0, tf.float32)[:, tf.newaxis]


class Events:
    """The events of a batch of histories laid end to end, without padding, and how to go back and forth."""

    def __init__(self, visible: tf.Tensor):
        """Takes which of the events, bool [batch, length], there are."""
        self.lengths = tf.reduce_sum(tf.cast(visible, tf.int64), axis=1)
        """int64 [batch] numbers of events."""
        self.width = tf.reduce_max(self.lengths)
        """int64 scalar, the longest length; at least 0."""
        ends = tf.cumsum(self.lengths)
        steps = tf.range(self.width, dtype=tf.int64)[tf.newaxis, :]
        self.mask = steps < self.lengths[:, tf.newaxis]
        """bool [batch, width]: which places of a padded layout hold an event."""
        self._places = tf.where(self.mask)
        self._latest = tf.maximum(ends - 1, 0)
        self._batch = tf.size(self.lengths, out_type=tf.int64)

    def pad(self, x: tf.Tensor) -> tf.Tensor:
        """From [events, dim] to [batch, width, dim], zeros where there is no event."""
        dim = tf.cast(tf.shape(x)[1], tf.int64)
        return tf.scatter_nd(self._places, x, tf.stack([self._batch, self.width, dim]))

    def unpad(self, x: tf.Tensor) -> tf.Tensor:
        """From [batch, width, dim] to [events, dim]."""
        return tf.gather_nd(x, self._places)

    def latest(self, x: tf.Tensor) -> tf.Tensor:
        """From [events, dim] to each history's latest, [batch, dim]; anything for an empty history."""
        # A batch may hold no event at all, and gathering needs one.
        return tf.gather(tf.pad(x, [[0, 1], [0, 0]]), self._latest)


class AttentionBlock(keras.layers.Layer):
    """Transformer block: causal multi-head self-attention and a feed-forward layer, each added to its input.

    Vaswani et al., "Attention Is All You Need", NeurIPS 2017, sections 3.1 to 3.3.
    """

    def __init__(self, dim: int, heads: int, dropout: float, *, seed: int):
        """Makes the layers; ``heads`` divides ``dim``."""
        super().__init__()
        self._heads = heads
        self._head_dim = dim // heads
        self._attention_norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self._query, self._key, self._value, self._output = (
            keras.layers.Dense(dim, kernel_initializer=kernel_initializer(seed + i)) for i in range(4)
        )
        self._feed_forward_norm = keras.layers.LayerNormalization(epsilon=1e-6)
        self._hidden = keras.layers.Dense(
            4 * dim, activation="gelu", kernel_initializer=kernel_initializer(seed + 4)
        )
        self._projection = keras.layers.Dense(dim, kernel_initializer=kernel_initializer(seed + 5))
        self._dropout = keras.layers.Dropout(dropout, seed=seed + 6)

    def call(
        self, x: tf.Tensor, events: Events, latest_only: bool = False, training: bool = False
    ) -> tf.Tensor:
        """Transforms events.

        Args:
            x: float32 [events, dim].
            events: Whose events they are.
            latest_only: Whether only the latest of each history is wanted.
            training: Whether dropout is on.

        Returns:
            float32 [events, dim], or [batch, dim] of the latest.
        """
        normed = self._attention_norm(x)
        keys, values = (self._split(events.pad(layer(normed))) for layer in (self._key, self._value))
        mask = events.mask[:, tf.newaxis, tf.newaxis, :]
        if latest_only:
            x = events.latest(x)
            queries = self._split(self._query(events.latest(normed))[:, tf.newaxis])
        else:
            queries = self._split(events.pad(self._query(normed)))
            steps = tf.range(events.width)
            mask = mask & (steps[:, tf.newaxis] >= steps[tf.newaxis, :])
        scores = tf.matmul(queries, keys, transpose_b=True) / math.sqrt(self._head_dim)
        weights = tf.nn.softmax(tf.where(mask, scores, -1e9))
        attended = self._join(tf.matmul(weights, values))
        attended = attended[:, 0] if latest_only else events.unpad(attended)
        x += self._dropout(self._output(attended), training=training)
        hidden = self._hidden(self._feed_forward_norm(x))
        return x + self._dropout(self._projection(hidden), training=training)

    def _split(self, x: tf.Tensor) -> tf.Tensor:
        """From [batch, width, dim] to [batch, heads, width, dim / heads]."""
        shape = tf.shape(x)
        split = tf.reshape(x, [shape[0], shape[1], self._heads, self._head_dim])
        return tf.transpose(split, [0, 2, 1, 3])

    def _join(self, x: tf.Tensor) -> tf.Tensor:
        """The inverse of :meth:`_split`."""
        shape = tf.shape(x)
        return tf.reshape(tf.transpose(x, [0, 2, 1, 3]), [shape[0], shape[2], self._heads * self._head_dim])


def age_buckets(seconds: tf.Tensor) -> tf.Tensor:
    """The bucket of each age: 0 below one second, then one for each doubling; int64, same shape."""
    doublings = tf.math.log(tf.maximum(seconds, 0.5)) / math.log(2.0)
    return tf.cast(tf.clip_by_value(tf.floor(doublings) + 1, 0, AGE_BUCKETS - 1), tf.int64)


def _embedding(size: int, dim: int, seed: int, name: str) -> keras.layers.Embedding:
    return keras.layers.Embedding(size, dim, embeddings_initializer=embedding_initializer(seed), name=name)
