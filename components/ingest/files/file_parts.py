"""Where a file can be cut so that several processes read it at once."""

from __future__ import annotations

from components.ingest.declaration import Table
from components.ingest.files.blaming import blaming
from components.ingest.files.readers import reader_of
from components.ingest.files.rows import FilePart

PART_BYTES = 64 << 20
"""Bytes of a part, unless asked otherwise."""


def file_parts(table: Table, file: str, part_bytes: int = PART_BYTES) -> list[FilePart]:
    """Return parts that together are the file, in its order.

    Parquet is cut between row groups; JSON Lines at newlines; CSV at newlines if no quote or escape stands
    below the header, as such a cell may hold a newline. All else stays whole: archives, JSON arrays and
    spreadsheets, and text in an encoding whose newline is not ASCII's.

    Raises:
        UserError: If the file cannot be read.
    """
    with blaming(table, file):
        return reader_of(table, file).parts(table, file, part_bytes)
