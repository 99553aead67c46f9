"""JSON Lines: an object a line; the numbers of rows are the numbers of lines."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import Table
from components.ingest.files.byte_streams import Progress, is_utf8, open_text, unmarked
from components.ingest.files.cell_bytes import bytes_of
from components.ingest.files.rows import FilePart, MalformedRow, Rows, shorten
from components.ingest.files.text_check import LATIN_1_HINT, check_text
from components.ingest.files.text_parts import text_parts

NAME = "JSON Lines"
EMPTY = "it has not a single line. Expected a JSON object a line"
IS_TEXT = True

BLOCK_BYTES = 4 << 20
"""Bytes of a batch, rounded up to a whole line."""

NAMED_FROM_ROWS = 1_000
_BEYOND_INTEGERS = 2.0**63


def expected(table: Table) -> str:
    """Return what a file of the table should be."""
    return f"JSON Lines in {table.encoding.upper()}: an object a line"


def parts(table: Table, file: str, part_bytes: int) -> list[FilePart]:
    """Return parts cut at newlines; see :func:`~components.ingest.files.text_parts.text_parts`."""
    return text_parts(table, file, part_bytes)


def column_names(table: Table, file: str) -> list[str]:
    """The keys of the first thousand objects, in the order they appear."""
    names: dict[str, None] = {}
    seen = 0
    for _, lines in _blocks(table, FilePart(file)):
        for line in lines:
            row, _ = _parse(line)
            if row is None:
                continue
            names.update(dict.fromkeys(row))
            seen += 1
            if seen == NAMED_FROM_ROWS:
                return list(names)
    return list(names)


def mentions(table: Table, file: str, name: str) -> bool:
    """Whether a key's name occurs anywhere in the file; for those that few objects have."""
    key = orjson.dumps(name)
    return any(key in line for _, lines in _blocks(table, FilePart(file)) for line in lines)


def read(table: Table, part: FilePart, columns: Sequence[str], progress: Progress) -> Iterator[Rows]:
    """Streams a part. A key that an object lacks is a missing cell.

    Args:
        table: Says compression and encoding.
        part: What to read.
        columns: Keys, each once.
        progress: Is told how far it got.
    """
    for first, lines in _blocks(table, part):
        objects, sources, numbers, malformed = [], [], [], []
        for number, line in enumerate(lines, first):
            row, reason = _parse(line)
            if row is not None:
                objects.append(row)
                sources.append(line)
                numbers.append(number)
            elif reason:
                malformed.append(MalformedRow(number, _shown(line), reason))
        rows = object_rows(part.file, objects, np.array(numbers, np.int64), columns, malformed, sources)
        yield check_text(rows, table.encoding, LATIN_1_HINT if is_utf8(table) else "")
        progress.row = first + len(lines) - 1


def _blocks(table: Table, part: FilePart) -> Iterator[tuple[int, list[bytes]]]:
    """Number of the first line, and some lines."""
    first, rest = part.first_row, b""
    with open_text(table, part) as stream:
        while block := stream.read(BLOCK_BYTES):
            *lines, rest = (rest + block).split(b"\n")
            if first == 1 and lines:
                lines[0] = lines[0].removeprefix(codecs.BOM_UTF8)
            if lines:
                yield first, lines
            first += len(lines)
        if stream.fault is not None:
            raise stream.fault


def _parse(line: bytes) -> tuple[dict[str, Any] | None, str]:
    """A line's object, or why it has none; neither for a blank line."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        if not line.strip():
            return None, ""
        row, reason = _parse_leniently(line, error)
        if reason:
            return None, reason
    if not isinstance(row, dict):
        return None, f"not a JSON object but {kind_of(row)}"
    return row, ""


def _parse_leniently(line: bytes, error: orjson.JSONDecodeError) -> tuple[Any, str]:
    """Python's own writer puts NaN and Infinity where JSON has no word for them."""
    if b"NaN" in line or b"Infinity" in line:
        try:
            return json.loads(line), ""
        except ValueError:
            pass
    return None, f"not JSON: {str(error).split(':')[0]}"


def kind_of(value: Any) -> str:
    """What a message calls a value that is no object."""
    if value is None:
        return "null"
    names = {"list": "a list", "str": "text", "bool": "true or false"}
    return names.get(type(value).__name__, "a number")


def _shown(line: bytes) -> str:
    return shorten(unmarked(line.decode())) or ""


def object_rows(
    file: str,
    objects: list[dict[str, Any]],
    numbers: np.ndarray,
    columns: Sequence[str],
    malformed: list[MalformedRow],
    lines: Sequence[bytes] = (),
) -> Rows:
    """Makes rows of objects.

    Args:
        file: Where they are from.
        objects: [n] objects.
        numbers: [n] their rows' numbers.
        columns: Keys to take.
        malformed: Rows that could not be read; those whose cell does not fit its column are added.
        lines: [n] what orjson read them from; none where the objects' integers are exact.
    """
    arrays = []
    kept = np.ones(len(objects), bool)
    exact: list[dict[str, Any]] | None = None
    for name in columns:
        cells, misfits = typed_cells([row.get(name) for row in objects])
        if lines and _rounded(cells, objects, name):
            exact = exact or [json.loads(line) for line in lines]
            cells, misfits = typed_cells([row.get(name) for row in exact])
        for place in misfits:
            if kept[place]:
                cell = json.dumps(objects[place][name], ensure_ascii=False, separators=(",", ":"))
                reason = f"column {name!r} holds {_form(objects[place][name])}, unlike the rows near there"
                malformed.append(MalformedRow(int(numbers[place]), shorten(cell) or "", reason))
                kept[place] = False
        arrays.append(cells)
    batch = pa.RecordBatch.from_arrays(arrays, list(columns))
    if not kept.all():
        batch, numbers = batch.filter(pa.array(kept)), numbers[kept]
    return Rows(file, numbers, batch, tuple(malformed))


def _rounded(cells: pa.Array, objects: list[dict[str, Any]], name: str) -> bool:
    """Whether integers of more than 64 bits may be among a column's cells, which orjson makes doubles of.

    Args:
        cells: [n], as made of the objects' values.
        objects: [n] as orjson read them.
        name: The column's.
    """
    if pa.types.is_list(cells.type):
        cells = cells.flatten()
    if pa.types.is_floating(cells.type):
        return bool(pc.any(pc.greater_equal(pc.abs(cells), _BEYOND_INTEGERS)).as_py())
    # Text that looks like a double may have been one: numbers beside text are written as such.
    if not pa.types.is_string(cells.type) or b"e+" not in bytes_of(cells)[0]:
        return False
    return any(
        isinstance(value, float) and abs(value) >= _BEYOND_INTEGERS
        for cell in (row.get(name) for row in objects)
        for value in (cell if isinstance(cell, list) else [cell])
    )


def _form(cell: Any) -> str:
    return {"list": "a list", "dict": "an object"}.get(type(cell).__name__, "a single value")


def typed_cells(cells: list[Any]) -> tuple[pa.Array, list[int]]:
    """[n] cells of one type; and the places of those that have no part in it, which are then null."""
    try:
        return pa.array(cells), []
    except (pa.ArrowException, OverflowError, UnicodeEncodeError):
        pass
    forms = [_form(cell) for cell in cells if cell is not None]
    form = max(sorted(set(forms)), key=forms.count)
    misfits = [place for place, cell in enumerate(cells) if cell is not None and _form(cell) != form]
    for place in misfits:
        cells[place] = None
    if form == "a list":
        lists = [cell and [_text(value) for value in cell] for cell in cells]
        return pa.array(lists, pa.list_(pa.string())), misfits
    return pa.array([_text(cell) for cell in cells], pa.string()), misfits


def _text(value: Any) -> str | None:
    """A value of a column that mixes text and numbers, as ``columns.as_text`` would write it."""
    if value is None or isinstance(value, str):
        return value
    if value != value:
        return None
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return (
        json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        if not isinstance(value, float | int)
        else str(value).lower()
    )
