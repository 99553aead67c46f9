"""TFMA metrics of one number a rival, metrics that set one rival against another, and what all share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics.metric_types import MetricKey

MetricValues = dict[MetricKey, Any]


def of_rival(tensors: Any, model_name: str, rival: str) -> np.ndarray:
    """Returns one rival's tensor; model names are only used where there are two models."""
    return np.asarray((tensors[model_name] if model_name else tensors)[rival]).reshape(-1)


class _SquaredError(tfma.metrics.Preprocessor):
    """Squared difference of a rival's number and its label."""

    def __init__(self, metric: str, model_name: str, rival: str):
        super().__init__(name=f"{metric}:{model_name}:{rival}")
        self.model_name = model_name
        self.rival = rival

    def process(self, extracts: dict[str, Any]) -> Iterator[float]:
        label = of_rival(extracts[tfma.LABELS_KEY], self.model_name, self.rival)[0]
        yield float(of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, self.rival)[0] - label) ** 2


class Mean(beam.CombineFn):
    """The mean of floats; NaN where there are none."""

    def __init__(self, key: MetricKey):
        """Initialises the combiner of the metric with this key."""
        self.key = key

    def create_accumulator(self) -> tuple[float, int]:
        """Returns sum and count of nothing."""
        return 0.0, 0

    def add_input(self, accumulator: tuple[float, int], element: float) -> tuple[float, int]:
        """Returns sum and count with one more."""
        return accumulator[0] + element, accumulator[1] + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        """Returns the sum of sums and counts."""
        sums, counts = zip(*accumulators, strict=True)
        return math.fsum(sums), sum(counts)

    def extract_output(self, accumulator: tuple[float, int]) -> MetricValues:
        """Returns the mean under the metric's key."""
        total, count = accumulator
        return {self.key: total / count if count else math.nan}


class _RootMean(Mean):
    """The square root of the mean of floats; NaN where there are none."""

    def extract_output(self, accumulator: tuple[float, int]) -> MetricValues:
        return {self.key: math.sqrt(super().extract_output(accumulator)[self.key])}


Keys = list[tuple[MetricKey, str, str]]


def keys(
    name: str, model_names: list[str] | None, output_names: list[str] | None, example_weighted: bool
) -> Keys:
    """Returns (key, model name, rival) of each combination the metrics spec asks for.

    Nothing here is weighted; TFMA finds a metric's threshold by a key that says so.
    """
    return [
        (
            MetricKey(name=name, model_name=model, output_name=rival, example_weighted=example_weighted),
            model,
            rival,
        )
        for model in model_names or [""]
        for rival in output_names or [""]
    ]


def _error_computations(
    name: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=[_SquaredError(name, model, rival)], combiner=_RootMean(key)
        )
        for key, model, rival in keys(name, model_names, output_names, example_weighted)
    ]


class RootMeanSquare(tfma.metrics.Metric):
    """sqrt(mean((prediction - label)^2)), in float64.

    TFMA wraps Keras' metric of that purpose at five times the cost of all else an example goes through.
    """

    def __init__(self, name: str):
        """Initialises the metric under its name in the results."""
        super().__init__(_error_computations, name=name)


class _Difference:
    def __init__(self, key: MetricKey, other: MetricKey, base: MetricKey):
        self.key, self.other, self.base = key, other, base

    def __call__(self, values: MetricValues) -> MetricValues:
        return {self.key: float(values[self.base]) - float(values[self.other])}


class _Ratio(_Difference):
    def __call__(self, values: MetricValues) -> MetricValues:
        value, other = float(values[self.base]), float(values[self.other])
        # Against a rival without error only another one without error does not lose.
        return {self.key: value / other if other else (1.0 if value == 0 else math.inf)}


def _against_computations(
    name: str,
    metric: str,
    other: str,
    ratio: bool,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.DerivedMetricComputation]:
    result = _Ratio if ratio else _Difference
    return [
        tfma.metrics.DerivedMetricComputation(
            keys=[key],
            result=result(key, key._replace(name=metric, output_name=other), key._replace(name=metric)),
        )
        for key, _, _ in keys(name, model_names, output_names, example_weighted)
    ]


class Against(tfma.metrics.Metric):
    """A metric set against another rival's: the difference, or the ratio. Both must be configured too."""

    def __init__(self, name: str, metric: str, other: str, ratio: bool = False):
        """Initialises the metric.

        Args:
            name: the metric's name in the results.
            metric: the name of the metric that is compared.
            other: the rival whose value is subtracted, or divided by.
            ratio: divide instead of subtracting.
        """
        super().__init__(_against_computations, name=name, metric=metric, other=other, ratio=ratio)
