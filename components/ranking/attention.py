"""Attention over the history that asks for the candidate."""

from __future__ import annotations

import math

import tensorflow as tf
import tf_keras as keras

from components.retrieval.features import kernel_initializer
from components.retrieval.history import AGE_BUCKETS, age_buckets


class TargetAttention(keras.layers.Layer):
    """A mean of the history's events, weighted by what they have to do with the candidate.

    The local activation unit of Zhou et al., "Deep Interest Network for Click-Through Rate Prediction", KDD
    2018, section 4.3, in its dot-product form: of an event h and a candidate c it is (A c + a) · (B h) /
    sqrt(width), plus a learned number of the event's age. That holds products of the two and what an event
    says alone, but no layer over each pair: of 500 candidates and 50 events a request would run it 25,000
    times, where this is one matrix product of what can be stored for each candidate. Unlike the paper's,
    weights are normalised by a softmax: sums over long histories would grow with their length.
    """

    def __init__(self, width: int, value_width: int, *, seed: int):
        """Makes the projections.

        Args:
            width: Of what is compared.
            value_width: Of what an event adds.
            seed: Of the initial weights.
        """
        super().__init__(name="target_attention")
        self._widths = [width, width, value_width]
        self._asked, self._key, self._value = (
            keras.layers.Dense(
                units, use_bias=name == "asked", kernel_initializer=kernel_initializer(seed + i), name=name
            )
            for i, (name, units) in enumerate(zip(("asked", "key", "value"), self._widths, strict=True))
        )
        self._ages = keras.layers.Embedding(AGE_BUCKETS, 1, "zeros", name="age")

    @property
    def width(self) -> int:
        """Of :meth:`of_candidates`."""
        return sum(self._widths)

    def of_candidates(self, inputs: tf.Tensor) -> tf.Tensor:
        """All that attention takes of candidates and of events of them: float32 [any, ``width``].

        Args:
            inputs: float32 [any, width] what the model sees of the candidates.
        """
        return tf.concat([self._asked(inputs), self._key(inputs), self._value(inputs)], axis=1)

    def call(
        self, candidates: tf.Tensor, events: tf.Tensor, ages: tf.Tensor, visible: tf.Tensor
    ) -> tf.Tensor:
        """The history as each candidate sees it.

        Args:
            candidates: :meth:`of_candidates` of these, float32 [batch, candidates, ``width``].
            events: The same of the history's events, float32 [batch, length, ``width``].
            ages: float32 [batch, length] seconds since each event.
            visible: bool [batch, length], false for padding.

        Returns:
            float32 [batch, candidates, value width]; zeros for an empty history.
        """
        asked, _, _ = tf.split(candidates, self._widths, axis=2)
        _, keys, values = tf.split(events, self._widths, axis=2)
        scores = tf.matmul(asked, keys, transpose_b=True) / math.sqrt(self._widths[0])
        scores += self._ages(age_buckets(ages))[:, tf.newaxis, :, 0]
        shown = tf.cast(visible, tf.float32)[:, tf.newaxis, :]
        # A softmax of nothing at all would be a mean of the padding.
        weights = tf.nn.softmax(tf.where(shown > 0, scores, scores.dtype.min)) * shown
        return tf.matmul(weights, values)
