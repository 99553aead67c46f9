"""Rows whose cells are text that can be kept; the others, and why they cannot."""

from __future__ import annotations

import codecs
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.byte_streams import MARKED_BYTES, unmarked
from components.ingest.files.cell_bytes import bytes_of, is_large
from components.ingest.files.rows import MalformedRow, Rows, shorten

LATIN_1_HINT = "if the file is Latin-1, say encoding: latin-1"

_SUSPECT = (b"\0", chr(MARKED_BYTES).encode()[:1])


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
            octets = pc.cast(cells, pa.large_binary() if is_large(cells.type) else pa.binary())
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
    data, offsets = bytes_of(octets)
    valid = _is_utf8(octets)
    if valid and not any(byte in data for byte in _SUSPECT):
        return []
    values = np.frombuffer(data, np.uint8)
    suspect = np.isin(values, np.frombuffer(b"".join(_SUSPECT), np.uint8))
    if not valid:
        suspect |= values >= 0x80
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
        pc.cast(octets, pa.large_string() if is_large(octets.type) else pa.string())
    except pa.ArrowInvalid:
        return False
    return True


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_binary(kind) or is_large(kind)
