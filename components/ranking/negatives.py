"""Candidates drawn as negatives, and the correction for how often each one is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.ingest.declaration import HISTORY
from components.ranking.config import Negatives
from components.ranking.repeats import contains, sort_history
from components.ranking.retrieved import RETRIEVED_POSITIVE, RETRIEVED_ROWS
from components.retrieval.negatives import sampling_probabilities
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW

NEGATIVE_ROWS = "negative_rows"
"""Feature of a batch: int64 [batch, drawn] rows, ``UNKNOWN_ROW`` where none could be drawn."""


class NegativeSampler:
    """Draws negatives for a batch of interactions.

    Per interaction, candidate c is drawn ``popular x share(c) + uniform / catalogue + history x
    [c in history] / (candidates in history) + retrieved x [c in pool] / (candidates in pool)`` times on
    average, the pool being what the towers retrieve (:mod:`components.ranking.retrieved`). A logistic
    classifier of positives against such draws, its logit lowered by the logarithm of that number, learns the
    probability itself that the query's next positive is c (noise-contrastive estimation: Gutmann and
    Hyvarinen, JMLR 13, 2012, eq. 4-5; exactly, as draws that hit the positive itself are left out). So it
    keeps popularity and repeats, which an uncorrected classifier would unlearn in the measure it is shown
    popular and repeated negatives.
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
            batch: ``candidate_row``, ``history`` and, where they are drawn from, ``RETRIEVED_ROWS`` and
                ``RETRIEVED_POSITIVE``.
            seed: Two integers; equal seeds draw equally.

        Returns:
            int64 [batch, drawn]: popular ones, then uniform, of the history, and retrieved. ``UNKNOWN_ROW``
            where the interaction's own candidate came up, or there is none to draw.
        """
        own = batch[CANDIDATE_ROW][:, tf.newaxis]
        kinds = (
            (self._negatives.popular, self._popular),
            (self._negatives.uniform, self._uniform),
            (self._negatives.history, self._of_history),
            (self._negatives.retrieved, self._retrieved),
        )
        seeds = tf.unstack(tf.random.split(seed, len(kinds)))
        drawn = [
            draw(batch, number, part) for (number, draw), part in zip(kinds, seeds, strict=True) if number
        ]
        rows = tf.concat(drawn, axis=1)
        return tf.where(rows == own, tf.cast(UNKNOWN_ROW, tf.int64), rows)

    def log_expected(self, batch: Mapping[str, tf.Tensor], rows: tf.Tensor) -> tf.Tensor:
        """Logarithm of how often each candidate is drawn for each query on average.

        Args:
            batch: As for :meth:`draw`.
            rows: int64 [batch, candidates], none negative.

        Returns:
            float32 [batch, candidates].
        """
        expected = (
            self._negatives.popular * tf.gather(self._share, rows) + self._negatives.uniform / self._size
        )
        if self._negatives.history:
            expected += self._negatives.history * _share_of(batch[HISTORY], rows)
        if self._negatives.retrieved:
            expected += self._negatives.retrieved * _share_of(batch[RETRIEVED_ROWS], rows)
        return tf.math.log(expected)

    def _popular(self, batch: Mapping[str, tf.Tensor], number: int, seed: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(batch[HISTORY])[0], number]
        nth = tf.random.stateless_uniform(shape, seed, maxval=self._cumulative[-1], dtype=tf.int64)
        found = tf.searchsorted(self._cumulative, tf.reshape(nth, [-1]), side="right", out_type=tf.int64)
        return tf.reshape(found, shape)

    def _uniform(self, batch: Mapping[str, tf.Tensor], number: int, seed: tf.Tensor) -> tf.Tensor:
        shape = [tf.shape(batch[HISTORY])[0], number]
        return tf.random.stateless_uniform(shape, seed, maxval=self._size, dtype=tf.int64)

    def _of_history(self, batch: Mapping[str, tf.Tensor], number: int, seed: tf.Tensor) -> tf.Tensor:
        history = batch[HISTORY]
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

    def _retrieved(self, batch: Mapping[str, tf.Tensor], number: int, seed: tf.Tensor) -> tf.Tensor:
        pool = batch[RETRIEVED_ROWS]
        sizes = tf.reduce_sum(tf.cast(pool >= 0, tf.int32), axis=1, keepdims=True)
        share = tf.random.stateless_uniform([tf.shape(pool)[0], number], seed)
        # What there is stands first.
        places = tf.minimum(tf.cast(share * tf.cast(sizes, tf.float32), tf.int32), tf.maximum(sizes - 1, 0))
        chosen = tf.gather(batch[RETRIEVED_POSITIVE], places, batch_dims=1)
        found = tf.gather(pool, places, batch_dims=1)
        return tf.where(chosen, tf.cast(UNKNOWN_ROW, tf.int64), found)


def _share_of(among: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """One over the number of distinct candidates ``among`` has, for rows it has; 0 for others.

    Args:
        among: int64 [batch, any] rows, negative for padding.
        rows: int64 [batch, candidates], none negative.
    """
    ordered = sort_history(among)
    distinct = tf.reduce_sum(tf.cast(ordered.first, tf.float32), axis=1, keepdims=True)
    return tf.math.divide_no_nan(tf.cast(contains(ordered, rows), tf.float32), distinct)
