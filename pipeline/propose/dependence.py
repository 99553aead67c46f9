"""What a sample shows of how columns hang together: what follows from what, and what happens at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ROWS = 300_000
"""So many rows are enough to measure with."""
_DAY = 86_400


@dataclass(frozen=True)
class Recurrence:
    """How the rows of a column's values lie in time, over the values that have at least two rows.

    Attributes:
        several: Values with at least two rows.
        at_once: Share of them whose rows all have one moment.
        in_a_day: Share of them whose rows all lie within 24 hours.
        moments: Different moments of a value, on average.
    """

    several: int
    at_once: float
    in_a_day: float
    moments: float


def agreement(item: pa.Array, value: pa.Array) -> float:
    """Return how far ``value`` follows from ``item``: 1 where each item has one value, 0 as by chance.

    The probability that two rows of one item agree, corrected for that of any two rows; items count by
    their rows. Both are unbiased: an item with two rows tells as little as it should.

    Args:
        item: [n] strings, null where missing.
        value: [n] strings, null where missing.

    Returns:
        At most 1; 0 where no item has two rows, or all rows have one value.
    """
    pairs = pa.table({"item": _thinned(item), "value": _thinned(value)}).drop_null()
    counts = pairs.group_by(["item", "value"]).aggregate([([], "count_all")])
    if not counts.num_rows:
        return 0.0
    cells = counts["count_all"].to_numpy().astype(float)
    owners = counts["item"].combine_chunks().dictionary_encode().indices.to_numpy()
    rows = np.bincount(owners, weights=cells)
    alike = np.bincount(owners, weights=cells * (cells - 1))
    several = rows > 1
    if not several.any():
        return 0.0
    within = float((alike[several] / (rows[several] - 1)).sum() / rows[several].sum())
    values = counts["value"].combine_chunks().dictionary_encode().indices.to_numpy()
    totals = np.bincount(values, weights=cells)
    chance = float((totals * (totals - 1)).sum() / max(1.0, cells.sum() * (cells.sum() - 1)))
    return (within - chance) / (1 - chance) if chance < 1 else 0.0


def recurrence(values: pa.Array, seconds: pa.Array) -> Recurrence:
    """Measure when the rows of each value happened.

    Args:
        values: [n] strings, null where missing.
        seconds: [n] int64 moments, null where missing.
    """
    rows = pa.table({"v": values, "t": seconds}).drop_null()
    found = rows.group_by("v").aggregate(
        [("t", "min"), ("t", "max"), ("t", "count"), ("t", "count_distinct")]
    )
    several = found.filter(pc.greater(found["t_count"], 1))
    if not several.num_rows:
        return Recurrence(0, 0.0, 0.0, 1.0)
    stretch = pc.subtract(several["t_max"], several["t_min"])
    return Recurrence(
        several.num_rows,
        pc.mean(pc.equal(stretch, 0)).as_py(),
        pc.mean(pc.less(stretch, _DAY)).as_py(),
        pc.mean(found["t_count_distinct"]).as_py(),
    )


def _thinned(cells: pa.Array) -> pa.Array:
    """A stretch of the beginning and one of the end: neighbours stay together."""
    if len(cells) <= _ROWS:
        return cells
    half = _ROWS // 2
    return pa.concat_arrays([cells.slice(0, half), cells.slice(len(cells) - half)])
