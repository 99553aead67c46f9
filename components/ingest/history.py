"""What a query had done before each of its interactions, for a whole partition at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class HistoryWindows(NamedTuple):
    """For each of n interactions, the run of earlier events that is its history.

    Attributes:
        events: [e] int64, rows of the interactions that make up histories, in the rows' order.
        starts: [n] int64, where in ``events`` the row's history begins.
        sizes: [n] int64, how many it holds.
    """

    events: np.ndarray
    starts: np.ndarray
    sizes: np.ndarray

    def gather(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The histories of some rows, laid end to end.

        Args:
            rows: [m] int64 row numbers.

        Returns:
            [m + 1] int32 offsets, and the row numbers of the history events they delimit, oldest first.
        """
        sizes = self.sizes[rows]
        offsets = np.concatenate([[0], np.cumsum(sizes)])
        places = np.arange(offsets[-1]) + np.repeat(self.starts[rows] - offsets[:-1], sizes)
        return offsets.astype(np.int32), self.events[places]


def history_windows(
    queries: np.ndarray, seconds: np.ndarray, eligible: np.ndarray, length: int
) -> HistoryWindows:
    """Finds every row's history: the last ``length`` eligible interactions strictly before its moment.

    Interactions of the very same second are not history of one another: which came first is unknown.

    Args:
        queries: [n] integers, equal for equal queries. Rows are sorted by query, then time.
        seconds: [n] int64 timestamps.
        eligible: [n] bool, which interactions make up histories.
        length: Most events of a history.
    """
    count = len(queries)
    rows = np.arange(count)
    new_query = np.ones(count, bool)
    new_query[1:] = queries[1:] != queries[:-1]
    new_moment = new_query.copy()
    new_moment[1:] |= seconds[1:] != seconds[:-1]
    eligible_before = np.cumsum(eligible) - eligible
    query_start = np.maximum.accumulate(np.where(new_query, rows, 0))
    moment_start = np.maximum.accumulate(np.where(new_moment, rows, 0))
    stops = eligible_before[moment_start]
    starts = np.maximum(eligible_before[query_start], stops - length)
    return HistoryWindows(np.flatnonzero(eligible), starts, stops - starts)


def repeats(
    queries: np.ndarray, candidates: np.ndarray, seconds: np.ndarray, positive: np.ndarray
) -> np.ndarray:
    """Where a query meets a candidate again that it had a positive interaction with, strictly earlier.

    Args:
        queries: [n] integers, equal for equal queries.
        candidates: [n] integers, equal for equal candidates, from 0.
        seconds: [n] int64 timestamps, ascending within a query.
        positive: [n] bool.

    Returns:
        [n] bool.
    """
    if not len(queries):
        return np.zeros(0, bool)
    pairs = queries.astype(np.int64) * (int(candidates.max()) + 1) + candidates
    never = np.iinfo(np.int64).max
    distinct, pair = np.unique(pairs, return_inverse=True)
    first = np.full(len(distinct), never)
    # Written from the last to the first, the earliest moment stays.
    places = np.flatnonzero(positive)[::-1]
    first[pair[places]] = seconds[places]
    return seconds > first[pair]
