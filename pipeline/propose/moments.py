"""Whether a column says when something happened, and how it counts time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.columns import Column
from components.ingest.files.moments import EXCEL_1970, PER_SECOND, SECONDS_PER_DAY, TimeUnit
from pipeline.propose import words
from pipeline.propose.time_forms import find_form

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2060, 1, 1, tzinfo=UTC).timestamp()
_OFFSET = r"(?i)(z|utc|gmt|[+-]\d\d:?(\d\d)?)\s*$"
_LOOKED_AT = 20_000


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
        format: How the text is written, as the domain's ``format`` says it; empty for ISO 8601.
        evidence: What decides between forms; empty where only one fits.
        unsure: What speaks against reading it so.
    """

    unit: TimeUnit | None
    first: int
    last: int
    days_only: bool
    has_offset: bool
    named: bool
    distinct: int
    format: str = ""
    evidence: str = ""
    unsure: str = ""

    @property
    def keys(self) -> dict[str, str]:
        """The domain's keys, beside the column, that read the cells so."""
        if self.unit:
            return {"unit": self.unit}
        keys = {"format": self.format} if self.format else {}
        return keys if self.has_offset else {**keys, "timezone": "UTC"}

    def reads_like(self, other: Moments) -> bool:
        """Whether one declaration reads both."""
        return (self.unit, self.format) == (other.unit, other.format)

    def seconds_of(self, cells: pa.Array) -> pa.Array:
        """[n] int64 seconds since 1970 of [n] cells as read; null where there is none."""
        return self.read(cells)[0]

    def read(self, cells: pa.Array) -> tuple[pa.Array, np.ndarray]:
        """[n] seconds, null where missing or wrong, and the [n] mask of the wrong ones."""
        column = Column(name="", type="moment", unit=self.unit or "s", format=self.format or None)
        return column.convert(cells)

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
        numbers = cells.to_numpy(zero_copy_only=False)
        return _of_numbers(numbers, named, "id" in name_words) or _of_compact(numbers, named)
    return _of_text(cells, named)


def _of_numbers(numbers: np.ndarray, named: bool, is_id: bool) -> Moments | None:
    for unit, per_second in PER_SECOND.items():
        seconds = numbers / per_second
        low, high = np.quantile(seconds, [0.01, 0.99])
        if low < _EARLIEST or high >= _LATEST:
            continue
        # Numbers this large without a word of time are as likely ids.
        return _moments(unit, np.floor(seconds), True, named) if named or not is_id else None
    return None


def _of_compact(numbers: np.ndarray, named: bool) -> Moments | None:
    """Numbers such as 20200913, or days since 1900 as Excel counts them, in a column called a time."""
    if not named or not len(numbers):
        return None
    low, high = np.quantile(numbers, [0.01, 0.99])
    if (low - EXCEL_1970) * SECONDS_PER_DAY > _EARLIEST and (high - EXCEL_1970) * SECONDS_PER_DAY < _LATEST:
        return _moments("excel_days", np.floor((numbers - EXCEL_1970) * SECONDS_PER_DAY + 0.5), True, named)
    if low < 19_000_101 or high > 99_991_231 or (numbers != np.floor(numbers)).any():
        return None
    return _written(pa.array(numbers.astype(np.int64)).cast(pa.string()), named)


def _of_text(cells: pa.Array, named: bool) -> Moments | None:
    some = cells if len(cells) <= _LOOKED_AT else cells.take(_evenly(len(cells)))
    # Years and other plain numbers would pass for ISO 8601.
    if pc.mean(pc.match_substring_regex(some, pattern=r"\d\d\d\d[-/.]?\d\d?[-/.]?\d\d?")).as_py() < 0.95:
        return _written(cells, named)
    values, wrong = Column(name="", type="moment").convert(some)
    if wrong.mean() > 0.02:
        return _written(cells, named)
    seconds = values.drop_null().to_numpy()
    timed = pc.match_substring(some, ":")
    zoned = pc.all(pc.match_substring_regex(some.filter(timed), pattern=_OFFSET)).as_py()
    found = _moments(None, seconds, bool(zoned) and pc.any(timed).as_py(), named)
    return found or _written(cells, named)


def _written(cells: pa.Array, named: bool) -> Moments | None:
    """Reads text that is written in another form than ISO 8601."""
    form = find_form(cells)
    if form is None:
        return None
    found = _moments(None, form.seconds.drop_null().to_numpy(), form.zoned, named)
    if found is None:
        return None
    unsure = form.evidence if form.ambiguous else ""
    return replace(found, format=form.format, evidence=form.evidence, unsure=unsure)


def _evenly(count: int) -> pa.Array:
    return pa.array(np.unique(np.linspace(0, count - 1, _LOOKED_AT).astype(np.int64)))


def _moments(unit: TimeUnit | None, seconds: np.ndarray, has_offset: bool, named: bool) -> Moments | None:
    if not len(seconds):
        return None
    low, high = np.quantile(seconds, [0.01, 0.99])
    if low < _EARLIEST or high >= _LATEST:
        return None
    days_only = bool((seconds % SECONDS_PER_DAY == 0).all())
    return Moments(
        unit,
        int(seconds.min()),
        int(seconds.max()),
        days_only,
        has_offset,
        named,
        len(np.unique(seconds)),
    )
