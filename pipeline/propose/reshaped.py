"""Tables whose rows or cells have to be changed before they can be read as a log or catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import Source
from components.ingest.files.row_rules import RowRules
from components.ingest.files.rows import Rows
from pipeline.propose import words
from pipeline.propose.profile import ColumnProfile, TableProfile, profile_column

_NEARLY_ALL = 0.95
_LISTED = r"^\s*\S+-[01](\s+\S+-[01])*\s*$"
_SENTINELS = (-1, -9, -99, -999, -9999, -99999, -999999, 999, 9999, 99999, 999999, 9999999, 99999999)
_FAR = 5.0


def reshaped(profile: TableProfile) -> TableProfile:
    """The table as its columns are to be read: lists as rows, a day and a clock as one time, no sentinels."""
    profile = _with_moment_of_two(_exploded(profile))
    for column in profile.columns:
        values = _sentinels(column)
        if values:
            shown = ", ".join(map(str, values))
            share = float(np.isin(column.numbers, values).mean())
            why = f"{share:.1%} of {column.name} are {shown}, far from all others: taken for none"
            profile = profile.with_missing(column, values, why)
    return profile


def _exploded(profile: TableProfile) -> TableProfile:
    """A row for each candidate that a cell lists with whether it was clicked, as N40-1 N4-0."""
    column = next((column for column in profile.columns if _lists_clicks(column)), None)
    if column is None:
        return profile
    taken = {other.declared.lower() for other in profile.columns}
    into = [name if name not in taken else f"{name}_listed" for name in ("item", "clicked")]
    explode = {"column": column.declared, "separator": " ", "into": into, "between": "-"}
    rules = Source(files="-", explode=explode)
    kept = [other for other in profile.columns if other is not column and other.cells is not None]
    names = [other.declared for other in kept] + into
    batch = pa.RecordBatch.from_arrays(
        [*(_flat(other.cells) for other in kept), _flat(column.cells)],
        [*(other.declared for other in kept), column.declared],
    )
    numbers = np.arange(1, batch.num_rows + 1)
    rows = RowRules.of(rules, names).apply(Rows("", numbers, batch)).batch
    originals = {other.declared: other.name for other in kept}
    columns = [profile_column(originals.get(name, name), name, rows.column(name)) for name in names]
    ratio = rows.num_rows / max(1, batch.num_rows)
    sample = replace(
        profile.sample, rows=pa.Table.from_batches([rows]), total=round(profile.sample.total * ratio)
    )
    why = f"each cell of {column.name} lists {ratio:.1f} items on average, and whether each was clicked"
    edits = replace(profile.edits, explode=explode, why={**profile.edits.why, "explode": why})
    return replace(profile, sample=sample, columns=tuple(columns), edits=edits)


def _flat(cells: Any) -> pa.Array:
    return cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells


def _lists_clicks(column: ColumnProfile) -> bool:
    if column.shape != "text" or not len(column.present):
        return False
    some = column.present.slice(0, 2000)
    if pc.mean(pc.match_substring_regex(some, pattern=_LISTED)).as_py() < _NEARLY_ALL:
        return False
    return bool(pc.mean(pc.match_substring(some, " ")).as_py() > 0.3)


def _with_moment_of_two(profile: TableProfile) -> TableProfile:
    """The table with one column more for a day and a clock that stand in two."""
    days = [c for c in profile.columns if c.moments and c.moments.days_only and c.shape == "moment"]
    clocks = [c for c in profile.columns if c.is_clock]
    if not days or not clocks:
        return profile
    day, clock = days[0], clocks[0]
    name = f"{day.declared}_{clock.declared}"
    if name.lower() in {column.declared.lower() for column in profile.columns}:
        return profile
    cells = pc.binary_join_element_wise(day.text, clock.text, pa.scalar(" "))
    column = profile_column(name, name, cells)
    if column.moments is None:
        return profile
    rule = {"columns": [day.declared, clock.declared], "separator": " "}
    why = f"{day.name} holds the day, {clock.name} the time of day"
    edits = replace(profile.edits, derive={name: rule}, why={**profile.edits.why, "derive": why})
    rest = tuple(replace(c, moments=None) if c is day else c for c in profile.columns)
    return replace(profile, columns=(*rest, column), edits=edits)


def _sentinels(column: ColumnProfile) -> tuple[int, ...]:
    """Numbers that stand for none: repeated, made of nines or -1, and far from all others."""
    if column.shape not in ("integer", "number") or column.moments or len(column.numbers) < 20:
        return ()
    if words.QUANTITIES.intersection(column.words):
        # What was given back counts below 0.
        return ()
    found = [value for value in _SENTINELS if (column.numbers == value).sum() >= 2]
    rest = column.numbers[~np.isin(column.numbers, found)] if found else column.numbers
    if not found or len(rest) < len(column.numbers) / 2 or len(np.unique(rest)) < 3:
        return ()
    low, high = float(rest.min()), float(rest.max())
    width = max(high - low, 1.0)
    far = [
        v for v in found if v < low - _FAR * width or v > high + _FAR * width or (v == -1 and low >= 0 < high)
    ]
    return tuple(far)
