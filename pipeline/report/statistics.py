"""What TensorFlow Data Validation counted, feature by feature."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from tensorflow_metadata.proto.v0 import statistics_pb2

STATISTICS_FILE = "FeatureStats.pb"
"""File of a split in an ExampleStatistics artifact."""

_MOST_SHOWN = 10


@dataclasses.dataclass(frozen=True)
class Bar:
    """A bar of a histogram: a value, or values from ``low`` to ``high``.

    Attributes:
        label: The value; empty for a range.
        low: Least value of a range.
        high: Greatest value of a range.
        count: Number of values in it; an estimate for ranges.
    """

    label: str
    low: float
    high: float
    count: float


@dataclasses.dataclass(frozen=True)
class Numbers:
    """How a feature's numbers are spread."""

    mean: float
    deviation: float
    minimum: float
    median: float
    maximum: float


@dataclasses.dataclass(frozen=True)
class FeatureProfile:
    """One feature of one split.

    Attributes:
        name: The feature's.
        type: ``string``, ``int`` or ``float``.
        missing: Share of examples without a value, 0 to 1.
        values: Number of values in all examples.
        least: Least number of values in an example that has any.
        most: Greatest number of values in an example.
        average: Mean number of values in an example that has any.
        unique: Number of distinct values; strings only.
        numbers: Numbers only.
        bars: For numbers, ranges of equal width; for strings, the most frequent values first.
    """

    name: str
    type: str
    missing: float
    values: int
    least: int
    most: int
    average: float
    unique: int | None
    numbers: Numbers | None
    bars: tuple[Bar, ...]


@dataclasses.dataclass(frozen=True)
class SplitProfile:
    """The statistics of a split.

    Attributes:
        examples: Their number.
        features: By name, in alphabetical order.
    """

    examples: int
    features: dict[str, FeatureProfile]


def read_profile(statistics: Path, split: str) -> SplitProfile | None:
    """Reads a split's statistics.

    Args:
        statistics: Directory of the ExampleStatistics artifact.
        split: Name of the split.

    Returns:
        None where the artifact has no such split.
    """
    path = statistics / f"Split-{split}" / STATISTICS_FILE
    if not path.is_file():
        return None
    content = statistics_pb2.DatasetFeatureStatisticsList.FromString(path.read_bytes())
    if not content.datasets:
        return None
    dataset = content.datasets[0]
    profiles = [_profile(feature, int(dataset.num_examples)) for feature in dataset.features]
    return SplitProfile(int(dataset.num_examples), {p.name: p for p in sorted(profiles, key=_name)})


def _name(profile: FeatureProfile) -> str:
    return profile.name


def _profile(feature: statistics_pb2.FeatureNameStatistics, examples: int) -> FeatureProfile:
    kind = feature.WhichOneof("stats")
    stats = getattr(feature, kind) if kind else statistics_pb2.StringStatistics()
    common = stats.common_stats
    numeric = kind == "num_stats" and common.num_non_missing > 0
    return FeatureProfile(
        name=feature.name or ".".join(feature.path.step),
        type=statistics_pb2.FeatureNameStatistics.Type.Name(feature.type).lower(),
        missing=1 - common.num_non_missing / examples if examples else math.nan,
        values=int(common.tot_num_values),
        least=int(common.min_num_values),
        most=int(common.max_num_values),
        average=common.avg_num_values,
        unique=int(stats.unique) if hasattr(stats, "unique") and common.num_non_missing else None,
        numbers=Numbers(stats.mean, stats.std_dev, stats.min, stats.median, stats.max) if numeric else None,
        bars=_ranges(stats) if kind == "num_stats" else _ranks(stats),
    )


def _ranges(stats: statistics_pb2.NumericStatistics) -> tuple[Bar, ...]:
    for histogram in stats.histograms:
        if histogram.type == statistics_pb2.Histogram.STANDARD:
            return tuple(Bar("", b.low_value, b.high_value, b.sample_count) for b in histogram.buckets)
    return ()


def _ranks(stats: statistics_pb2.StringStatistics | statistics_pb2.BytesStatistics) -> tuple[Bar, ...]:
    if not isinstance(stats, statistics_pb2.StringStatistics):
        return ()
    buckets = stats.rank_histogram.buckets[:_MOST_SHOWN]
    return tuple(Bar(b.label, math.nan, math.nan, b.sample_count) for b in buckets)
