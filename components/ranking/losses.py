"""What the ranker's scores cost: of labels one by one, of pairs, and of a positive among its negatives.

A group is an interaction's candidate, first, and the negatives drawn for it. Of scores less the logarithm of
how often each candidate is drawn, their offset, every one of the three learns log P(next positive is c |
query) whatever is drawn: pointwise (noise-contrastive estimation) the probability itself, the others but for
a constant of the query, as that cancels in a difference and in a softmax.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf
import tf_keras as keras

from components.ranking.heads import Head
from components.retrieval.losses import EXCLUDED, softmax_cross_entropy


class Group(NamedTuple):
    """Scores of interactions' candidates and their drawn negatives; each float32 [batch, 1 + drawn].

    Attributes:
        logits: As they are served.
        offsets: What the label's log odds have besides: what the position adds, minus the logarithm of how
            often the candidate is drawn; zeros where there is neither.
        labels: 1 or 0; 0 of all that is drawn. Corrected ones may be above 1.
        weights: 0 for what does not count.
    """

    logits: tf.Tensor
    offsets: tf.Tensor
    labels: tf.Tensor
    weights: tf.Tensor

    @property
    def corrected(self) -> tf.Tensor:
        """Logits and offsets together."""
        return self.logits + self.offsets


def pointwise(group: Group) -> tf.Tensor:
    """Cross-entropy of each candidate's label, summed over the group: float32 [batch]."""
    losses = tf.nn.sigmoid_cross_entropy_with_logits(group.labels, group.corrected)
    return tf.reduce_sum(losses * group.weights, axis=1)


def pairwise(group: Group) -> tf.Tensor:
    """Mean over the negatives of -log sigmoid(score of the positive - that of the negative), float32 [batch].

    RankNet (Burges et al., "Learning to Rank using Gradient Descent", ICML 2005, eq. 3, with a target
    probability of 1), which for drawn negatives is BPR (Rendle et al., UAI 2009, section 4.1). An interaction
    that is not positive, or has no negatives, costs nothing.
    """
    counted = _counted(group)
    scores = group.corrected
    losses = tf.nn.softplus(scores[:, 1:] - scores[:, :1])
    mean = tf.math.divide_no_nan(tf.reduce_sum(losses * counted, axis=1), tf.reduce_sum(counted, axis=1))
    return _of_positive(group) * mean


def softmax(group: Group) -> tf.Tensor:
    """Minus the logarithm of the positive's softmax probability among its negatives: float32 [batch].

    The listwise loss of Cao et al., "Learning to Rank: From Pairwise Approach to Listwise Approach", ICML
    2007, section 4 (ListNet), of lists with one positive; with the correction, the sampled softmax of Yi et
    al., RecSys 2019, eq. 3. Costs nothing where :func:`pairwise` does not.
    """
    others = tf.where(_counted(group) > 0, group.corrected[:, 1:], EXCLUDED)
    return _of_positive(group) * softmax_cross_entropy(
        group.corrected[:, 0], tf.reduce_logsumexp(others, axis=1)
    )


def _counted(group: Group) -> tf.Tensor:
    """float32 [batch, drawn]: 1 for negatives there are."""
    return tf.cast(group.weights[:, 1:] > 0, tf.float32)


def _of_positive(group: Group) -> tf.Tensor:
    """float32 [batch]: the positives' weights, 0 for what is not positive."""
    return group.labels[:, 0] * group.weights[:, 0]


LOSSES = {"pointwise": pointwise, "pairwise": pairwise, "softmax": softmax}
"""What ``ranking.loss`` names."""


class TotalLoss(keras.layers.Layer):
    """Adds up the heads' losses."""

    def __init__(self, heads: Sequence[Head], weights: Mapping[str, float], *, uncertainty: bool):
        """Takes how.

        Args:
            heads: The heads.
            weights: Head to weight, 1 for those not named.
            uncertainty: Whether to learn the weights instead.
        """
        super().__init__(name="total_loss")
        self._kinds = {head.name: head.kind for head in heads}
        self._weights = weights
        self.log_variances = (
            {
                name: self.add_weight(name=f"log_variance_{i}", shape=(), initializer="zeros")
                for i, name in enumerate(self._kinds)
            }
            if uncertainty
            else {}
        )
        """Head to the logarithm of its variance s, where weights are learnt."""

    def call(self, losses: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The scalar sum of the heads' scalar losses, by name.

        With uncertainty a cross-entropy L costs exp(-s) L + s / 2, a squared error exp(-s) L / 2 + s / 2: the
        likelihood of labels with a variance of exp(s) that is learnt with all else (Kendall, Gal and Cipolla,
        "Multi-Task Learning Using Uncertainty to Weigh Losses", CVPR 2018, eq. 7 and 10).
        """
        return tf.add_n([self._of_head(name, loss) for name, loss in losses.items()])

    def _of_head(self, name: str, loss: tf.Tensor) -> tf.Tensor:
        if name not in self.log_variances:
            return self._weights.get(name, 1.0) * loss
        log_variance = self.log_variances[name]
        share = 0.5 if self._kinds[name] == "value" else 1.0
        return share * tf.exp(-log_variance) * loss + 0.5 * log_variance
