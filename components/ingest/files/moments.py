"""Moments in any of the forms that tables hold them in, as seconds since 1970, UTC."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.numbers import (
    MISSING_NUMBERS,
    floats_as_text,
    is_number,
    parse_integers,
    parse_numbers,
    to_double,
)
from components.ingest.files.time_format import RFC2822, YEAR_FIRST, TimeFormat, Times, time_format

TimeUnit = Literal["s", "ms", "us", "ns", "excel_days"]

PER_SECOND: dict[TimeUnit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Units of time that numbers count in, and how many of each a second has."""
SECONDS_PER_DAY = 86_400
EXCEL_1970 = 25_569
"""Days from 1899-12-30, Excel's day 0, to 1970-01-01."""
_LATEST_SECOND = 253_402_300_799  # 9999-12-31: anything later is a mistaken unit, not a time
_OFFSET = r"\d[T ]\d\d.*([zZ]|[+-]\d\d(:?\d\d)?)\s*$"
_FREQUENT = ("%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d")
"""Unambiguous ways to write a time that Arrow does not read, where all cells are of one length."""


class Moments(NamedTuple):
    """[n] int64 seconds since 1970 UTC, null where missing or wrong; and two [n] masks.

    ``wrong``: the cell is neither a time nor missing. ``counted``: the cell is a number, so its moment
    depends on the declared unit.
    """

    seconds: pa.Array
    wrong: np.ndarray
    counted: np.ndarray


def to_seconds(cells: pa.Array, unit: TimeUnit, timezone: str, form: TimeFormat | None = None) -> Moments:
    """Converts a column, flooring to whole seconds.

    Args:
        cells: [n] timestamps, dates, numbers, or text of numbers or of times whose year comes first
            (ISO 8601 and its like) or that follow RFC 2822.
        unit: Of numbers.
        timezone: Of times without an offset. One that clocks skip moves to the end of the gap; of one
            that they show twice, the first is meant.
        form: How text and numbers write a time; None for the ways above. Then ``unit`` means nothing.
    """
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        return _in_calendar(_of_timestamps(cells, timezone), _none(cells), _none(cells))
    if form is not None:
        return _written(cells, form, timezone)
    if pa.types.is_integer(cells.type) and unit != "excel_days":
        seconds = _floor_divide(pc.cast(cells, pa.int64(), safe=False), PER_SECOND[unit])
        return _in_calendar(seconds, _none(cells), ~_none(cells))
    if is_number(cells.type) or pa.types.is_null(cells.type):
        return _of_numbers(*to_double(cells), unit)
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return _of_text(cells, unit, timezone)
    return Moments(pa.nulls(len(cells), pa.int64()), _mask(pc.is_valid(cells)), _none(cells))


def _written(cells: pa.Array, form: TimeFormat, timezone: str) -> Moments:
    """Cells that all are written in one form, or missing."""
    text = floats_as_text(cells) if pa.types.is_floating(cells.type) else pc.cast(cells, pa.string())
    seconds = _in_zone(form.read(text), timezone)
    wrong = _mask(pc.and_(pc.is_null(seconds), pc.is_valid(text)))
    if wrong.any():
        rest = pc.utf8_lower(pc.utf8_trim_whitespace(text.filter(pa.array(wrong))))
        wrong[wrong] = ~_mask(pc.is_in(rest, value_set=pa.array(MISSING_NUMBERS)))
    return _in_calendar(seconds, wrong, _none(cells))


def _of_text(text: pa.Array, unit: TimeUnit, timezone: str) -> Moments:
    integers = parse_integers(text)
    if integers is not None:
        return to_seconds(integers, unit, timezone)
    for kind in (pa.timestamp("us"), pa.timestamp("us", "UTC")):
        try:
            return to_seconds(pc.cast(text, kind), unit, timezone)
        except pa.ArrowInvalid:
            continue
    frequent = _frequent(text, timezone)
    if frequent is not None:
        return frequent
    numbers, wrong = parse_numbers(text)
    seconds, too_far, _ = _of_numbers(numbers, _none(text), unit)
    if wrong.any():
        dates = _parse_dates(text.filter(pa.array(wrong)), timezone)
        seconds = pc.replace_with_mask(seconds, pa.array(wrong), dates)
    return Moments(seconds, too_far | (wrong & ~_mask(pc.is_valid(seconds))), ~wrong)


def _frequent(text: pa.Array, timezone: str) -> Moments | None:
    """A column in one frequent form throughout, which is quicker read by itself; else None."""
    first = text.filter(pc.greater(pc.binary_length(text), 0)).slice(0, 1)
    for form in map(time_format, _FREQUENT if len(first) else ()):
        if form.read(first).seconds.null_count:
            continue
        moments = _written(text, form, timezone)
        return None if moments.wrong.any() else moments
    return None


def _of_numbers(numbers: pa.Array, wrong: np.ndarray, unit: TimeUnit) -> Moments:
    if unit == "excel_days":
        # Days have no double for most moments; half a millisecond is more than they are off.
        exact = pc.multiply(pc.subtract(numbers, float(EXCEL_1970)), float(SECONDS_PER_DAY))
        seconds = pc.floor(pc.add(exact, 0.0005))
    else:
        seconds = pc.floor(pc.divide(numbers, float(PER_SECOND[unit])))
    too_far = _mask(pc.greater(pc.abs(seconds), float(_LATEST_SECOND)))
    seconds = pc.cast(pc.if_else(pa.array(too_far), pa.scalar(None, pa.float64()), seconds), pa.int64())
    return Moments(seconds, wrong | too_far, ~_none(numbers))


def _of_timestamps(cells: pa.Array, timezone: str) -> pa.Array:
    if pa.types.is_date(cells.type):
        cells = pc.cast(cells, pa.timestamp("s"))
    per_second = PER_SECOND[cells.type.unit]
    if cells.type.tz is None and timezone != "UTC":
        cells = _localised(cells, timezone)
    return _floor_divide(pc.cast(cells, pa.int64()), per_second)


def _localised(naive: pa.Array, timezone: str) -> pa.Array:
    """Wall-clock timestamps of a zone as UTC's, of the same unit."""
    clock = pd.Series(naive.to_numpy(zero_copy_only=False))
    first = np.ones(len(clock), bool)
    zoned = clock.dt.tz_localize(timezone, ambiguous=first, nonexistent="shift_forward")
    return pa.array(zoned.dt.tz_convert("UTC").dt.tz_localize(None), pa.timestamp(naive.type.unit))


def _in_zone(times: Times, timezone: str) -> pa.Array:
    """[n] seconds since 1970 UTC of times, some of which are of clocks in a zone."""
    if timezone == "UTC" or times.zoned.all():
        return times.seconds
    clock = _of_timestamps(pc.cast(times.seconds, pa.timestamp("s")), timezone)
    return pc.if_else(pa.array(times.zoned), times.seconds, clock)


def _parse_dates(text: pa.Array, timezone: str) -> pa.Array:
    """[n] seconds since 1970 of text that can mean but one moment; null where it is none."""
    seconds = pa.nulls(len(text), pa.int64())
    for form in (*YEAR_FIRST, time_format(RFC2822)):
        left = pc.is_null(seconds)
        if not pc.any(left).as_py():
            return seconds
        seconds = pc.replace_with_mask(seconds, left, _in_zone(form.read(text.filter(left)), timezone))
    left = pc.is_null(seconds)
    return pc.replace_with_mask(seconds, left, _parse_rare_iso(text.filter(left), timezone))


def _parse_rare_iso(text: pa.Array, timezone: str) -> pa.Array:
    """[n] seconds since 1970 of ISO 8601 in its rarer forms; null where it is none."""
    absolute = pc.match_substring_regex(text, pattern=_OFFSET)
    # One by one: in mixed company pandas takes a time without an offset to have its neighbour's.
    clock = _of_timestamps(_parse_iso(text.filter(pc.invert(absolute))), timezone)
    seconds = pc.replace_with_mask(pa.nulls(len(text), pa.int64()), pc.invert(absolute), clock)
    return pc.replace_with_mask(
        seconds, absolute, _of_timestamps(_parse_iso(text.filter(absolute)), timezone="UTC")
    )


def _parse_iso(text: pa.Array) -> pa.Array:
    """[n] timestamps, offsets applied; null where it is none."""
    cells = pd.Series(text.to_pandas(), dtype=object)
    parsed = pd.to_datetime(cells, format="ISO8601", utc=True, errors="coerce").dt.tz_localize(None)
    return pa.array(parsed.astype("datetime64[us]"), pa.timestamp("us"))


def _in_calendar(seconds: pa.Array, wrong: np.ndarray, counted: np.ndarray) -> Moments:
    too_far = _mask(pc.or_(pc.greater(seconds, _LATEST_SECOND), pc.less(seconds, -_LATEST_SECOND)))
    if too_far.any():
        seconds = pc.if_else(pa.array(too_far), pa.scalar(None, pa.int64()), seconds)
    return Moments(seconds, wrong | too_far, counted)


def _floor_divide(values: pa.Array, divisor: int) -> pa.Array:
    """Arrow's integer division rounds towards zero, which before 1970 is the wrong way."""
    if divisor == 1:
        return values
    quotient = pc.divide(values, divisor)
    remainder = pc.subtract(values, pc.multiply(quotient, divisor))
    return pc.if_else(pc.less(remainder, 0), pc.subtract(quotient, 1), quotient)


def _none(cells: pa.Array) -> np.ndarray:
    return np.zeros(len(cells), bool)


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array; null counts as false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)
