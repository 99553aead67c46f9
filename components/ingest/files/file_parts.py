"""Where a file can be cut so that several processes read it at once."""

from __future__ import annotations

from components.ingest.declaration import Table
from components.ingest.files import csv_reader, parquet_reader
from components.ingest.files.byte_streams import blaming
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart

PART_BYTES = 64 << 20
"""Bytes of a part, unless asked otherwise."""

_SCANNED_BYTES = 4 << 20


def file_parts(table: Table, file: str, part_bytes: int = PART_BYTES) -> list[FilePart]:
    """Parts that together are the file, in its order.

    Parquet is cut between row groups; JSON Lines at newlines; CSV at newlines if it has no double quote
    below the header, as a quoted cell may hold a newline. Compressed files stay whole, and so do those
    in an encoding whose newline is not ASCII's.

    Raises:
        UserError: If the file cannot be read.
    """
    with blaming(table, file):
        if table.resolved_format == "parquet":
            return parquet_reader.parts(table, file, part_bytes)
        if table.compression_of(file) != "none" or not _newline_is_ascii(table.encoding):
            return [FilePart(file)]
        header = tuple(csv_reader.column_names(table, file)) if table.resolved_format == "csv" else ()
        cuts = _cuts(file, part_bytes, bool(header))
    if not cuts:
        return [FilePart(file)]
    ends: list[int | None] = [*(place for place, _ in cuts[1:]), None]
    first = FilePart(file, end=cuts[0][0])
    later = [
        FilePart(file, number, place, end, row, header)
        for number, ((place, row), end) in enumerate(zip(cuts, ends, strict=True), 1)
    ]
    return [first, *later]


def _cuts(file: str, part_bytes: int, has_header: bool) -> list[tuple[int, int]]:
    """First byte and first row of every part but the first; none if the file is better read whole."""
    system, path = locate(file)
    with system.open_input_file(path) as source:
        size = source.size()
        if size <= part_bytes:
            return []
        cuts: list[tuple[int, int]] = []
        offset, row, goal = 0, 1, part_bytes
        if has_header:
            line = source.read(_SCANNED_BYTES).partition(b"\n")[0]
            offset = len(line) + 1
            if line.count(b'"') % 2 or b"\r" in line.removesuffix(b"\r"):
                return []
            source.seek(offset)
        while block := source.read(_SCANNED_BYTES):
            if has_header and block.endswith(b"\r"):
                block += source.read(1)
            if has_header and not _rows_end_at_newlines(block):
                return []
            counted = 0
            while goal < offset + len(block):
                place = block.find(b"\n", max(goal - offset, 0)) + 1
                if not place or offset + place == size:
                    break
                row += block.count(b"\n", counted, place)
                counted = place
                cuts.append((offset + place, row))
                goal = offset + place + part_bytes
            row += block.count(b"\n", counted)
            offset += len(block)
        return cuts


def _rows_end_at_newlines(block: bytes) -> bool:
    """Whether every row of CSV ends in, and only in, a line feed."""
    returns = block.count(b"\r")
    return b'"' not in block and (not returns or returns == block.count(b"\r\n"))


def _newline_is_ascii(encoding: str) -> bool:
    """Whether an encoding leaves ASCII's bytes as they are, as its lines can then be told apart."""
    ascii_bytes = bytes(range(128))
    return ascii_bytes.decode(encoding, "replace") == ascii_bytes.decode("ascii")
