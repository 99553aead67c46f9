"""Which candidates a batch's queries are held against, and how often each is expected among them."""

from __future__ import annotations

import math

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
        shares = sampling_probabilities(counts)
        self._shares, self._greatest_share = tf.constant(shares), float(shares.max())
        self._candidates = len(counts)
        self._in_batch = in_batch
        self._uniform = uniform

    def draw_uniform(self) -> tf.Tensor | None:
        """Candidate rows drawn evenly for a batch: int64 [uniform]; None where there are to be none."""
        if not self._uniform:
            return None
        return tf.random.uniform([self._uniform], maxval=self._candidates, dtype=tf.int64)

    def log_expected_counts(self, rows: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
        """Logarithm of how often each row is expected among the negatives of a query.

        Of the batch's B candidates those of the query's own interactions, say n, are no negatives, so that

            E(c) = (B - n) · share(c) + uniform / candidates

        (the first term only with in-batch negatives). E / (B - n + uniform) is the exact probability of the
        mixture; its constant denominator cancels in a softmax.

        Args:
            rows: int64 [any] candidate rows.
            others: float32, B - n, of a shape that goes with that of rows.

        Returns:
            float32, of the shape of both together.
        """
        uniform = self._uniform / self._candidates
        if not self._in_batch:
            return tf.fill(tf.shape(rows), math.log(uniform))
        return tf.math.log(tf.maximum(others, 1.0) * tf.gather(self._shares, rows) + uniform)

    @property
    def least_relative_probability(self) -> float:
        """The least of :meth:`relative_probabilities` that any candidate can have in any batch."""
        return float(tf.reduce_min(self.relative_probabilities(tf.range(self._candidates), 1.0)))

    def relative_probabilities(self, rows: tf.Tensor, others: tf.Tensor | float) -> tf.Tensor:
        """Return how likely each row is among the negatives, relative to the likeliest candidate.

        This is the E(c) of :meth:`log_expected_counts`, scaled so that the greatest is 1: a softmax does not
        change with the scale, and the task of TFRS accepts no probability above 1.

        Args:
            rows: int [any] candidate rows.
            others: float32 [], as there, of a pool with in-batch negatives.

        Returns:
            float32 [any], above 0.
        """
        uniform, others = self._uniform / self._candidates, tf.maximum(others, 1.0)
        expected = others * tf.gather(self._shares, rows) + uniform
        return expected / (others * self._greatest_share + uniform)
