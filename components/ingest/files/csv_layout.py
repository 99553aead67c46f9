"""How a CSV file lays out its columns: what its header and its first row of data say together."""

from __future__ import annotations

import csv
import io
from typing import NamedTuple

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import open_text
from components.ingest.files.rows import FilePart

_PROBED_BYTES = 64 << 10
_BEYOND = "\0beyond the header "


class Layout(NamedTuple):
    """The columns of a part of a file, and where its rows begin.

    Attributes:
        names: Of all columns, those beyond the header among them; empty where they could not be told.
        skipped: Lines that Arrow skips: those above the header; where ``explicit``, above the first row.
        explicit: Whether Arrow is given ``names``, rather than left to read the header.
    """

    names: tuple[str, ...]
    skipped: int
    explicit: bool

    @property
    def beyond(self) -> tuple[str, ...]:
        """The columns beyond the header, whose cells must be empty."""
        return tuple(name for name in self.names if name.startswith(_BEYOND))

    @property
    def header(self) -> tuple[str, ...]:
        """The columns that the header has, named or not."""
        return tuple(name for name in self.names if not name.startswith(_BEYOND))

    @property
    def needed(self) -> int:
        """How many cells a row needs for its named columns."""
        return max((place for place, name in enumerate(self.header, 1) if name), default=0)


def layout_of(table: Table, part: FilePart) -> Layout:
    """Return the columns of a part of a file.

    Writers that end each row with a delimiter may not do so in the header: the first row of data says how
    many cells rows have, if those beyond the header are empty.
    """
    if part.header:
        return Layout(part.header, 0, True)
    header, row = _probe(table, part)
    explicit = table.header is not None
    names = tuple(header) if table.header is None else table.header
    one_line = explicit or not any("\n" in name for name in names)
    if names and one_line and len(row) > len(names) and not any(row[len(names) :]):
        beyond = tuple(f"{_BEYOND}{number}" for number in range(len(names), len(row)))
        return Layout(names + beyond, table.skip_lines + (not explicit), True)
    return Layout(names, table.skip_lines, explicit)


def _probe(table: Table, part: FilePart) -> tuple[list[str], list[str]]:
    """The cells of the header (none where there is no header) and of the first row of data."""
    with open_text(table, FilePart(part.file)) as stream:
        content = stream.read(_PROBED_BYTES)
    # Universal newlines, as Arrow knows them.
    text = io.StringIO(content.decode("utf-8", "replace").removeprefix("\ufeff"), newline=None)
    lines = text.readlines()[table.skip_lines :]
    rows = csv.reader(
        lines,
        delimiter=table.delimiter,
        quotechar=table.quote or None,
        quoting=csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE,
        escapechar=table.escape,
    )
    found: list[list[str]] = []
    wanted = 1 if table.header is not None else 2
    try:
        # One more, as the last may be cut.
        for row in rows:
            if row or not found:
                found.append(row)
            if len(found) > wanted:
                break
    except csv.Error:
        return [], []
    if len(found) <= wanted and len(content) == _PROBED_BYTES:
        found = found[:-1]
    header = [] if table.header is not None or not found else found.pop(0)
    return header, next((row for row in found if row), [])
