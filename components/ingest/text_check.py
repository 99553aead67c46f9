"""Rows whose cells are text that can be kept; the others, and why they cannot."""

from __future__ import annotations

import codecs
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.byte_streams import MARKED_BYTES, unmarked
from components.ingest.rows import MalformedRow, Rows, shorten

LATIN_1_HINT = "if the file is Latin-1, say encoding: latin-1"

_MARK = chr(MARKED_BYTES).encode()[0]


class _Fault(NamedTuple):
    row: int
    text: str
    reason: str


def check_text(rows: Rows, encoding: str, hint: str = "") -> Rows:
    """Makes every column of bytes or text a valid string column.

    Args:
        rows: As read.
        encoding: What the file's bytes should be, for the reasons.
        hint: Added to the reason why a cell is no text.

    Returns:
        The rows; those with a cell that is not text in the encoding, or that holds a NUL byte, are among
        the malformed.
    """
    arrays, faults = [], []
    for name, cells in zip(rows.batch.schema.names, rows.batch.columns, strict=True):
        if pa.types.is_dictionary(cells.type):
            cells = cells.dictionary_decode()
        if _is_text(cells.type):
            octets = pc.cast(cells, pa.large_binary() if _is_large(cells.type) else pa.binary())
            cells = octets
            faults += _faults(name, octets, encoding, hint)
        arrays.append(cells)
    return _without(rows, arrays, faults)


def _without(rows: Rows, arrays: list[pa.Array], faults: list[_Fault]) -> Rows:
    numbers, malformed = rows.numbers, list(rows.malformed)
    if faults:
        first = {fault.row: fault for fault in reversed(faults)}
        for row, fault in sorted(first.items()):
            malformed.append(MalformedRow(int(numbers[row]), fault.text, fault.reason))
        kept = np.ones(len(numbers), bool)
        kept[list(first)] = False
        numbers = numbers[kept]
        arrays = [cells.filter(pa.array(kept)) for cells in arrays]
    # Only now: the cast refuses whatever is not UTF-8.
    arrays = [pc.cast(cells, pa.string()) if _is_text(cells.type) else cells for cells in arrays]
    batch = pa.RecordBatch.from_arrays(arrays, rows.batch.schema.names)
    return Rows(rows.file, numbers, batch, tuple(malformed))


def _faults(name: str, octets: pa.Array, encoding: str, hint: str) -> list[_Fault]:
    data, offsets = _octets(octets)
    suspect = (data == 0) | (data == _MARK)
    if not _is_utf8(octets):
        suspect |= data >= 0x80
    if not suspect.any():
        return []
    places = np.unique(np.searchsorted(offsets, np.flatnonzero(suspect), side="right") - 1)
    cells = octets.take(pa.array(places)).to_pylist()
    found = (
        _fault(row, name, cell, encoding, hint) for row, cell in zip(places.tolist(), cells, strict=True)
    )
    return [fault for fault in found if fault is not None]


def _fault(row: int, name: str, cell: bytes | None, encoding: str, hint: str) -> _Fault | None:
    if cell is None:
        return None
    try:
        text = cell.decode()
        marked = [ord(sign) - MARKED_BYTES for sign in text if ord(sign) >= MARKED_BYTES]
        wrong = marked[0] if marked else None
        text = unmarked(text)
    except UnicodeDecodeError as error:
        wrong = cell[error.start]
        text = cell.decode(errors="backslashreplace")
    shown = shorten(text) or ""
    if wrong is not None:
        known = codecs.lookup(encoding).name
        reason = f"column {name!r} is not {known.upper()} (byte 0x{wrong:02X})"
        return _Fault(row, shown, f"{reason}; {hint}" if hint else reason)
    if b"\0" in cell:
        return _Fault(row, shown.replace("\0", "\\x00"), f"column {name!r} holds a NUL byte")
    return None


def _is_utf8(octets: pa.Array) -> bool:
    try:
        pc.cast(octets, pa.large_string() if _is_large(octets.type) else pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _octets(cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The [n] cells' bytes, one after the other, and the [n + 1] places where each begins."""
    _, offsets, data = cells.buffers()
    if data is None or not len(cells):
        return np.empty(0, np.uint8), np.zeros(len(cells) + 1, np.int64)
    width = np.int64 if _is_large(cells.type) else np.int32
    places = np.frombuffer(offsets, width)[cells.offset : cells.offset + len(cells) + 1]
    return np.frombuffer(data, np.uint8)[places[0] : places[-1]], places - places[0]


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_binary(kind) or _is_large(kind)


def _is_large(kind: pa.DataType) -> bool:
    return pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
