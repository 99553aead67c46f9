"""What a list is ordered by: the towers' score and the ranker's heads, put together."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence

import tensorflow as tf

from components.ranking.heads import RETRIEVAL, Combination, Head

_LEAST_PROBABILITY = 1e-30


class FinalScore:
    """The declared combination of heads.

    Log-linear, the score is the sum over heads of weight x the logarithm of a probability, or x the value;
    which is the logarithm of the product of the probabilities, each to the power of its weight. As an
    expected value, it is the sum of weight x probability, or x value: with the worth of an action as its
    head's weight, what showing the candidate is worth. The towers' score enters as it is, times its weight.
    """

    def __init__(self, heads: Sequence[Head], weights: Mapping[str, float], combination: Combination):
        """Takes the weights that are not 0.

        Args:
            heads: Of the ranker.
            weights: Of heads and of ``RETRIEVAL``, by name: ``assemble.weights``, checked against the heads.
            combination: ``assemble.combination``.
        """
        self._probabilities = {head.name for head in heads if head.kind == "probability"}
        self._weights = {name: weight for name, weight in weights.items() if weight}
        self._log = combination == "log_linear"

    def __call__(self, retrieved: tf.Tensor, heads: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Combines.

        Args:
            retrieved: float32 [batch, candidates], the towers' scores; -inf for a place without a candidate.
            heads: What the ranker says of the candidates, of the same shape.

        Returns:
            float32 [batch, candidates]; -inf where there is no candidate.
        """
        said = {**heads, RETRIEVAL: retrieved}
        terms = [weight * self._term(name, said[name]) for name, weight in self._weights.items()]
        # An empty place stays one, whatever the weights: 0 x inf is not a number.
        return tf.where(tf.math.is_inf(retrieved), retrieved, functools.reduce(operator.add, terms))

    def _term(self, name: str, values: tf.Tensor) -> tf.Tensor:
        if self._log and name in self._probabilities:
            return tf.math.log(tf.maximum(values, _LEAST_PROBABILITY))
        return values
