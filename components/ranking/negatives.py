"""Candidates drawn as negatives, and the correction for how often each one is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.ingest.declaration import HISTORY
from components.ranking.config import Negatives
from components.ranking.repeats import contains, sort_history
from components.retrieval.negatives import sampling_probabilities
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW

NEGATIVE_ROWS = "negative_rows"
"""Feature of a batch: int64 [batch, drawn] rows, ``UNKNOWN_ROW`` where none could be drawn."""


class NegativeSampler:
    """Draws negatives for a batch of interactions.

    Per interaction, candidate c is drawn ``popular x share(c) + uniform / catalogue + history x
    [c in history] / (candidates in history)`` times on average. A logistic classifier of positives against
    such draws, its logit lowered by the logarithm of that number, learns the probability itself that the
    query's next positive is c (noise-contrastive estimation: Gutmann and Hyvarinen, JMLR 13, 2012, eq. 4-5;
    exactly, as draws that hit the positive itself are left out). So it keeps popularity and repeats, which
    an uncorrected classifier would unlearn in the measure it is shown popular and repeated negatives.
    """

    def __init__(self, negatives: Negatives, counts: np.ndarray):
        """Takes how many to draw, and int64 [candidates] positive training interactions per row."""
        self._negatives = negatives
        self._size = len(counts)
        self._share = tf.constant(sampling_probabilities(counts))
        self._cumulative = tf.constant(np.cumsum(counts), tf.int64)

    def with_negatives(self, batches: tf.data.Dataset, seed: int, *, every_epoch: bool) -> tf.data.Dataset:
        """Adds ``NEGATIVE_ROWS`` to batches of interactions.

        Args:
            batches: Batches of interactions.
            seed: What the draws follow from.
            every_epoch: Whether each pass draws anew (training) or the same again (validation).
        """
        seeds = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=every_epoch).batch(2)
        return tf.data.Dataset.zip(batches, seeds).map(
            lambda batch, pair: {**batch, NEGATIVE_ROWS: self.draw(batch, pair)},
            num_parallel_calls=2,
            deterministic=True,
        )

    def draw(self, batch: Mapping[str, tf.Tensor], seed: tf.Tensor) -> tf.Tensor:
        """Rows of negatives for each interaction.

        Args:
            batch: ``candidate_row`` and ``history``.
            seed: Two integers; equal seeds draw equally.

        Returns:
            int64 [batch, drawn]: popular ones, then uniform, then of the history. ``UNKNOWN_ROW`` where the
            interaction's own candidate came up, or the history is empty.
        """
        own = batch[CANDIDATE_ROW][:, tf.newaxis]
        kinds = (
            (self._negatives.popular, self._popular),
            (self._negatives.uniform, self._uniform),
            (self._negatives.history, self._of_history),
        )
        seeds = tf.unstack(tf.random.split(seed, len(kinds)))
        drawn = [
            draw(batch[HISTORY], number, part)
            for (number, draw), part in zip(kinds, seeds, strict=True)
            if number
        ]
        rows = tf.concat(drawn, axis=1)
        return tf.where(rows == own, tf.cast(UNKNOWN_ROW, tf.int64), rows)

    def log_expected(self, history: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Logarithm of how often each candidate is drawn for each query on average.

        Args:
            history: int64 [batch, length] rows, negative for padding.
            rows: int64 [batch, candidates], none negative.

        Returns:
            float32 [batch, candidates].
        """
        ordered = sort_history(history)
        distinct = tf.reduce_sum(tf.cast(ordered.first, tf.float32), axis=1, keepdims=True)
        of_history = tf.math.divide_no_nan(tf.cast(contains(ordered, rows), tf.float32), distinct)
        return tf.math.log(
            self._negatives.popular * tf.gather(self._share, rows)
            + self._negatives.uniform / self._size
            + self._negatives.history * of_history
        )

    def _popular(self, history: tf.Tensor, number: int, seed: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(history)[0], number]
        nth = tf.random.stateless_uniform(shape, seed, maxval=self._cumulative[-1], dtype=tf.int64)
        found = tf.searchsorted(self._cumulative, tf.reshape(nth, [-1]), side="right", out_type=tf.int64)
        return tf.reshape(found, shape)

    def _uniform(self, history: tf.Tensor, number: int, seed: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(history)[0], number]
        return tf.random.stateless_uniform(shape, seed, maxval=self._size, dtype=tf.int64)

    def _of_history(self, history: tf.Tensor, number: int, seed: tf.Tensor) -> tf.Tensor:
        ordered = sort_history(history)
        running = tf.cumsum(tf.cast(ordered.first, tf.int32), axis=1)
        distinct = running[:, -1:]
        shape = [tf.shape(history)[0], number]
        # The n-th distinct candidate stands where their running number first reaches n.
        share = tf.random.stateless_uniform(shape, seed)
        nth = 1 + tf.minimum(
            tf.cast(share * tf.cast(distinct, tf.float32), tf.int32), tf.maximum(distinct - 1, 0)
        )
        place = tf.minimum(tf.searchsorted(running, nth), tf.shape(history)[1] - 1)
        found = tf.gather(ordered.rows, place, batch_dims=1)
        return tf.where(distinct > 0, found, tf.cast(UNKNOWN_ROW, tf.int64))
