"""Which split an interaction is in: by time, as one of its query's last, or as a column says."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from components.ingest.declaration import TimeSplit

SPLITS = ("train", "eval", "test")
"""The splits of the interaction stream, oldest first."""
TRAIN, EVAL, TEST = range(len(SPLITS))

MOST_MOMENTS = 1 << 18
"""Distinct moments a distribution keeps apart; with more, neighbouring seconds are counted as one."""


class TimeDistribution(NamedTuple):
    """How many interactions happened at each moment, in bounded memory.

    Attributes:
        moments: [n] int64, distinct, ascending: seconds since 1970, without their last ``shift`` bits.
        counts: [n] int64.
        shift: 0 for seconds; more only where there are more than :data:`MOST_MOMENTS` of them. It follows
            from the interactions alone, however they were divided and in whatever order they came.
    """

    moments: np.ndarray
    counts: np.ndarray
    shift: int

    @classmethod
    def of(cls, seconds: np.ndarray) -> TimeDistribution:
        """The distribution of [m] int64 timestamps."""
        return cls(*np.unique(seconds, return_counts=True), 0)._bounded()

    @classmethod
    def merged(cls, parts: Iterable[TimeDistribution]) -> TimeDistribution:
        """The distribution of all the parts' interactions together."""
        parts = list(parts)
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), 0)
        shift = max(part.shift for part in parts)
        moments = np.concatenate([part.moments >> (shift - part.shift) for part in parts])
        counts = np.concatenate([part.counts for part in parts])
        return cls(*_summed(moments, counts), shift)._bounded()

    def _bounded(self) -> TimeDistribution:
        distribution = self
        while len(distribution.moments) > MOST_MOMENTS:
            moments, counts = _summed(distribution.moments >> 1, distribution.counts)
            distribution = TimeDistribution(moments, counts, distribution.shift + 1)
        return distribution

    @property
    def total(self) -> int:
        """Number of interactions."""
        return int(self.counts.sum())


def _summed(moments: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equal moments made one: distinct moments, ascending, and the sums of their counts."""
    distinct, place = np.unique(moments, return_inverse=True)
    return distinct, np.bincount(place, weights=counts, minlength=len(distinct)).astype(np.int64)


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
        int(distribution.moments[np.abs(before - share).argmin()]) << distribution.shift
        for share in (train, seen)
    )
    return CutPoints(eval_from, test_from)


def leave_last_out(queries: np.ndarray, positive: np.ndarray) -> np.ndarray:
    """Splits each query's interactions at its last two positive ones.

    Args:
        queries: [n] integers, equal for equal queries. Rows are sorted by query, then time.
        positive: [n] bool.

    Returns:
        [n] index into :data:`SPLITS`: from the last positive interaction on test, from the one before
        it on eval, else train. Queries with fewer than three positive interactions are all train.
    """
    splits = np.full(len(queries), TRAIN)
    if not len(queries):
        return splits
    starts = np.flatnonzero(np.concatenate([[True], queries[1:] != queries[:-1]]))
    stops = np.append(starts[1:], len(queries))
    so_far = np.concatenate([[0], np.cumsum(positive)])
    own = np.repeat(so_far[stops] - so_far[starts], stops - starts)
    reached = so_far[1:] - np.repeat(so_far[starts], stops - starts)
    splits[(own >= len(SPLITS)) & (reached >= own - 1)] = EVAL
    splits[(own >= len(SPLITS)) & (reached >= own)] = TEST
    return splits
