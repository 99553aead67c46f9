"""Which sheets of a spreadsheet are one table."""

from __future__ import annotations

import glob
from typing import Any

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.blaming import blaming
from components.ingest.files.tables import column_names
from components.ingest.files.xlsx_reader import sheet_names


def spreadsheet_layout(file: str) -> tuple[tuple[str, ...], dict[str, Any], str]:
    """Return the columns of a spreadsheet's first table, the keys that read it, and why.

    Sheets of one header are one table.

    Raises:
        UserError: If there is no sheet with rows, or the reader is not installed.
    """
    with blaming(_table(file), file):
        names = sheet_names(file)
    headers = {name: _header(file, name) for name in names}
    filled = [name for name, header in headers.items() if header]
    if not filled:
        raise UserError(f"{file} has no sheet with cells. Expected a header row and rows.")
    first = max(filled, key=lambda name: sum(headers[other] == headers[name] for other in filled))
    alike = [name for name in filled if headers[name] == headers[first]]
    if len(alike) > 1:
        pattern = _glob_of(alike, names)
        if pattern:
            return headers[first], {"sheet": pattern}, f"{len(alike)} sheets have the same columns: one table"
    if len(names) == 1:
        return headers[first], {}, ""
    others = ", ".join(name for name in names if name != first)
    return headers[first], {"sheet": first}, f"one of {len(names)} sheets; the others: {others}"


def _table(file: str, sheet: str | None = None) -> Table:
    return Table(files=glob.escape(file), format="xlsx", sheet=sheet)


def _header(file: str, sheet: str) -> tuple[str, ...]:
    try:
        names = column_names(_table(file, glob.escape(sheet)), file)
    except UserError:
        return ()
    return tuple(names) if any(names) else ()


def _glob_of(alike: list[str], names: list[str]) -> str | None:
    """A pattern of just those sheets; None where there is none."""
    first, last = min(alike), max(alike)
    start = first[: next((at for at, sign in enumerate(first) if last[at : at + 1] != sign), len(first))]
    for pattern in ("*", f"{glob.escape(start)}*"):
        if {name for name in names if pattern == "*" or name.startswith(start)} == set(alike):
            return pattern
    return None
