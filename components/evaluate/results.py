"""What an Evaluator wrote, read back for summaries and reports."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, Final, Literal

import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.proto import config_pb2

from components.evaluate.config import EXACT_RANKER, RELIABILITY

OVERALL: Final = "overall"
"""The slice of all interactions."""
EVALUATED: Final = "retrieve/interactions"
"""Number of interactions that were evaluated."""
EVALUATED_POSITIVES: Final = "retrieve/positives"
"""How many of them are positive: what the list metrics are means over."""
EVALUATED_RANKED: Final = f"{EXACT_RANKER}/positives"
"""Of how many of these every candidate was ranked: the funnel's sample."""
EVALUATED_NEW: Final = "retrieve_new/positives"
"""How many of these are of candidates new to the query; only with repeats."""


@dataclasses.dataclass(frozen=True)
class MetricValue:
    """One number of an evaluation.

    Attributes:
        slice: ``overall``, or feature and value as in ``query_activity:1-5``.
        model: whose evaluation it is: the model under evaluation, or the pushed one as its baseline.
        rival: who answered, as in :mod:`components.evaluate.config`.
        name: the metric, as in ``recall@10``.
        value: NaN where the slice has nothing to compute it from.
    """

    slice: str
    model: Literal["candidate", "baseline"]
    rival: str
    name: str
    value: float


@dataclasses.dataclass(frozen=True)
class Failure:
    """A bound the model under evaluation did not keep.

    Attributes:
        metric: rival and name, as in ``positive/auc``.
        slice: as in MetricValue.
        value: the metric's value; None where it was not computed.
        bound: the least or greatest value allowed; for a regression the greatest share of the
            baseline's value that may be lost.
        kind: which bound.
        baseline: the baseline's value; regressions only.
    """

    metric: str
    slice: str
    value: float | None
    bound: float
    kind: Literal["floor", "ceiling", "regression"]
    baseline: float | None = None

    def __str__(self) -> str:
        """Returns a sentence, as in ``positive/auc 0.512 is below its floor 0.55``."""
        where = "" if self.slice == OVERALL else f" ({self.slice})"
        metric = f"{self.metric}{where}"
        if self.value is None:
            return f"{metric} could not be computed; its {self.kind} is {self.bound:g}"
        if self.kind == "regression":
            return (
                f"{metric} {self.value:.4g} is worse than the pushed model's {self.baseline:.4g} "
                f"by more than the {self.bound:.0%} allowed"
            )
        side = "below its floor" if self.kind == "floor" else "above its ceiling"
        # NaN is neither below nor above: it keeps no bound.
        side = f"not a number; its {self.kind} is" if math.isnan(self.value) else side
        value = "" if math.isnan(self.value) else f" {self.value:.4g}"
        return f"{metric}{value} is {side} {self.bound:g}"


def read_metrics(evaluation_uri: str) -> list[MetricValue]:
    """Returns all numbers of an evaluation, by slice (overall first), model, rival and name.

    Args:
        evaluation_uri: of the ModelEvaluation artifact.
    """
    values = [
        MetricValue(
            slice=_slice(metrics.slice_key),
            model="baseline" if entry.key.model_name == tfma.BASELINE_KEY else "candidate",
            rival=entry.key.output_name,
            name=_name(entry.key),
            value=entry.value.double_value.value,
        )
        for metrics in tfma.load_metrics(evaluation_uri)
        for entry in metrics.metric_keys_and_values
        if not entry.key.is_diff
    ]
    return sorted(
        values, key=lambda v: (v.slice != OVERALL, v.slice, v.model != "candidate", v.rival, v.name)
    )


@dataclasses.dataclass(frozen=True)
class Reliability:
    """How often what a head gives a probability comes true, over a whole split.

    Attributes:
        head: whose probabilities.
        predicted: float64 [bins], the mean probability of a bin's interactions, ascending.
        observed: float64 [bins], the share of them that the head's label is 1 of.
        counts: int64 [bins], how many there are: about the same in each.
    """

    head: str
    predicted: np.ndarray
    observed: np.ndarray
    counts: np.ndarray


def read_reliability(evaluation_uri: str, bins: int = 10) -> list[Reliability]:
    """Returns what a reliability diagram shows of each head that can be calibrated, by name.

    TFMA's thousand buckets of equal width are put together to bins of about equal counts.

    Args:
        evaluation_uri: of the ModelEvaluation artifact.
        bins: how many at most.
    """
    found = []
    for plots in tfma.load_plots(evaluation_uri):
        if plots.slice_key.single_slice_keys:
            continue
        for entry in plots.plot_keys_and_values:
            if entry.key.name == RELIABILITY and entry.key.model_name != tfma.BASELINE_KEY:
                buckets = entry.value.calibration_histogram_buckets.buckets
                found.append(_binned(entry.key.output_name, buckets, bins))
    return sorted(found, key=lambda one: one.head)


def _binned(head: str, buckets: Any, bins: int) -> Reliability:
    """Neighbouring buckets as bins; one that is fuller than a bin is one by itself."""
    counts, labels, predictions = (
        np.array([getattr(bucket, name).value for bucket in buckets])
        for name in ("num_weighted_examples", "total_weighted_label", "total_weighted_refined_prediction")
    )
    filled = counts > 0
    counts, labels, predictions = counts[filled], labels[filled], predictions[filled]
    middle = np.cumsum(counts) - counts / 2
    place = np.floor(middle / max(counts.sum(), 1) * bins).astype(int)
    _, starts = np.unique(place, return_index=True)
    if not len(starts):
        return Reliability(head, *(np.empty(0) for _ in range(3)))
    sums = (np.add.reduceat(values, starts) for values in (counts, labels, predictions))
    counts, labels, predictions = sums
    return Reliability(head, predictions / counts, labels / counts, counts.astype(np.int64))


def read_validation(evaluation_uri: str) -> list[Failure]:
    """Returns the bounds that were not kept; empty where the model was blessed.

    Args:
        evaluation_uri: of the ModelEvaluation artifact of an Evaluator that gates.
    """
    values = {(v.slice, v.model, f"{v.rival}/{v.name}"): v.value for v in read_metrics(evaluation_uri)}
    failures = []
    for validation in tfma.load_validation_result(evaluation_uri).metric_validations_per_slice:
        slice_ = _slice(validation.slice_key)
        for failure in validation.failures:
            metric = f"{failure.metric_key.output_name}/{_name(failure.metric_key)}"
            value = values.get((slice_, "candidate", metric))
            baseline = values.get((slice_, "baseline", metric))
            failures.append(_failure(metric, slice_, value, baseline, failure.metric_threshold))
    return failures


def _failure(
    metric: str,
    slice_: str,
    value: float | None,
    baseline: float | None,
    threshold: config_pb2.MetricThreshold,
) -> Failure:
    if threshold.HasField("change_threshold"):
        bound = abs(threshold.change_threshold.relative.value)
        return Failure(metric, slice_, value, bound, "regression", baseline)
    bounds = threshold.value_threshold
    below = bounds.HasField("lower_bound") and not (value is not None and value >= bounds.lower_bound.value)
    if below:
        return Failure(metric, slice_, value, bounds.lower_bound.value, "floor")
    return Failure(metric, slice_, value, bounds.upper_bound.value, "ceiling")


def _name(key: tfma.proto.metrics_for_slice_pb2.MetricKey) -> str:
    return f"{key.name}@{key.sub_key.top_k.value}" if key.sub_key.HasField("top_k") else key.name


def _slice(key: tfma.proto.metrics_for_slice_pb2.SliceKey) -> str:
    parts = [f"{part.column}:{part.bytes_value.decode()}" for part in key.single_slice_keys]
    return ",".join(parts) or OVERALL
