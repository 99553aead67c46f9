"""TFMA metrics for ranked lists of candidates, and metrics that set one rival against another.

A list is the prediction of a rival: int32 [n] catalogue rows, best first, UNFILLED where there is none.
Its label is the row of the held-out candidate, int32 [1]: OUTSIDE_CATALOGUE where the catalogue does not
hold it (a miss), NOTHING_HELD_OUT where the interaction is not positive (not counted at all).
``rank`` below is the 1-based position of the held-out candidate in the list, infinite where missing.
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics.metric_types import MetricKey

UNFILLED: Final = -1
OUTSIDE_CATALOGUE: Final = -2
NOTHING_HELD_OUT: Final = -3

CATALOGUE_SIZE_KEY: Final = "catalogue_size"
"""Extract: number of candidates in each model's catalogue, keyed by model name."""

MetricValues = dict[MetricKey, Any]


def _of_rival(tensors: Any, model_name: str, rival: str) -> np.ndarray:
    """Returns one rival's tensor; model names are only used where there are two models."""
    return np.asarray((tensors[model_name] if model_name else tensors)[rival]).reshape(-1)


class _ListPreprocessor(tfma.metrics.Preprocessor, abc.ABC):
    """Reduces an example's list to what the metric sums up; nothing where nothing is held out."""

    def __init__(self, metric: str, model_name: str, rival: str):
        super().__init__(name=f"{metric}:{model_name}:{rival}")
        self.model_name = model_name
        self.rival = rival

    def process(self, extracts: dict[str, Any]) -> Iterator[Any]:
        held_out = int(_of_rival(extracts[tfma.LABELS_KEY], self.model_name, self.rival)[0])
        if held_out != NOTHING_HELD_OUT:
            ranked = _of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, self.rival)
            yield self.reduce(ranked, held_out, extracts)

    @abc.abstractmethod
    def reduce(self, ranked: np.ndarray, held_out: int, extracts: dict[str, Any]) -> Any:
        """Returns the example's share of the metric."""


class _Gain(_ListPreprocessor):
    """A gain that depends on the rank of the held-out candidate, 0 past the cut-off."""

    def __init__(self, metric: str, model_name: str, rival: str, cutoff: int, gain: Callable[[int], float]):
        super().__init__(metric, model_name, rival)
        self.cutoff = cutoff
        self.gain = gain

    def reduce(self, ranked: np.ndarray, held_out: int, extracts: dict[str, Any]) -> float:
        found = np.flatnonzero(ranked[: self.cutoff] == held_out)
        return self.gain(int(found[0]) + 1) if found.size else 0.0


class _Overlap(_ListPreprocessor):
    """The share of another rival's list that this list holds."""

    def __init__(self, metric: str, model_name: str, rival: str, truth: str):
        super().__init__(metric, model_name, rival)
        self.truth = truth

    def reduce(self, ranked: np.ndarray, held_out: int, extracts: dict[str, Any]) -> float:
        truth = _of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, self.truth)
        wanted = set(truth.tolist()) - {UNFILLED}
        # Every candidate excluded: there was nothing to find, and nothing was missed.
        return len(wanted.intersection(ranked.tolist())) / len(wanted) if wanted else 1.0


class _Shown(_ListPreprocessor):
    """The rows at the top of the list, and the catalogue's size."""

    def __init__(self, metric: str, model_name: str, rival: str, cutoff: int):
        super().__init__(metric, model_name, rival)
        self.cutoff = cutoff

    def reduce(self, ranked: np.ndarray, held_out: int, extracts: dict[str, Any]) -> tuple[list[int], int]:
        top = ranked[: self.cutoff]
        size = np.asarray(extracts[CATALOGUE_SIZE_KEY][self.model_name]).reshape(-1)[0]
        return top[top != UNFILLED].tolist(), int(size)


class _SquaredError(tfma.metrics.Preprocessor):
    """Squared difference of a rival's number and its label."""

    def __init__(self, metric: str, model_name: str, rival: str):
        super().__init__(name=f"{metric}:{model_name}:{rival}")
        self.model_name = model_name
        self.rival = rival

    def process(self, extracts: dict[str, Any]) -> Iterator[float]:
        label = _of_rival(extracts[tfma.LABELS_KEY], self.model_name, self.rival)[0]
        yield float(_of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, self.rival)[0] - label) ** 2


class _Mean(beam.CombineFn):
    """The mean of floats; NaN where there are none."""

    def __init__(self, key: MetricKey):
        self.key = key

    def create_accumulator(self) -> tuple[float, int]:
        return 0.0, 0

    def add_input(self, accumulator: tuple[float, int], element: float) -> tuple[float, int]:
        return accumulator[0] + element, accumulator[1] + 1

    def merge_accumulators(self, accumulators: Iterable[tuple[float, int]]) -> tuple[float, int]:
        sums, counts = zip(*accumulators, strict=True)
        return math.fsum(sums), sum(counts)

    def extract_output(self, accumulator: tuple[float, int]) -> MetricValues:
        total, count = accumulator
        return {self.key: total / count if count else math.nan}


class _Count(_Mean):
    """The number of floats."""

    def extract_output(self, accumulator: tuple[float, int]) -> MetricValues:
        return {self.key: float(accumulator[1])}


class _RootMean(_Mean):
    """The square root of the mean of floats; NaN where there are none."""

    def extract_output(self, accumulator: tuple[float, int]) -> MetricValues:
        return {self.key: math.sqrt(super().extract_output(accumulator)[self.key])}


class _DistinctShare(beam.CombineFn):
    """Distinct rows as a share of the catalogue; NaN where there was no list."""

    def __init__(self, key: MetricKey):
        self.key = key

    def create_accumulator(self) -> tuple[set[int], int]:
        return set(), 0

    def add_input(
        self, accumulator: tuple[set[int], int], element: tuple[list[int], int]
    ) -> tuple[set[int], int]:
        rows, size = element
        accumulator[0].update(rows)
        return accumulator[0], size

    def merge_accumulators(self, accumulators: Iterable[tuple[set[int], int]]) -> tuple[set[int], int]:
        rows, sizes = zip(*accumulators, strict=True)
        return set().union(*rows), max(sizes)

    def extract_output(self, accumulator: tuple[set[int], int]) -> MetricValues:
        rows, size = accumulator
        return {self.key: len(rows) / size if size else math.nan}


def _hit(rank: int) -> float:
    return 1.0


def _reciprocal(rank: int) -> float:
    return 1.0 / rank


def _discounted(rank: int) -> float:
    return 1.0 / math.log2(rank + 1)


_GAINS: dict[str, Callable[[int], float]] = {
    "hit": _hit,
    "reciprocal": _reciprocal,
    "discounted": _discounted,
}

_Keys = list[tuple[MetricKey, str, str]]


def _keys(
    name: str, model_names: list[str] | None, output_names: list[str] | None, example_weighted: bool
) -> _Keys:
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


def _gain_computations(
    name: str,
    cutoff: int,
    gain: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key],
            preprocessors=[_Gain(name, model, rival, cutoff, _GAINS[gain])],
            combiner=_Mean(key),
        )
        for key, model, rival in _keys(name, model_names, output_names, example_weighted)
    ]


class RankGain(tfma.metrics.Metric):
    """Mean over positive interactions of a gain g(rank) of the held-out candidate, 0 past ``cutoff``.

    With one held-out candidate an interaction these are the usual measures:

    - ``hit``: g = 1, recall@cutoff;
    - ``discounted``: g = 1 / log2(rank + 1), NDCG@cutoff (the ideal DCG is 1);
    - ``reciprocal``: g = 1 / rank, the mean reciprocal rank.
    """

    def __init__(self, name: str, cutoff: int, gain: str):
        """Initialises the metric.

        Args:
            name: the metric's name in the results.
            cutoff: positions of the list that count.
            gain: ``hit``, ``discounted`` or ``reciprocal``.
        """
        super().__init__(_gain_computations, name=name, cutoff=cutoff, gain=gain)


def _positives_computations(
    name: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=[_Gain(name, model, rival, 0, _hit)], combiner=_Count(key)
        )
        for key, model, rival in _keys(name, model_names, output_names, example_weighted)
    ]


class Positives(tfma.metrics.Metric):
    """The number of positive interactions: what the list metrics are means over."""

    def __init__(self, name: str = "positives"):
        """Initialises the metric under its name in the results."""
        super().__init__(_positives_computations, name=name)


def _coverage_computations(
    name: str,
    cutoff: int,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=[_Shown(name, model, rival, cutoff)], combiner=_DistinctShare(key)
        )
        for key, model, rival in _keys(name, model_names, output_names, example_weighted)
    ]


class Coverage(tfma.metrics.Metric):
    """|union of the lists' first ``cutoff`` candidates| / |catalogue|."""

    def __init__(self, name: str, cutoff: int):
        """Initialises the metric under its name in the results, for the first ``cutoff`` positions."""
        super().__init__(_coverage_computations, name=name, cutoff=cutoff)


def _overlap_computations(
    name: str,
    truth: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=[_Overlap(name, model, rival, truth)], combiner=_Mean(key)
        )
        for key, model, rival in _keys(name, model_names, output_names, example_weighted)
    ]


class ListRecall(tfma.metrics.Metric):
    """Mean of |list ∩ truth| / |truth|: with exact search as the truth, the index's recall."""

    def __init__(self, name: str, truth: str):
        """Initialises the metric; ``truth`` is the prediction that holds the lists to be found."""
        super().__init__(_overlap_computations, name=name, truth=truth)


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
        for key, model, rival in _keys(name, model_names, output_names, example_weighted)
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
        for key, _, _ in _keys(name, model_names, output_names, example_weighted)
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
