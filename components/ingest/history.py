"""What a query had liked before each of its interactions, for a whole partition at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa


class HistoryWindows(NamedTuple):
    """For each of n interactions, the run of positive interactions that is its history.

    Attributes:
        positives: [p] int64, rows of the positive interactions, in the rows' order.
        starts: [n] int64, where in ``positives`` the row's history begins.
        sizes: [n] int64, how many it holds.
    """

    positives: np.ndarray
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
        within = np.arange(offsets[-1]) - np.repeat(offsets[:-1], sizes)
        return offsets.astype(np.int32), self.positives[np.repeat(self.starts[rows], sizes) + within]


def history_windows(
    queries: np.ndarray, seconds: np.ndarray, positive: np.ndarray, length: int
) -> HistoryWindows:
    """Finds every row's history: the last ``length`` positive interactions strictly before its moment.

    Interactions of the very same second are not history of one another: which came first is unknown.

    Args:
        queries: [n] integers, equal for equal queries. Rows are sorted by query, then time.
        seconds: [n] int64 timestamps.
        positive: [n] bool.
        length: Most events of a history.
    """
    count = len(queries)
    rows = np.arange(count)
    new_query = np.ones(count, bool)
    new_query[1:] = queries[1:] != queries[:-1]
    new_moment = new_query.copy()
    new_moment[1:] |= seconds[1:] != seconds[:-1]
    positives_before = np.cumsum(positive) - positive
    query_start = np.maximum.accumulate(np.where(new_query, rows, 0))
    moment_start = np.maximum.accumulate(np.where(new_moment, rows, 0))
    stops = positives_before[moment_start]
    starts = np.maximum(positives_before[query_start], stops - length)
    return HistoryWindows(np.flatnonzero(positive), starts, stops - starts)


def history_lists(
    windows: HistoryWindows, rows: np.ndarray, candidates: pa.Array, seconds: np.ndarray
) -> tuple[pa.Array, pa.Array]:
    """The ``history`` and ``history_age`` features of some rows.

    Args:
        windows: Of the whole partition.
        rows: [m] int64 row numbers.
        candidates: [n] candidate ids of the whole partition.
        seconds: [n] int64 timestamps of the whole partition.

    Returns:
        [m] lists of ids, oldest first, and [m] lists of float32 seconds before the row's own moment.
    """
    offsets, events = windows.gather(rows)
    ages = np.repeat(seconds[rows], np.diff(offsets)) - seconds[events]
    return (
        pa.ListArray.from_arrays(pa.array(offsets), candidates.take(pa.array(events))),
        pa.ListArray.from_arrays(pa.array(offsets), pa.array(ages.astype(np.float32))),
    )
