"""Which sheets of a spreadsheet are one table."""

from __future__ import annotations

import glob
import zipfile
from typing import Any

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.tables import column_names

OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PARTS = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")


def is_spreadsheet(file: str) -> bool:
    """Whether a zip archive is a spreadsheet."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name in archive.namelist() for name in _PARTS)
    except (zipfile.BadZipFile, OSError):
        return False


def spreadsheet_layout(file: str) -> tuple[tuple[str, ...], dict[str, Any], str]:
    """Return the columns of a spreadsheet's first table, the keys that read it, and why.

    Sheets of one header are one table.

    Raises:
        UserError: If there is no sheet with rows, or the reader is not installed.
    """
    names = _sheet_names(file)
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


def _header(file: str, sheet: str) -> tuple[str, ...]:
    table = Table(files=glob.escape(file), format="xlsx", sheet=glob.escape(sheet))
    try:
        names = column_names(table, file)
    except UserError:
        return ()
    return tuple(names) if any(names) else ()


def _sheet_names(file: str) -> list[str]:
    try:
        import python_calamine
    except ImportError:
        raise UserError(
            f"{file} is a spreadsheet, and the package that reads those is not installed. Expected "
            "python-calamine. Install it with: pip install python-calamine, or save the sheet as CSV."
        ) from None
    try:
        return list(python_calamine.CalamineWorkbook.from_path(file).sheet_names)
    except python_calamine.CalamineError as error:
        raise UserError(f"{file} is no whole spreadsheet: {error}. Fetch or write it again.") from error


def _glob_of(alike: list[str], names: list[str]) -> str | None:
    """A pattern of just those sheets; None where there is none."""
    first, last = min(alike), max(alike)
    start = first[: next((at for at, sign in enumerate(first) if last[at : at + 1] != sign), len(first))]
    for pattern in ("*", f"{glob.escape(start)}*"):
        if {name for name in names if pattern == "*" or name.startswith(start)} == set(alike):
            return pattern
    return None
