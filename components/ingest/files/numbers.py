"""Numbers, out of text or of any number type."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.cell_bytes import bytes_of

MISSING_NUMBERS = ("", "na", "n/a", "nan", "null", "none")
"""Cells (lower case) of a number or moment column that stand for no value."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"


def is_number(kind: pa.DataType) -> bool:
    """Whether an Arrow type is one of numbers."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def to_double(numbers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """[n] numbers as doubles, null where NaN or infinite, and the [n] mask of the infinite ones."""
    numbers = pc.cast(numbers, pa.float64(), safe=False)
    finite = pc.is_finite(numbers)
    if pc.all(finite, min_count=0).as_py():
        return numbers, np.zeros(len(numbers), bool)
    infinite = pc.fill_null(pc.is_inf(numbers), False).to_numpy(zero_copy_only=False)
    return pc.if_else(finite, numbers, pa.scalar(None, pa.float64())), infinite


def floats_as_text(cells: pa.Array) -> pa.Array:
    """[n] floats as a person would write them: an integer column with gaps holds 42.0, which is still 42."""
    whole = pc.fill_null(pc.and_(pc.is_finite(cells), pc.equal(pc.floor(cells), cells)), False)
    whole = pc.and_(whole, pc.fill_null(pc.less(pc.abs(cells), 2.0**53), False))
    integers = pc.cast(pc.if_else(whole, cells, pa.scalar(None, cells.type)), pa.int64())
    return pc.coalesce(pc.cast(integers, pa.string()), pc.cast(cells, pa.string()))


def parse_numbers(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """[n] finite doubles, null where missing or wrong, and the [n] mask of the wrong cells."""
    try:
        return to_double(pc.cast(_null_if_empty(text), pa.float64()))
    except pa.ArrowInvalid:
        pass
    text = pc.utf8_trim_whitespace(text)
    readable = pc.fill_null(pc.match_substring_regex(text, pattern=_NUMBER), False)
    numbers, infinite = to_double(
        pc.cast(pc.if_else(readable, text, pa.scalar(None, text.type)), pa.float64())
    )
    absent = pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING_NUMBERS, text.type))
    known = pc.or_(pc.or_(readable, absent), pc.is_null(text)).to_numpy(zero_copy_only=False)
    return numbers, infinite | ~known


def parse_integers(text: pa.Array) -> pa.Array | None:
    """[n] int64 if every cell is plain digits or empty (then null); else None."""
    try:
        integers = pc.cast(_null_if_empty(text), pa.int64())
    except pa.ArrowInvalid:
        return None
    letters, _ = bytes_of(text)
    # Arrow reads 0x10 as sixteen.
    return None if b"x" in letters or b"X" in letters else integers


def _null_if_empty(text: pa.Array) -> pa.Array:
    empty = pc.equal(pc.binary_length(text), 0)
    return pc.if_else(empty, pa.scalar(None, text.type), text) if pc.any(empty).as_py() else text
