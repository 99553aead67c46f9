"""Whether a column says when something happened, and how it counts time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.columns import Column
from pipeline.propose import words

Unit = Literal["s", "ms", "us", "ns"]

_PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2060, 1, 1, tzinfo=UTC).timestamp()
_OFFSET = r"(?i)(z|[+-]\d\d:?(\d\d)?)\s*$"
_LOOKED_AT = 20_000
_DAY = 86_400


@dataclass(frozen=True)
class Moments:
    """How a column is read as time.

    Attributes:
        unit: What numbers count; None for dates and times.
        first: Earliest moment, seconds since 1970 UTC.
        last: Latest moment.
        days_only: Whether every moment is a midnight.
        has_offset: Whether the cells say their offset from UTC; true for numbers, which count from UTC.
        named: Whether the column's name speaks of time.
        distinct: How many different moments the sample has.
    """

    unit: Unit | None
    first: int
    last: int
    days_only: bool
    has_offset: bool
    named: bool
    distinct: int

    def shown(self) -> str:
        """The range, for people."""
        form = "%Y-%m-%d" if self.days_only else "%Y-%m-%d %H:%M"
        return " – ".join(
            datetime.fromtimestamp(moment, UTC).strftime(form) for moment in (self.first, self.last)
        )


def find_moments(name_words: Sequence[str], cells: pa.Array) -> Moments | None:
    """Reads a column as time, if that gives plausible times: between 1990 and 2060, nearly all of them.

    Args:
        name_words: Words of the column's name. Numbers in the range of a time whose name says nothing of
            it, or calls them an id, are none.
        cells: [n] cells that are there, as in the file.
    """
    if not len(cells):
        return None
    named = any(word in words.TIMES for word in name_words)
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        zoned = pa.types.is_timestamp(cells.type) and cells.type.tz is not None
        seconds = Column(name="", type="moment").convert(cells).values
        return _moments(None, seconds.drop_null().to_numpy(), zoned, named)
    if pa.types.is_floating(cells.type) or pa.types.is_integer(cells.type):
        return _of_numbers(cells.to_numpy(zero_copy_only=False), named, "id" in name_words)
    return _of_text(cells, named)


def date_in_another_form(cells: pa.Array) -> str | None:
    """An example of a column whose cells are dates, but not ISO 8601: none that ingestion reads."""
    some = cells.drop_null().slice(0, 200)
    if not len(some):
        return None
    if pc.all(pc.match_substring_regex(some, pattern=r"^(19|20)\d\d(0[1-9]|1[0-2])([0-2]\d|3[01])$")).as_py():
        return str(some[0].as_py())
    if not pc.all(pc.match_substring_regex(some, pattern=r"\d.*\D.*\d.*\D.*\d")).as_py():
        return None
    text = some.to_pylist()
    parsed = pd.to_datetime(pd.Series(text), format="mixed", errors="coerce", utc=True)
    return text[0] if parsed.notna().mean() > 0.95 else None


def _of_numbers(numbers: np.ndarray, named: bool, is_id: bool) -> Moments | None:
    for unit, per_second in _PER_SECOND.items():
        seconds = numbers / per_second
        low, high = np.quantile(seconds, [0.01, 0.99])
        if low < _EARLIEST or high >= _LATEST:
            continue
        # Numbers this large without a word of time are as likely ids.
        return _moments(unit, np.floor(seconds), True, named) if named or not is_id else None
    return None


def _of_text(cells: pa.Array, named: bool) -> Moments | None:
    some = cells if len(cells) <= _LOOKED_AT else cells.take(_evenly(len(cells)))
    # Years and other plain numbers would pass for ISO 8601.
    if pc.mean(pc.match_substring_regex(some, pattern=r"\d\d\d\d-?\d\d-?\d\d")).as_py() < 0.95:
        return None
    values, wrong = Column(name="", type="moment").convert(some)
    if wrong.mean() > 0.02:
        return None
    seconds = values.drop_null().to_numpy()
    timed = pc.match_substring(some, ":")
    zoned = pc.all(pc.match_substring_regex(some.filter(timed), pattern=_OFFSET)).as_py()
    return _moments(None, seconds, bool(zoned) and pc.any(timed).as_py(), named)


def _evenly(count: int) -> pa.Array:
    return pa.array(np.unique(np.linspace(0, count - 1, _LOOKED_AT).astype(np.int64)))


def _moments(unit: Unit | None, seconds: np.ndarray, has_offset: bool, named: bool) -> Moments | None:
    if not len(seconds):
        return None
    low, high = np.quantile(seconds, [0.01, 0.99])
    if low < _EARLIEST or high >= _LATEST:
        return None
    days_only = bool((seconds % _DAY == 0).all())
    return Moments(
        unit,
        int(seconds.min()),
        int(seconds.max()),
        days_only,
        has_offset,
        named,
        len(np.unique(seconds)),
    )
