"""Rows that take an earlier interaction back: returns, refunds, unlikes.

A cancellation is no interaction. It cancels the latest earlier positive interaction of its query with its
candidate that is not cancelled already. The past does not know it: until its moment the interaction counts.
"""

from __future__ import annotations

import numpy as np

from components.ingest.history import HistoryWindows

NEVER = np.iinfo(np.int64).max
"""The moment at which an interaction is cancelled that is not."""


def cancelled_at(
    pairs: np.ndarray,
    seconds: np.ndarray,
    positive: np.ndarray,
    cancelling_pairs: np.ndarray,
    cancelling_seconds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Finds what each cancellation cancels.

    Args:
        pairs: [n] integers, equal for equal query and candidate.
        seconds: [n] int64 timestamps, ascending within a pair.
        positive: [n] bool.
        cancelling_pairs: [c] integers, as ``pairs``.
        cancelling_seconds: [c] int64 timestamps.

    Returns:
        [n] int64, when an interaction is cancelled, or :data:`NEVER`; and [n] int64, by which cancellation,
        or -1. A cancellation without an earlier interaction to cancel does nothing; of the same moment,
        neither is earlier.
    """
    moments, by = np.full(len(pairs), NEVER), np.full(len(pairs), -1)
    rows = np.flatnonzero(positive & np.isin(pairs, cancelling_pairs))
    count = len(rows)
    of_events = np.concatenate([pairs[rows], cancelling_pairs])
    at = np.concatenate([seconds[rows], cancelling_seconds])
    # At one moment cancellations first, so that they find only what is earlier.
    cancels = np.arange(len(at)) >= count
    order = np.lexsort((~cancels, at, of_events))
    open_rows: list[int] = []
    pair = None
    for event in order.tolist():
        if of_events[event] != pair:
            pair, open_rows = of_events[event], []
        if event < count:
            open_rows.append(int(rows[event]))
        elif open_rows:
            row = open_rows.pop()
            moments[row], by[row] = at[event], event - count
    return moments, by


def windows_with_cancellations(
    windows: HistoryWindows,
    queries: np.ndarray,
    seconds: np.ndarray,
    eligible: np.ndarray,
    cancelled: np.ndarray,
    length: int,
) -> HistoryWindows:
    """Takes what is cancelled out of the histories of later interactions.

    Args:
        windows: The histories as if nothing were cancelled.
        queries: [n] integers, equal for equal queries. Rows are sorted by query, then time.
        seconds: [n] int64 timestamps.
        eligible: [n] bool, which interactions make up histories.
        cancelled: [n] int64, when they are cancelled; :data:`NEVER` for most.
        length: Most events of a history.

    Returns:
        Histories that hold an event at a moment up to its cancellation, and not after.
    """
    events, starts, sizes = [windows.events], windows.starts.copy(), windows.sizes.copy()
    end = len(windows.events)
    for query in np.unique(queries[eligible & (cancelled < NEVER)]).tolist():
        first, last = np.searchsorted(queries, [query, query + 1])
        own = first + np.flatnonzero(eligible[first:last])
        moments = np.unique(cancelled[own])
        moments = moments[moments < NEVER]
        # The stretches of time in which nothing is cancelled; the first row that knows of a cancellation
        # starts the next one.
        stretch = np.searchsorted(moments, seconds[first:last], side="left")
        for number in np.unique(stretch[stretch > 0]).tolist():
            rows = first + np.flatnonzero(stretch == number)
            visible = own[cancelled[own] > moments[number - 1]]
            stops = np.searchsorted(seconds[visible], seconds[rows], side="left")
            begins = np.maximum(0, stops - length)
            events.append(visible[begins.min() : stops.max()])
            starts[rows], sizes[rows] = end + begins - begins.min(), stops - begins
            end += len(events[-1])
    return HistoryWindows(np.concatenate(events), starts, sizes)


def repeats_with_cancellations(
    repeat: np.ndarray, pairs: np.ndarray, seconds: np.ndarray, positive: np.ndarray, cancelled: np.ndarray
) -> np.ndarray:
    """Where a query meets a candidate again that it had, and at that moment still has, a positive one with.

    Args:
        repeat: [n] bool, as if nothing were cancelled.
        pairs: [n] integers, equal for equal query and candidate.
        seconds: [n] int64 timestamps.
        positive: [n] bool.
        cancelled: [n] int64, when interactions are cancelled, or :data:`NEVER`.

    Returns:
        [n] bool.
    """
    repeat = repeat.copy()
    rows = np.flatnonzero(repeat & np.isin(pairs, pairs[cancelled < NEVER]))
    had = np.flatnonzero(positive & np.isin(pairs, pairs[rows]))
    had = had[np.argsort(pairs[had], kind="stable")]
    bounds = np.searchsorted(pairs[had], [pairs[rows], pairs[rows] + 1])
    for row, first, last in zip(rows.tolist(), *bounds.tolist(), strict=True):
        earlier = had[first:last]
        repeat[row] = bool(((seconds[earlier] < seconds[row]) & (cancelled[earlier] >= seconds[row])).any())
    return repeat
