"""Which candidates a batch's queries are held against, and how often each is expected among them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def sampling_probabilities(counts: np.ndarray) -> np.ndarray:
    """Probability of each candidate to be an interaction's: its share of the training interactions.

    Args:
        counts: [candidates] training interactions per candidate row.

    Returns:
        float32 [candidates]; a candidate never seen gets the share of half an interaction, so that its
        logarithm is finite.
    """
    smoothed = np.maximum(counts.astype(np.float64), 0.5)
    return (smoothed / max(counts.sum(), 1)).astype(np.float32)


class NegativePool:
    """The negatives of a batch: the batch's own candidates, and ones drawn evenly from the catalogue.

    All queries of the batch share them, so that scoring them is one matrix product (mixed negative sampling:
    Yang et al., "Mixed Negative Sampling for Learning Two-tower Neural Networks in Recommendations",
    WWW 2020).
    """

    def __init__(self, counts: np.ndarray, *, in_batch: bool, uniform: int):
        """Makes the pool.

        Args:
            counts: int [candidates] training interactions per candidate row.
            in_batch: Whether the batch's candidates are in it.
            uniform: How many are drawn evenly, with replacement.
        """
        self._shares = tf.constant(sampling_probabilities(counts))
        self._candidates = len(counts)
        self._in_batch = in_batch
        self._uniform = uniform

    def draw_uniform(self) -> tf.Tensor | None:
        """Candidate rows drawn evenly for a batch: int64 [uniform]; None where there are to be none."""
        if not self._uniform:
            return None
        return tf.random.uniform([self._uniform], maxval=self._candidates, dtype=tf.int64)

    def log_expected_counts(self, rows: tf.Tensor, batch_size: tf.Tensor) -> tf.Tensor:
        """Logarithm of how often each row is expected among the negatives of one interaction.

        Of the batch's B candidates one is the interaction's own positive, so that

            E(c) = (B - 1) · share(c) + uniform / candidates

        (the first term only with in-batch negatives). E / (B - 1 + uniform) is the exact probability of the
        mixture; its constant denominator cancels in a softmax.

        Args:
            rows: int64 [any] candidate rows.
            batch_size: int32 scalar, B.

        Returns:
            float32 [any].
        """
        expected = tf.fill(tf.shape(rows), self._uniform / self._candidates)
        if self._in_batch:
            others = tf.cast(tf.maximum(batch_size - 1, 1), tf.float32)
            expected += others * tf.gather(self._shares, rows)
        return tf.math.log(expected)
