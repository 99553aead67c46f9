"""Where time is cut into train, eval and test: one pair of cut points for everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import apache_beam as beam
import numpy as np

from components.ingest.declaration import TimeSplit

SPLITS = ("train", "eval", "test")
"""The splits of the interaction stream, oldest first."""


class TimeDistribution(NamedTuple):
    """How many interactions happened at each moment.

    Attributes:
        seconds: [n] int64, distinct, ascending.
        counts: [n] int64.
    """

    seconds: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, seconds: np.ndarray) -> TimeDistribution:
        """The distribution of [m] int64 timestamps."""
        return cls(*np.unique(seconds, return_counts=True))

    @classmethod
    def merged(cls, parts: Iterable[TimeDistribution]) -> TimeDistribution:
        """The distribution of all the parts' interactions together."""
        parts = list(parts)
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        seconds, place = np.unique(np.concatenate([part.seconds for part in parts]), return_inverse=True)
        counts = np.zeros(len(seconds), np.int64)
        np.add.at(counts, place, np.concatenate([part.counts for part in parts]))
        return cls(seconds, counts)

    @property
    def total(self) -> int:
        """Number of interactions."""
        return int(self.counts.sum())


class MergeDistributions(beam.CombineFn):
    """Beam's way to :meth:`TimeDistribution.merged`; merges lazily, as each merge sorts everything."""

    _LAZY = 16

    def create_accumulator(self) -> list[TimeDistribution]:
        """Nothing yet."""
        return []

    def add_input(self, mutable_accumulator: list[TimeDistribution], element: TimeDistribution) -> list:
        """Adds one part."""
        return self.compact([*mutable_accumulator, element], self._LAZY)

    def merge_accumulators(self, accumulators: Iterable[list[TimeDistribution]]) -> list[TimeDistribution]:
        """Adds up several accumulators."""
        return self.compact([part for parts in accumulators for part in parts], self._LAZY)

    def compact(self, accumulator: list[TimeDistribution], above: int = 1) -> list[TimeDistribution]:
        """Merges what has piled up."""
        return [TimeDistribution.merged(accumulator)] if len(accumulator) > above else accumulator

    def extract_output(self, accumulator: list[TimeDistribution]) -> TimeDistribution:
        """The whole distribution."""
        return TimeDistribution.merged(accumulator)


class CutPoints(NamedTuple):
    """First moments, in seconds since 1970, that belong to eval and to test."""

    eval_from: int
    test_from: int

    def split_of(self, seconds: np.ndarray) -> np.ndarray:
        """[n] int64 timestamps -> [n] index into :data:`SPLITS`."""
        return np.searchsorted(np.array(self), seconds, side="right")


def cut_points(distribution: TimeDistribution, split: TimeSplit) -> CutPoints | None:
    """The moments that come nearest to the declared shares of interactions.

    A moment is never divided: all interactions of one second fall into one split.

    Args:
        distribution: All usable interactions.
        split: The declared shares.

    Returns:
        The cut points; None for no interactions at all. With few distinct moments a split can be empty.
    """
    if not distribution.total:
        return None
    before = np.cumsum(distribution.counts) - distribution.counts
    train = (1 - split.eval - split.test) * distribution.total
    seen = (1 - split.test) * distribution.total
    eval_from, test_from = (
        int(distribution.seconds[np.abs(before - share).argmin()]) for share in (train, seen)
    )
    return CutPoints(eval_from, test_from)
