"""Where a file of text can be cut so that several processes read it at once."""

from __future__ import annotations

from components.ingest.declaration import Table
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart

_SCANNED_BYTES = 4 << 20


def text_parts(
    table: Table, file: str, part_bytes: int, header: tuple[str, ...] = (), above: int = 0
) -> list[FilePart]:
    """Return parts that are cut at newlines, or the whole file where none can be.

    Compressed files stay whole, and so do those in an encoding whose newline is not ASCII's.

    Args:
        table: Says compression, encoding and, for CSV, what hides a newline.
        file: Path or URI.
        part_bytes: About how many bytes a part has.
        header: The columns' names, for files of cells: they are cut only where no newline can be part of
            a cell.
        above: Lines above the first row of data.
    """
    if table.compression_of(file) != "none" or not _newline_is_ascii(table.encoding):
        return [FilePart(file)]
    cuts = _cuts(table, file, part_bytes, bool(header), above)
    if not cuts:
        return [FilePart(file)]
    ends: list[int | None] = [*(place for place, _ in cuts[1:]), None]
    first = FilePart(file, end=cuts[0][0])
    later = [
        FilePart(file, number, place, end, row, header)
        for number, ((place, row), end) in enumerate(zip(cuts, ends, strict=True), 1)
    ]
    return [first, *later]


def _cuts(table: Table, file: str, part_bytes: int, has_cells: bool, above: int) -> list[tuple[int, int]]:
    """First byte and first row of every part but the first; none if the file is better read whole."""
    hiding = [sign.encode() for sign in (table.quote, table.escape) if sign] if has_cells else []
    system, path = locate(file)
    with system.open_input_file(path) as source:
        size = source.size()
        if size <= part_bytes:
            return []
        cuts: list[tuple[int, int]] = []
        offset, row, goal = 0, 1, part_bytes
        if above:
            lines = source.read(_SCANNED_BYTES).split(b"\n", above)[:above]
            offset = sum(len(line) + 1 for line in lines)
            if any(_hides_newlines(line, table) for line in lines):
                return []
            source.seek(offset)
        while block := source.read(_SCANNED_BYTES):
            if has_cells and block.endswith(b"\r"):
                block += source.read(1)
            if has_cells and not _rows_end_at_newlines(block, hiding):
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


def _hides_newlines(line: bytes, table: Table) -> bool:
    """Whether a line above the rows may be more or less than one line of the file."""
    quotes = line.count(table.quote.encode()) if table.quote else 0
    return bool(quotes % 2) or b"\r" in line.removesuffix(b"\r")


def _rows_end_at_newlines(block: bytes, hiding: list[bytes]) -> bool:
    """Whether every row of CSV ends in, and only in, a line feed."""
    returns = block.count(b"\r")
    return not any(sign in block for sign in hiding) and (not returns or returns == block.count(b"\r\n"))


def _newline_is_ascii(encoding: str) -> bool:
    """Whether an encoding leaves ASCII's bytes as they are, as its lines can then be told apart."""
    ascii_bytes = bytes(range(128))
    return ascii_bytes.decode(encoding, "replace") == ascii_bytes.decode("ascii")
