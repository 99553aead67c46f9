"""Weights of interactions by the inverse of the chance that they could be seen at all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from components.ingest.declaration import POSITIVE, Interactions
from components.ingest.errors import UserError
from components.ingest.learnable import no_positions, no_propensities
from components.ranking.config import Propensity
from components.ranking.losses import Group
from components.retrieval.debiasing import multiplicative_parts
from components.transform.interaction_dataset import (
    CANDIDATE_ROW,
    UNKNOWN_POSITION,
    UNKNOWN_PROPENSITY,
    EncodedInteractions,
)


class InversePropensity:
    """How much each interaction has to weigh so that what is seldom seen counts as if it were always.

    An interaction that had the chance p to be seen weighs min(1 / p, clip); 1 where p is not known. What p is
    of decides what is weighed.

    *The logged propensity*, of being shown: each interaction is the more likely in the log, the more often it
    is shown, positive or not, so each weighs the inverse (Schnabel et al., "Recommendations as Treatments",
    ICML 2016, section 3), over the mean of these weights in the train split (self-normalised: Swaminathan and
    Joachims, NeurIPS 2015).

    *Examination*, the chance that a position is looked at: only what is looked at can be chosen, so a
    positive one stands for 1 / p that would have been (Joachims, Swaminathan and Schnabel, WSDM 2017, section
    4). If the log has what was passed over, those others are in it already, as negatives; so of a positive
    interaction's weight w = min(1 / p, clip) the part w - 1 is taken off there:

        w · (loss of a positive) + (1 - w) · (loss of a negative),

    which on average over who looks is the loss of the label that everybody would have given (the unbiased
    and, by the clip, the clipped estimator of Saito et al., WSDM 2020). Of cross-entropy that is the loss of
    a label w. Without negatives in the log the positive ones weigh w, over the train split's mean.
    """

    def __init__(self, train: EncodedInteractions, log: Interactions, config: Propensity):
        """Learns from the train split what is not declared.

        Args:
            train: The train split.
            log: What the domain declares of its interactions.
            config: The section; it fits the log.

        Raises:
            UserError: If no interaction of the train split has what the weights are made of.
        """
        self._clip = config.clip
        self.examination: np.ndarray | None = None
        """Chance that position 1, 2, … is looked at: float [positions]; None where that is not what is
        weighed by."""
        if config.of_position(log):
            assert log.position is not None
            self._column = log.position
            known = train.columns[log.position].numpy() != UNKNOWN_POSITION
            if not known.any():
                raise UserError(no_positions(log.position, "ranking.inverse_propensity"))
            self.examination = (
                np.array(config.examination)
                if config.examination
                else estimated_examination(train, log, config.maximum)
            )
            self._of_positions = tf.constant([UNKNOWN_PROPENSITY, *self.examination], tf.float32)
        else:
            assert log.propensity is not None
            self._column = log.propensity
            if not (train.columns[log.propensity].numpy() != UNKNOWN_PROPENSITY).any():
                raise UserError(no_propensities(log.propensity))
        self.relabels = self.examination is not None and log.has_negatives
        """Whether labels are corrected by it, not weights."""
        self.weighs_all = self.examination is None
        """Whether it is of interactions of any label, the rating among them."""
        self._mean = 1.0
        if not self.relabels:
            self._mean = float(tf.reduce_mean(self.weights({self._column: train.columns[self._column]})))

    def propensities(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """The chance of each interaction of a batch: float32 [batch], ``UNKNOWN_PROPENSITY`` if not known."""
        column = inputs[self._column]
        if self.examination is None:
            return column
        return tf.gather(
            self._of_positions, tf.minimum(column, tf.size(self._of_positions, column.dtype) - 1)
        )

    def weights(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """What each interaction of a batch weighs: float32 [batch]."""
        propensities = self.propensities(inputs)
        known = propensities > UNKNOWN_PROPENSITY
        inverse = 1.0 / tf.where(known, propensities, 1.0)
        return tf.minimum(inverse, self._clip) / self._mean

    def corrected(self, group: Group, weights: tf.Tensor) -> Group:
        """A head's group by these weights, float32 [batch].

        Negatives drawn for an interaction weigh as much as it, as ever.
        """
        weights = weights[:, tf.newaxis]
        if not self.relabels:
            return group._replace(weights=group.weights * weights)
        positive = group.labels[:, :1] > 0
        beside = tf.where(positive, group.weights[:, 1:] * weights, group.weights[:, 1:])
        return group._replace(
            labels=group.labels * weights, weights=tf.concat([group.weights[:, :1], beside], axis=1)
        )


def estimated_examination(train: EncodedInteractions, log: Interactions, maximum: int) -> np.ndarray:
    """How often each position is looked at, beside the one that is looked at most: float64 [maximum].

    By the position-based click model with a part for the candidate and one for the query, see
    :func:`~components.retrieval.debiasing.multiplicative_parts`. Positions past the maximum count as it; one
    that the train split has not is taken for as good as the last one before it that it has.

    Args:
        train: The train split, with what was shown and passed over.
        log: What the domain declares of its interactions.
        maximum: The last position that is told apart.
    """
    assert log.position is not None
    positions = np.minimum(train.columns[log.position].numpy(), maximum)
    groups = [train.columns[CANDIDATE_ROW].numpy(), train.column(log.query_id).numpy(), positions]
    *_, part = multiplicative_parts(train.columns[POSITIVE].numpy(), groups)
    seen, first = np.unique(positions, return_index=True)
    known = seen != UNKNOWN_POSITION
    seen, parts = seen[known], part[first[known]]
    latest = np.maximum(np.searchsorted(seen, np.arange(1, maximum + 1), side="right") - 1, 0)
    return (parts / parts.max())[latest]
