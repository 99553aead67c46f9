"""What a cell of the user's tables must be, and its vectorised conversion into that.

Nothing here looks at one value at a time: a conversion takes an Arrow array as it came out of a file
and returns the converted array together with the places where the cell was neither a value nor missing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.features import Feature
from components.ingest.strict import Strict

ColumnType = Literal["string", "strings", "number", "moment"]
TimeUnit = Literal["s", "ms", "us"]

MISSING_NUMBERS = ("", "na", "n/a", "nan", "null", "none")
"""Cells (lower case) of a number or moment column that stand for no value."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000}
_LATEST_SECOND = 253_402_300_799  # 9999-12-31: anything later is a mistaken unit, not a time

_TYPE_OF_KIND: dict[str, ColumnType] = {
    "vocabulary": "string",
    "hash": "string",
    "text": "string",
    "numeric": "number",
    "multivalent": "strings",
    "timestamp": "moment",
}


class Column(Strict):
    """One column to read: its name in the file and what its cells must be.

    ``string`` becomes an Arrow string, ``strings`` a list of strings (cut at ``separator``), ``number``
    a double, ``moment`` an int64 of seconds since 1970, UTC (given in ``unit``, or as a date).
    """

    name: str
    type: ColumnType = "string"
    separator: str = ""
    unit: TimeUnit = "s"

    @property
    def expected(self) -> str:
        """What a cell of this column must be, for an error message."""
        return {
            "string": "text",
            "strings": f"values separated by {self.separator!r}, or a list of text",
            "number": "a finite number, or nothing",
            "moment": f"a time: {self.unit} since 1970-01-01 UTC, or ISO 8601 such as 2024-05-31T12:00:00Z",
        }[self.type]

    def convert(self, cells: pa.Array) -> Converted:
        """Converts the cells of this column.

        Args:
            cells: [n] Arrow array of any type, as read.

        Returns:
            [n] values, null where missing or wrong, and the [n] mask of those that are wrong.
        """
        return _CONVERSIONS[self.type](self, cells)


class Converted(NamedTuple):
    """A converted column: [n] values, and [n] bool, true where the cell is no value of the type."""

    values: pa.Array
    wrong: np.ndarray


def column_of(name: str, feature: Feature) -> Column:
    """The column a declared feature is read from."""
    separator = feature.separator if feature.kind == "multivalent" else ""
    return Column(name=name, type=_TYPE_OF_KIND[feature.kind], separator=separator)


def as_text(cells: pa.Array) -> pa.Array:
    """The cells as a person would write them, [n] strings; null stays null."""
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_floating(cells.type):
        # An integer column with gaps arrives as floats; its 42.0 is still the id 42.
        whole = pc.fill_null(pc.and_(pc.is_finite(cells), pc.equal(pc.floor(cells), cells)), False)
        whole = pc.and_(whole, pc.fill_null(pc.less(pc.abs(cells), 2.0**53), False))
        integers = pc.cast(pc.if_else(whole, cells, pa.scalar(None, cells.type)), pa.int64())
        return pc.coalesce(pc.cast(integers, pa.string()), pc.cast(cells, pa.string()))
    try:
        return pc.cast(cells, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())


def _to_string(column: Column, cells: pa.Array) -> Converted:
    if pa.types.is_nested(cells.type):
        return _all_wrong(cells, pa.string())
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
    return Converted(_null_if_empty(as_text(cells)), np.zeros(len(cells), bool))


def _to_strings(column: Column, cells: pa.Array) -> Converted:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if not _is_list(cells.type):
        text, wrong = _to_string(column, cells)
        if wrong.any():
            return _all_wrong(cells, pa.list_(pa.string()))
        cells = pc.split_pattern(text, pattern=column.separator)
    if pa.types.is_nested(cells.type.value_type):
        return _all_wrong(cells, pa.list_(pa.string()))
    parts = _null_if_empty(pc.utf8_trim_whitespace(as_text(pc.list_flatten(cells))))
    kept = _mask(pc.is_valid(parts))
    owners = pc.list_parent_indices(cells).to_numpy()[kept]
    sizes = np.bincount(owners, minlength=len(cells))
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32)
    values = pa.ListArray.from_arrays(
        pa.array(offsets), parts.drop_null(), mask=pa.array(sizes == 0, pa.bool_())
    )
    return Converted(values, np.zeros(len(cells), bool))


def _to_number(column: Column, cells: pa.Array) -> Converted:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return _parse_numbers(cells)
    if not (_is_number(cells.type) or pa.types.is_null(cells.type)):
        return _all_wrong(cells, pa.float64())
    numbers = pc.cast(cells, pa.float64(), safe=False)
    numbers = pc.if_else(pc.is_nan(numbers), pa.scalar(None, pa.float64()), numbers)
    return Converted(*_finite(numbers))


def _parse_numbers(text: pa.Array) -> Converted:
    text = pc.utf8_trim_whitespace(text)
    readable = pc.fill_null(pc.match_substring_regex(text, pattern=_NUMBER), False)
    numbers = pc.cast(pc.if_else(readable, text, pa.scalar(None, text.type)), pa.float64())
    finite, infinite = _finite(numbers)
    absent = pc.fill_null(pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING_NUMBERS, text.type)), True)
    missing = _mask(pc.or_(absent, pc.is_null(text)))
    return Converted(finite, infinite | (~_mask(readable) & ~missing))


def _to_moment(column: Column, cells: pa.Array) -> Converted:
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        # By way of microseconds, floored: a plain cast to seconds refuses any fraction.
        micros = pc.cast(pc.cast(cells, pa.timestamp("us"), safe=False), pa.int64())
        return _in_calendar(_floor_divide(micros, _PER_SECOND["us"]), np.zeros(len(cells), bool))
    if pa.types.is_integer(cells.type):
        signed = pc.cast(cells, pa.int64(), safe=False)
        return _in_calendar(_floor_divide(signed, _PER_SECOND[column.unit]), np.zeros(len(cells), bool))
    numbers, wrong = _to_number(column, cells)
    seconds = pc.floor(pc.divide(numbers, float(_PER_SECOND[column.unit])))
    too_far = _mask(pc.greater(pc.abs(seconds), float(_LATEST_SECOND)))
    seconds = pc.cast(pc.if_else(too_far, pa.scalar(None, pa.float64()), seconds), pa.int64())
    if wrong.any() and (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        dates = _parse_dates(cells.filter(pa.array(wrong)))
        seconds = pc.replace_with_mask(seconds, pa.array(wrong), dates)
        wrong = wrong & ~_mask(pc.is_valid(seconds))
    return Converted(seconds, wrong | too_far)


def _parse_dates(text: pa.Array) -> pa.Array:
    """[n] seconds since 1970 of ISO 8601 text, UTC where no offset is given; null where it is none."""
    moments = pd.to_datetime(
        pd.Series(text.to_pandas(), dtype=object), format="ISO8601", utc=True, errors="coerce"
    )
    micros = pa.array(moments.dt.tz_localize(None).astype("datetime64[us]"), pa.timestamp("us"))
    return _floor_divide(pc.cast(micros, pa.int64()), _PER_SECOND["us"])


def _in_calendar(seconds: pa.Array, wrong: np.ndarray) -> Converted:
    too_far = _mask(pc.or_(pc.greater(seconds, _LATEST_SECOND), pc.less(seconds, -_LATEST_SECOND)))
    return Converted(pc.if_else(too_far, pa.scalar(None, pa.int64()), seconds), wrong | too_far)


def _floor_divide(values: pa.Array, divisor: int) -> pa.Array:
    """Arrow's integer division rounds towards zero, which before 1970 is the wrong way."""
    remainder = pc.subtract(values, pc.multiply(pc.divide(values, divisor), divisor))
    quotient = pc.divide(values, divisor)
    return pc.if_else(pc.less(remainder, 0), pc.subtract(quotient, 1), quotient)


def _finite(numbers: pa.Array) -> tuple[pa.Array, np.ndarray]:
    infinite = pc.fill_null(pc.is_inf(numbers), False)
    return pc.if_else(infinite, pa.scalar(None, pa.float64()), numbers), _mask(infinite)


def _null_if_empty(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _all_wrong(cells: pa.Array, wanted: pa.DataType) -> Converted:
    return Converted(pa.nulls(len(cells), wanted), _mask(pc.is_valid(cells)))


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array; null counts as false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


_CONVERSIONS: dict[str, Callable[[Column, pa.Array], Converted]] = {
    "string": _to_string,
    "strings": _to_strings,
    "number": _to_number,
    "moment": _to_moment,
}
