"""The distance between two distributions of one feature, beside its threshold."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from components.ingest.gate.distributions import Threshold
from components.ingest.strict import Strict

_MEASURES: Final = {"l_infinity": "L-infinity distance", "jensen_shannon": "Jensen-Shannon divergence"}
# TFDV says this value nowhere else.
_CHANGED_MOST = re.compile(r"The feature value with maximum difference is: (.*)", re.DOTALL)


class Difference(Strict):
    """One feature's distribution in a split, beside that in another."""

    feature: str
    split: str
    baseline_split: str
    threshold: Threshold
    distance: float | None
    """None where there is none: one of the two splits, or both, have no value of the feature."""
    changed_most: str | None
    """The category whose share changed most; only for ``l_infinity`` above its threshold."""
    over: bool
    """Whether the distance is above the threshold, or what the baseline has values of has none any more."""

    @property
    def described(self) -> str:
        """The distance and its threshold in words."""
        if self.distance is None:
            return "its values are gone, or of another type"
        most = f"; {self.changed_most!r} changed most" if self.changed_most is not None else ""
        measure = _MEASURES[self.threshold.measure]
        return f"{measure} {self.distance:.4g}, threshold {self.threshold.greatest:g}{most}"


def compare(
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    baseline: statistics_pb2.DatasetFeatureStatisticsList,
    thresholds: Mapping[str, Threshold],
    split: str,
    baseline_split: str,
) -> tuple[Difference, ...]:
    """Compares statistics in memory as TFX' DistributionValidator does those of artifacts.

    Args:
        statistics: One dataset.
        baseline: One dataset to compare it with.
        thresholds: By feature.
        split: Name of the first, for the result.
        baseline_split: Name of the second.

    Returns:
        One for every threshold, by feature.
    """
    schema = tfdv.infer_schema(baseline)
    for feature in schema.feature:
        if feature.name in thresholds:
            set_comparator(feature.drift_comparator, thresholds[feature.name])
    found = tfdv.validate_statistics(statistics, schema, previous_statistics=baseline)
    return tuple(differences(found, statistics, baseline, thresholds, split, baseline_split))


def differences(
    found: anomalies_pb2.Anomalies,
    statistics: statistics_pb2.DatasetFeatureStatisticsList,
    baseline: statistics_pb2.DatasetFeatureStatisticsList,
    thresholds: Mapping[str, Threshold],
    split: str,
    baseline_split: str,
) -> Iterator[Difference]:
    """Yields what TFDV found for every threshold, by feature. Arguments as for :func:`compare`."""
    distances = {
        info.path.step[0]: measurement.value
        for info in found.drift_skew_info
        for measurement in info.drift_measurements
    }
    changed_most = {
        info.path.step[0]: match[1]
        for info in found.anomaly_info.values()
        for reason in info.reason
        if (match := _CHANGED_MOST.search(reason.description))
    }
    there, here = _present(baseline), _present(statistics)
    for feature in sorted(thresholds):
        threshold = thresholds[feature]
        compared = feature in there and feature in here
        distance = distances.get(feature) if compared else None
        yield Difference(
            feature=feature,
            split=split,
            baseline_split=baseline_split,
            threshold=threshold,
            distance=distance,
            changed_most=changed_most.get(feature),
            over=distance > threshold.greatest if distance is not None else feature in there,
        )


def set_comparator(comparator: schema_pb2.FeatureComparator, threshold: Threshold) -> None:
    """Writes a threshold the way TFDV reads it."""
    if threshold.measure == "l_infinity":
        comparator.infinity_norm.threshold = threshold.greatest
    else:
        comparator.jensen_shannon_divergence.threshold = threshold.greatest


def _present(statistics: statistics_pb2.DatasetFeatureStatisticsList) -> set[str]:
    """Features with at least one value."""
    (dataset,) = statistics.datasets
    present = set()
    for feature in dataset.features:
        kind = feature.WhichOneof("stats")
        if kind and getattr(feature, kind).common_stats.tot_num_values:
            present.add(feature.path.step[0] if feature.path.step else feature.name)
    return present
