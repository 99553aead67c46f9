"""What a cell of the user's tables must be, and its vectorised conversion into that.

Nothing here looks at one value at a time: a conversion takes an Arrow array as it came out of a file
and returns the converted array together with the places where the cell was neither a value nor missing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.features import Feature
from components.ingest.files.cell_bytes import bytes_of
from components.ingest.files.moment_units import unit_hints
from components.ingest.files.moments import Moments, TimeUnit, to_seconds
from components.ingest.files.numbers import (
    LARGEST,
    PLAIN,
    Numerals,
    as_plain,
    beyond_single,
    floats_as_text,
    is_number,
    parse_numbers,
    to_double,
    ways_to_read,
)
from components.ingest.files.time_format import TimeFormat, time_format
from components.ingest.strict import Strict

ColumnType = Literal["id", "string", "strings", "number", "moment", "numbers"]

_TYPE_OF_KIND: dict[str, ColumnType] = {
    "vocabulary": "string",
    "hash": "string",
    "text": "string",
    "numeric": "number",
    "multivalent": "strings",
    "timestamp": "moment",
    "embedding": "numbers",
}
_ARROW_TYPES: dict[ColumnType, pa.DataType] = {
    "id": pa.string(),
    "string": pa.string(),
    "strings": pa.list_(pa.string()),
    "number": pa.float64(),
    "moment": pa.int64(),
    "numbers": pa.list_(pa.float32()),
}


_EXACT_BITS = {pa.float16(): 11, pa.float32(): 24, pa.float64(): 53}
"""Whole numbers below two to this power are exact in a type of floating point."""
_WHOLE = r"^([+-]?\d+)\.0+$"


class Column(Strict):
    """One column to read: its declared name and what its cells must be.

    ``id`` becomes an Arrow string, without the fraction where it is a whole number (``42.0`` is ``42``);
    ``string`` an Arrow string, ``strings`` a list of strings (cut at ``separator``), ``number`` a double,
    ``moment`` an int64 of seconds since 1970, UTC (given in ``unit``, or as a date), ``numbers`` a list of
    exactly ``dim`` floats (cut at ``separator``).
    """

    name: str
    type: ColumnType = "string"
    separator: str = ""
    dim: int = 0
    """Of ``numbers``."""
    unit: TimeUnit = "s"
    timezone: str = "UTC"
    """Of moments given as a date or time without an offset."""
    format: str | None = None
    """How text writes a moment, see :func:`~components.ingest.files.time_format.time_format`."""
    earliest: int | None = None
    """Moments before this second are wrong."""
    latest: int | None = None
    """Moments from this second on are wrong."""

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of the converted values."""
        return _ARROW_TYPES[self.type]

    @property
    def expected(self) -> str:
        """What a cell of this column must be, for an error message."""
        return {
            "id": "an id in every row",
            "string": "text",
            "strings": f"values separated by {self.separator!r}, or a list of text",
            "number": f"a finite number (examples hold float32, up to {LARGEST:.1e}), or nothing",
            "moment": self._expected_moment,
            "numbers": f"{self.dim} finite numbers separated by {self.separator!r}, or a list of so many",
        }[self.type]

    @property
    def _expected_moment(self) -> str:
        form = self._form
        if form is not None:
            return f"a time written as {form.text}, such as {form.example!r}"
        if self.unit == "excel_days":
            return "a time: days since 1900 as Excel counts them, or ISO 8601 such as 2024-05-31T12:00:00Z"
        return f"a time: {self.unit} since 1970-01-01 UTC, or ISO 8601 such as 2024-05-31T12:00:00Z"

    @property
    def _form(self) -> TimeFormat | None:
        return None if self.format is None else time_format(self.format)

    def convert(self, cells: pa.Array, numerals: Numerals = PLAIN) -> Converted:
        """Converts the cells of this column.

        Args:
            cells: [n] Arrow array of any type, as read.
            numerals: How the table's text writes numbers.

        Returns:
            [n] values of :attr:`arrow_type`, null where missing or wrong, and the [n] mask of those that
            are wrong.
        """
        return _CONVERSIONS[self.type](self, _decoded(cells), numerals)

    def reasons(self, cells: pa.Array, what: str, numerals: Numerals = PLAIN) -> pa.Array:
        """Why cells are wrong.

        Args:
            cells: [n] Arrow array as given to :meth:`convert`.
            what: What the reasons call the column, such as "timestamp".
            numerals: As given to :meth:`convert`.

        Returns:
            [n] strings; those of cells that are not wrong mean nothing.
        """
        cells = _decoded(cells)
        if self.type in ("id", "string"):
            return pa.repeat(f"{what} {_misfit(cells)}", len(cells))
        reasons = pa.repeat(f"{what} is not {self.expected_of(cells, numerals)}", len(cells))
        if self.type != "moment":
            return reasons
        plain = self._plain(cells, numerals)
        moments = to_seconds(plain, self.unit, self.timezone, self._form)
        for second, relation, outside in self._bounds(moments.seconds):
            reasons = pc.if_else(pa.array(outside), f"{what} {relation} {_day(second)}", reasons)
        return pc.binary_join_element_wise(reasons, self._unit_hints(plain, moments), "")

    def _plain(self, cells: pa.Array, numerals: Numerals) -> pa.Array:
        """[n] cells of moments, the numbers among them in the plain notation."""
        as_they_are = self._form is not None or numerals == PLAIN or not _is_text(cells.type)
        return cells if as_they_are else as_plain(cells, numerals)

    def _unit_hints(self, cells: pa.Array, moments: Moments) -> pa.Array:
        """[n] strings: what to say of the unit where a number is no moment; else empty."""
        suspect = moments.counted & (moments.wrong | self._outside(moments.seconds))
        hints = np.full(len(cells), "", object)
        if suspect.any():
            some = cells.filter(pa.array(suspect))
            numbers, _ = parse_numbers(some) if _is_text(some.type) else to_double(some)
            hints[suspect] = unit_hints(pc.fill_null(numbers, np.nan).to_numpy(), self.unit)
        return pa.array(hints, pa.string())

    def expected_of(self, cells: pa.Array, numerals: Numerals = PLAIN) -> str:
        """What cells of this column must be, and what to do where some are not, for an error message.

        Args:
            cells: As given to :meth:`convert`; some are wrong.
            numerals: As given to :meth:`convert`.
        """
        cells = _decoded(cells)
        if self.type in ("id", "string") and not _is_text(cells.type):
            return f"{self.expected}: the column {_misfit(cells)}"
        advice = number_advice(cells, numerals) if self.type == "number" and _is_text(cells.type) else ""
        return self.expected + advice

    def _outside(self, seconds: pa.Array) -> np.ndarray:
        """[n] mask of the moments that break a bound."""
        return np.any([np.zeros(len(seconds), bool), *(out for _, _, out in self._bounds(seconds))], axis=0)

    def _bounds(self, seconds: pa.Array) -> list[tuple[int, str, np.ndarray]]:
        """Each bound of a moment, how it is broken, and the [n] mask of the moments that break it."""
        bounds = []
        if self.earliest is not None:
            bounds.append((self.earliest, "before", _mask(pc.less(seconds, self.earliest))))
        if self.latest is not None:
            bounds.append((self.latest, "not before", _mask(pc.greater_equal(seconds, self.latest))))
        return bounds


def _day(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).date().isoformat()


class Converted(NamedTuple):
    """A converted column: [n] values, and [n] bool, true where the cell is no value of the type."""

    values: pa.Array
    wrong: np.ndarray


def column_of(name: str, feature: Feature) -> Column:
    """The column a declared feature is read from."""
    kind = _TYPE_OF_KIND[feature.kind]
    if feature.kind == "multivalent":
        return Column(name=name, type=kind, separator=feature.separator)
    if feature.kind == "embedding":
        return Column(name=name, type=kind, separator=feature.separator, dim=feature.dim)
    if feature.kind == "timestamp":
        return Column(name=name, type=kind, format=feature.format)
    return Column(name=name, type=kind)


def as_text(cells: pa.Array) -> pa.Array:
    """The cells as a person would write them, [n] strings; null stays null."""
    cells = _decoded(cells)
    if pa.types.is_floating(cells.type):
        return floats_as_text(cells)
    try:
        return pc.cast(cells, pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if cell is None else str(cell) for cell in cells.to_pylist()], pa.string())


def number_advice(text: pa.Array, numerals: Numerals) -> str:
    """Which keys of the table would read cells as numbers, in words; nothing where none would.

    Args:
        text: [n] strings of a column of numbers.
        numerals: How the table is said to write numbers.
    """
    ways = ways_to_read(text)
    if not ways or numerals in ways:
        return ""
    if PLAIN in ways:
        return f" (this table is said to write numbers with {numerals.keys})"
    meant = ", whichever is meant" if len(ways) > 1 else ""
    return f"; set {' or '.join(way.keys for way in ways)} on the table{meant}"


def _misfit(cells: pa.Array) -> str:
    """What is wrong with cells that cannot be text."""
    if _is_list(cells.type):
        return "holds a list; expected one value a row"
    if pa.types.is_nested(cells.type):
        return "holds an object; expected one value a row"
    return (
        f"is a number that the column's type ({cells.type}) cannot hold to its last digit; expected text or "
        "integers: write the column again as such"
    )


def _to_id(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    text, wrong = _to_string(column, cells, numerals)
    if not (_is_text(cells.type) or pa.types.is_decimal(cells.type)) or b"." not in bytes_of(text)[0]:
        return Converted(text, wrong)
    return Converted(pc.replace_substring_regex(text, pattern=_WHOLE, replacement=r"\1"), wrong)


def _to_string(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    if pa.types.is_nested(cells.type):
        return _all_wrong(cells, pa.string())
    wrong = np.zeros(len(cells), bool)
    if pa.types.is_floating(cells.type):
        cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        # Digits may be lost, so that two ids have become one; no table of ours can tell.
        wrong = _mask(pc.greater_equal(pc.abs(cells), pa.scalar(2.0 ** _EXACT_BITS[cells.type], cells.type)))
        if wrong.any():
            cells = pc.if_else(pa.array(wrong), pa.scalar(None, cells.type), cells)
    return Converted(_null_if_empty(as_text(cells)), wrong)


def _to_strings(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    if not _is_list(cells.type):
        text, wrong = _to_string(column, cells, numerals)
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


def _to_number(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    if _is_text(cells.type):
        numbers, wrong = parse_numbers(cells, numerals)
    elif is_number(cells.type) or pa.types.is_null(cells.type):
        numbers, wrong = to_double(cells)
    else:
        return _all_wrong(cells, pa.float64())
    beyond = beyond_single(numbers)
    if beyond is None:
        return Converted(numbers, wrong)
    return Converted(pc.if_else(pa.array(beyond), pa.scalar(None, pa.float64()), numbers), wrong | beyond)


def _to_moment(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    if pa.types.is_nested(cells.type):
        return _all_wrong(cells, pa.int64())
    seconds, wrong, _ = to_seconds(column._plain(cells, numerals), column.unit, column.timezone, column._form)
    outside = column._outside(seconds)
    if outside.any():
        wrong = wrong | outside
        seconds = pc.if_else(pa.array(outside), pa.scalar(None, pa.int64()), seconds)
    return Converted(seconds, wrong)


def _to_numbers(column: Column, cells: pa.Array, numerals: Numerals) -> Converted:
    """Lists of one length: a null within is as wrong as a number too many."""
    if not _is_list(cells.type):
        if not (_is_text(cells.type) or pa.types.is_null(cells.type)):
            return _all_wrong(cells, column.arrow_type)
        text = _null_if_empty(pc.utf8_trim_whitespace(as_text(cells)))
        blank = column.separator.isspace()
        cells = pc.utf8_split_whitespace(text) if blank else pc.split_pattern(text, pattern=column.separator)
    wrong = _mask(pc.not_equal(pc.list_value_length(cells), column.dim))
    values = pc.list_flatten(cells)
    owners = pc.list_parent_indices(cells).to_numpy()
    numbers, unreadable = _to_number(column, values, numerals)
    single = pc.cast(numbers, pa.float32(), safe=False)
    useless = unreadable | ~_mask(pc.is_finite(single))
    wrong[owners[useless]] = True
    kept = _mask(pc.is_valid(cells)) & ~wrong
    offsets = np.concatenate([[0], np.cumsum(kept * column.dim)]).astype(np.int32)
    chosen = single.filter(pa.array(kept[owners]))
    return Converted(pa.ListArray.from_arrays(pa.array(offsets), chosen, mask=pa.array(~kept)), wrong)


def _null_if_empty(text: pa.Array) -> pa.Array:
    empty = pc.equal(pc.binary_length(text), 0)
    if not pc.any(empty).as_py():
        return text
    return pc.if_else(empty, pa.scalar(None, pa.string()), text)


def _decoded(cells: pa.Array) -> pa.Array:
    return cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells


def _all_wrong(cells: pa.Array, wanted: pa.DataType) -> Converted:
    return Converted(pa.nulls(len(cells), wanted), _mask(pc.is_valid(cells)))


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array; null counts as false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)


_CONVERSIONS: dict[str, Callable[[Column, pa.Array, Numerals], Converted]] = {
    "id": _to_id,
    "string": _to_string,
    "strings": _to_strings,
    "number": _to_number,
    "moment": _to_moment,
    "numbers": _to_numbers,
}
