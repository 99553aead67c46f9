"""Makes probabilities of scores, so that of all that are given p, a share p comes true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
import tf_keras as keras

_BINS = 15
_STEPS = 50
_RIDGE = 1e-6


class Calibration(keras.layers.Layer):
    """Heads' probabilities: the sigmoid of their logits, each stretched and shifted as its head needs."""

    def __init__(self, heads: Sequence[str]):
        """Starts at no change for each of these heads."""
        super().__init__(name="calibration", trainable=False)
        self._line = {
            head: self.add_weight(name=f"line_{i}", shape=(2,), initializer=_unchanged, trainable=False)
            for i, head in enumerate(heads)
        }

    def assign(self, head: str, line: Line) -> None:
        """Sets what is done with a head's logits."""
        self._line[head].assign(line)

    def call(self, logits: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Probabilities, float32 of the logits' shape, of this layer's heads alone."""
        return {head: tf.math.sigmoid(line[0] * logits[head] + line[1]) for head, line in self._line.items()}


def _unchanged(shape: Sequence[int], dtype: tf.DType | None = None, **_: object) -> tf.Tensor:
    return tf.constant([1.0, 0.0], dtype)


class Line(NamedTuple):
    """What a logit z becomes: slope x z + shift."""

    slope: float
    shift: float


class Labelled(NamedTuple):
    """Scores with known labels; each float64 [any].

    Attributes:
        logits: As they are served, uncalibrated.
        offsets: What the label's log odds have besides, see ``Group``.
        labels: 1 or 0.
    """

    logits: np.ndarray
    offsets: np.ndarray
    labels: np.ndarray

    def probabilities(self, line: Line) -> np.ndarray:
        """That each label is 1, float64 [any]."""
        z = line.slope * self.logits + line.shift + self.offsets
        return 1.0 / (1.0 + np.exp(-np.clip(z, -500, 500)))


def fit_line(data: Labelled) -> Line:
    """Slope and shift of the greatest likelihood of held-out labels.

    Logistic regression of the labels on the logits, by Newton's method, with one positive and one negative
    more in mind than there are, so that no slope is infinite (Platt, "Probabilistic Outputs for Support
    Vector Machines", 1999, section 2.2). With drawn negatives the offsets enter as they do in training, so
    that what comes out is a probability over the catalogue and not over draws. A slope of 0 or less would
    turn the order round: then only the shift is fitted. What positions add enters likewise, so that it is one
    at the average position, and the slope that of what is served.
    """
    if not 0 < data.labels.sum() < len(data.labels):
        # Of one label alone, the likeliest shift is infinite.
        return Line(1.0, 0.0)
    positives = data.labels.sum()
    of_positive = (positives + 1) / (positives + 2)
    of_negative = 1 / (len(data.labels) - positives + 2)
    data = data._replace(labels=np.where(data.labels > 0, of_positive, of_negative))
    line = _newton(data, free=(True, True))
    return line if line.slope > 0 else _newton(data, free=(False, True))


def _newton(data: Labelled, free: tuple[bool, bool]) -> Line:
    line, chosen = np.array([1.0, 0.0]), np.flatnonzero(free)
    inputs = np.stack([data.logits, np.ones_like(data.logits)], axis=1)[:, chosen]
    cost = _cost(data, line)
    for _ in range(_STEPS):
        p = data.probabilities(Line(*line))
        gradient = inputs.T @ (p - data.labels) / len(p)
        curvature = (inputs * (p * (1 - p))[:, np.newaxis]).T @ inputs / len(p)
        step = np.zeros(2)
        step[chosen] = np.linalg.solve(curvature + _RIDGE * np.eye(len(chosen)), gradient)
        # Far from the optimum a whole step can overshoot.
        while (lower := _cost(data, line - step)) > cost and np.abs(step).max() > 1e-9:
            step /= 2
        if cost - lower < 1e-12:
            break
        line, cost = line - step, lower
    return Line(float(line[0]), float(line[1]))


def _cost(data: Labelled, line: np.ndarray) -> float:
    z = line[0] * data.logits + line[1] + data.offsets
    losses = np.logaddexp(0.0, z) - data.labels * z
    return float(losses.mean())


def expected_calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance of probabilities from what comes true, over 15 bins of equal width.

    Σ_b n_b |mean label of b - mean probability of b| / n, of n_b labels in bin b of n (Guo et al., "On
    Calibration of Modern Neural Networks", ICML 2017, eq. 3).

    Args:
        probabilities: float [any].
        labels: float [any], 1 or 0; one at least.
    """
    bins = np.minimum((probabilities * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(bins, weights=labels - probabilities, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(labels))
