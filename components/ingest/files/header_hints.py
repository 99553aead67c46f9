"""What to do about a column that a file's header does not have, or has twice."""

from __future__ import annotations

import csv
import json
import unicodedata
from itertools import islice

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import open_text
from components.ingest.files.rows import FilePart

_LOOKED_AT_LINES = 20
_LOOKED_AT_BYTES = 64 << 10
_DELIMITERS = (",", ";", "\t", "|")


def hint(table: Table, file: str, names: list[str], declared: str) -> str:
    """Return the likeliest way out, as a key to set; empty where none suggests itself.

    Args:
        table: The table.
        file: One of its files.
        names: The columns there.
        declared: The column that is not among them, or comes twice.
    """
    column = table.columns.get(declared, declared)
    if column in names:
        above = table.skip_lines + (table.header is None)
        return (
            " Rename one of them, or name all columns in domain.yaml: header: [...]"
            f"{f' and skip_lines: {above}' if above else ''}."
        )
    if alike := next((name for name in names if _plain(name) == _plain(column)), None):
        return f" Is {alike!r} meant? Say columns: {{{declared}: {alike!r}}} in domain.yaml."
    if table.resolved_format != "csv":
        return ""
    if len(names) == 1 and (signs := [sign for sign in _DELIMITERS if sign in names[0]]):
        # A YAML text in double quotes, where a tab is written as in Python.
        written = json.dumps(signs[0])
        return (
            f" The header looks delimited by {signs[0]!r}, not {table.delimiter!r}: say delimiter: {written} "
            "in domain.yaml."
        )
    if table.header is not None:
        return ""
    for number, cells in enumerate(_first_rows(table, file)):
        if number != table.skip_lines and column in cells:
            return f" Line {number + 1} has it: say skip_lines: {number} in domain.yaml."
    if sum(map(_is_number, names)) * 2 > len(names):
        return (
            " The first row looks like data: if the file has no header row, say header: with the names of "
            f"its {len(names)} columns in domain.yaml."
        )
    return ""


def first_filled_line(table: Table, file: str) -> int:
    """Return how many of the first lines are blank."""
    return next((number for number, cells in enumerate(_first_rows(table, file)) if any(cells)), 1)


def _first_rows(table: Table, file: str) -> list[list[str]]:
    """The cells of each of the first lines."""
    with open_text(table, FilePart(file)) as stream:
        text = stream.read(_LOOKED_AT_BYTES).decode("utf-8", "replace").removeprefix("\ufeff")
    rows = []
    for line in islice(text.splitlines(), _LOOKED_AT_LINES):
        try:
            rows += [next(csv.reader([line], delimiter=table.delimiter), [])]
        except csv.Error:
            rows += [[]]
    return rows


def _plain(name: str) -> str:
    """A name without what is easily overlooked: spaces around it, case, how its accents are composed."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True
