"""Data without times: where an interaction stands in the order of all rows, or of its query's."""

from __future__ import annotations

from typing import Literal

import numpy as np

Order = Literal["time", "column", "rows"]
"""What orders interactions: see :class:`~components.ingest.declaration.TimestampColumn`."""
_ROW_BITS = 40
"""Of a row's place: its number in its file; the bits above are the file's, of 8 million at most."""
LARGEST_EXACT = 2**53
"""Up to here every whole number is a double of its own."""


def row_places(file_number: int, rows: np.ndarray) -> np.ndarray:
    """[n] int64, ascending in the order of files and rows.

    Args:
        file_number: Place of the file among the log's files, from 0.
        rows: [n] int64, each row's number in its file.
    """
    return (np.int64(file_number) << _ROW_BITS) | rows.astype(np.int64)


def shown_row(place: int) -> str:
    """A place of :func:`row_places`, for people.

    >>> shown_row(int(row_places(1, np.array([12]))[0]))
    'file 2, row 12'
    """
    file_number, row = place >> _ROW_BITS, place & ((1 << _ROW_BITS) - 1)
    return f"file {file_number + 1}, row {row:,}" if file_number else f"row {row:,}"


def shown_place(order: Order, place: int) -> str:
    """Where a split begins or ends, for people, in data without time."""
    return shown_row(place) if order == "rows" else "–"


def what_is_lost(order: Order, split: str) -> str:
    """What data without time cannot have, in a sentence.

    Args:
        order: What orders interactions instead.
        split: Kind of the split.
    """
    later = (
        "the split is by the rows' order, which is taken for that of time"
        if split == "time"
        else "a model is tested on interactions before which it has seen what others did later"
    )
    return (
        f"the data have no time (interactions.timestamp.order: {order}): no hour or day can be a feature, "
        f"the ages of a history's events are counted in interactions, and {later}"
    )


def places_within(queries: np.ndarray, order: np.ndarray) -> np.ndarray:
    """[n] int64: how many different places of the same query's come before each row's, from 0.

    Args:
        queries: [n] integers, equal for equal queries. Rows are sorted by query, then order.
        order: [n] numbers, equal where which row came first is not known.
    """
    if not len(queries):
        return np.zeros(0, np.int64)
    new_query = np.concatenate([[True], queries[1:] != queries[:-1]])
    new_place = new_query | np.concatenate([[True], order[1:] != order[:-1]])
    so_far = np.cumsum(new_place)
    starts = np.maximum.accumulate(np.where(new_query, so_far, 0))
    return so_far - starts
