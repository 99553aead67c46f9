"""One way to write a time, in strptime's codes or as RFC 2822 has it: strict, fast, without a locale."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.cell_bytes import bytes_of

RFC2822 = "rfc2822"
"""The word that stands for the format of e-mail's and HTTP's dates."""
TWO_DIGIT_YEARS = "two-digit years 69 to 99 are 1969 to 1999, and 00 to 68 are 2000 to 2068"

_MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
_SHORT_MONTHS = [month[:3] for month in _MONTHS]
_DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
_ZONE = r"z|utc|gmt|ut|[+-](?:0\d|1[0-4])(?::?[0-5]\d)?"
_AMERICAN = dict(est=-5, edt=-4, cst=-6, cdt=-5, mst=-7, mdt=-6, pst=-8, pdt=-7)
"""Zone names whose hours RFC 2822 fixes; elsewhere they mean several things, and are no zones."""
_PIVOT = 69
_EXAMPLE = datetime(2020, 9, 13, 20, 26, 40, tzinfo=UTC)

_WIDTHS = {"Y": 4, "y": 2, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2}
_WORDS = {
    "b": "|".join(_SHORT_MONTHS),
    "B": "|".join(_MONTHS),
    "a": "|".join(day[:3] for day in _DAYS),
    "A": "|".join(_DAYS),
    "z": _ZONE,
    "Z": "utc|gmt|ut|z",
    "f": r"\d{1,9}",
}
_CODES = (*_WIDTHS, *_WORDS, "p")
_UTC_AT_THE_END = re.compile(r"(?:[^A-Za-z]|^)(?:UTC|GMT|Z)\s*$", re.IGNORECASE)


class Times(NamedTuple):
    """Cells read as times.

    Attributes:
        seconds: [n] int64 since 1970, fractions floored; null where the cell is missing or does not fit.
            UTC where ``zoned``, else of a clock on a wall.
        zoned: [n] bool: the cell says its offset from UTC, which has been applied.
    """

    seconds: pa.Array
    zoned: np.ndarray


@dataclass(frozen=True)
class TimeFormat:
    """A way to write a time; :func:`time_format` makes it of its text.

    Attributes:
        text: As declared.
        example: A time written so.
        pattern: RE2, anchored and blind to case; its groups are named by strptime's codes.
        zoned: Whether all cells are in UTC, as the format's own text says (a ``Z`` or ``UTC`` at its end).
        layout: Bytes and codes of a cell whose fields all have their full width; none where there is no
            such width.
    """

    text: str
    example: str
    pattern: str
    zoned: bool = False
    layout: tuple[str, ...] = ()

    def read(self, text: pa.Array) -> Times:
        """Reads [n] strings; what does not fit is null."""
        seconds = np.zeros(len(text), np.int64)
        zoned = np.zeros(len(text), bool)
        fits = self._read_full_width(text, seconds) if self.layout else np.zeros(len(text), bool)
        zoned[fits] = self.zoned
        left = ~fits & _mask(pc.is_valid(text))
        if left.any():
            of_left = self._read_by_pattern(text.filter(pa.array(left)))
            seconds[left] = pc.fill_null(of_left.seconds, 0).to_numpy()
            zoned[left] = of_left.zoned
            fits[left] = _mask(pc.is_valid(of_left.seconds))
        return Times(pa.array(seconds, mask=~fits), zoned)

    def _read_full_width(self, text: pa.Array, seconds: np.ndarray) -> np.ndarray:
        """Fills in the seconds of cells in which every field has its full width; [n] bool, which these are.

        Bytes at fixed places are read some ten times as fast as a pattern matches.
        """
        width = sum(_WIDTHS.get(code, 1) for code in self.layout)
        letters, places = bytes_of(text)
        chosen = _mask(pc.is_valid(text)) & (np.diff(places) == width)
        if not chosen.any():
            return chosen
        cells = np.frombuffer(letters, np.uint8)
        if chosen.all():
            cells = cells.reshape(-1, width)
        else:
            cells = cells[places[:-1][chosen][:, np.newaxis] + np.arange(width)]
        fields: dict[str, np.ndarray] = {}
        place, right = 0, np.ones(len(cells), bool)
        for code in self.layout:
            if code not in _WIDTHS:
                right &= cells[:, place] == ord(code.removeprefix("'"))
                place += 1
                continue
            value = np.zeros(len(cells), np.int64)
            for column in range(place, place + _WIDTHS[code]):
                digit = cells[:, column] - np.uint8(ord("0"))
                right &= digit <= 9
                value = value * 10 + digit
            fields[code] = value
            place += _WIDTHS[code]
        found, possible = _seconds(fields)
        right &= possible
        chosen[chosen] = right
        seconds[chosen] = found[right]
        return chosen

    def _read_by_pattern(self, text: pa.Array) -> Times:
        found = pc.extract_regex(text, pattern=self.pattern)
        fits = _mask(pc.is_valid(found))
        groups = {field.name: found.field(place) for place, field in enumerate(found.type)}
        fields = {code: _field(code, values) for code, values in groups.items() if code not in "aAfzZ"}
        seconds, possible = _seconds(fields)
        zoned = np.full(len(text), self.zoned)
        for code in ("z", "Z"):
            if code in groups:
                offsets, said = _offsets(groups[code])
                seconds, zoned = seconds - offsets, zoned | said
        return Times(pa.array(seconds, mask=~(fits & possible)), zoned)


@lru_cache
def time_format(text: str) -> TimeFormat:
    """Makes a format of its text.

    Args:
        text: strptime codes, such as ``%d/%m/%Y %H:%M``, or ``rfc2822``.

    Raises:
        ValueError: If it is none, has a code twice or one that is not known, or lacks what makes a date.

    >>> time_format("%d.%m.%Y %H:%M").example
    '13.09.2020 20:26'
    """
    if text == RFC2822:
        return _RFC2822
    parts = list(_parts(text))
    codes = [part[1] for part in parts if _is_code(part)]
    _check(text, codes)
    pattern = "".join(_pattern_of(parts, place) for place in range(len(parts)))
    literal = "".join("0" if _is_code(part) else part for part in parts)
    simple = all(code in _WIDTHS for code in codes) and literal.isascii()
    layout = tuple(part[1] if _is_code(part) else f"'{part}" for part in parts)
    return TimeFormat(
        text=text,
        example="".join(_EXAMPLE.strftime(part) if _is_code(part) else part for part in parts),
        pattern=rf"(?i)^\s*{pattern}\s*$",
        zoned=not {"z", "Z"} & set(codes) and _UTC_AT_THE_END.search(literal) is not None,
        layout=layout if simple else (),
    )


def refuse_unreadable_format(text: str | None) -> str | None:
    """Returns a declared format as it is.

    Raises:
        ValueError: If it is none, see :func:`time_format`.
    """
    if text is not None:
        time_format(text)
    return text


def _is_code(part: str) -> bool:
    return len(part) > 1


def _parts(text: str) -> Iterator[str]:
    """The codes (two characters) and the single other characters of a format, in order."""
    place = 0
    while place < len(text):
        if text[place] != "%":
            yield text[place]
            place += 1
            continue
        code = text[place + 1 : place + 2]
        if code == "%":
            yield "%"
        elif code and code in _CODES:
            yield f"%{code}"
        else:
            known = " ".join(f"%{known}" for known in _CODES)
            raise ValueError(
                f"format {text!r} has {'%' + code!r}, which is no code that can be read; there are: {known}, "
                "and the word rfc2822"
            )
        place += 2


def _check(text: str, codes: list[str]) -> None:
    """Refuses what cannot be one moment."""
    example = "expected one such as '%d/%m/%Y %H:%M', or the word rfc2822"
    for what, among in (
        ("a year (%Y or %y)", "Yy"),
        ("a month (%m, %b or %B)", "mbB"),
        ("a day (%d)", "d"),
        ("hours", "HI"),
        ("minutes", "M"),
        ("seconds", "S"),
        ("a zone", "zZ"),
        ("am or pm", "p"),
        ("a weekday", "aA"),
        ("a fraction", "f"),
    ):
        found = sum(code in among for code in codes)
        if found > 1:
            raise ValueError(f"format {text!r} says {what} more than once; {example}")
        if not found and what.startswith(("a year", "a month", "a day")):
            raise ValueError(f"format {text!r} lacks {what}; {example}")
    for part, needed, why in (
        ("I", "p", "%I, hours up to 12, but not %p, am or pm: set %H for hours up to 23, or add %p"),
        ("p", "I", "%p, am or pm, but not %I, hours up to 12: set %I for %H"),
        ("M", "HI", "minutes, but no hours (%H, or %I with %p)"),
        ("S", "M", "seconds, but no minutes (%M)"),
        ("f", "S", "a fraction of a second, but no seconds (%S)"),
    ):
        if part in codes and not set(needed) & set(codes):
            raise ValueError(f"format {text!r} has {why}")


def _pattern_of(parts: list[str], place: int) -> str:
    """What RE2 is to find for one part of a format."""
    part = parts[place]
    if not _is_code(part):
        return r"\s+" if part.isspace() else re.escape(part)
    code = part[1]
    if code == "p":
        return r"(?P<p>[ap])\.?m\.?"
    if code in _WORDS:
        return f"(?P<{code}>{_WORDS[code]})"
    width = _WIDTHS[code]
    # Digits side by side can only be told apart by their number.
    following = parts[place + 1] if place + 1 < len(parts) else ""
    before = parts[place - 1] if place else ""
    beside = any(_is_code(other) and other[1] in {*_WIDTHS, "f"} for other in (before, following))
    return rf"(?P<{code}>\d{{{width}}})" if beside or code in "Yy" else rf"(?P<{code}>\d{{1,2}})"


def _field(code: str, found: pa.Array) -> np.ndarray:
    """[n] int64 of a field's [n] texts; 0 where it is not there."""
    if code in "bB":
        known = _SHORT_MONTHS if code == "b" else _MONTHS
        places = pc.index_in(pc.utf8_lower(found), value_set=pa.array(known))
        return pc.fill_null(pc.add(pc.cast(places, pa.int64()), 1), 0).to_numpy()
    if code == "p":
        return _mask(pc.equal(pc.utf8_lower(found), "p")).astype(np.int64)
    return pc.fill_null(pc.cast(_null_if_empty(found), pa.int64()), 0).to_numpy()


def _seconds(fields: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[n] int64 seconds since 1970 of a calendar's fields, and [n] bool: whether there is such a moment."""
    nothing = np.zeros(1, np.int64)
    year = fields["Y"] if "Y" in fields else fields["y"] + np.where(fields["y"] < _PIVOT, 2000, 1900)
    month = next(fields[code] for code in "mbB" if code in fields)
    day, minute, second = (fields.get(code, nothing) for code in "dMS")
    hour = fields.get("H", nothing)
    possible = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= _days_in(year, month))
    half = fields.get("I")
    if half is not None:
        possible &= (half >= 1) & (half <= 12)
        hour = half % 12 + 12 * fields["p"]
    possible &= (hour < 24) & (minute < 60) & (second < 60)
    return _days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second, possible


def _days_in(year: np.ndarray, month: np.ndarray) -> np.ndarray:
    lengths = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    return lengths[np.clip(month, 0, 12)] + leap


def _days_since_1970(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> np.ndarray:
    """Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms": years that begin in March."""
    year = year - (month <= 2)
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468


def _offsets(found: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """[n] int64 seconds that clocks of [n] zones are ahead of UTC, and [n] bool: whether there is a zone."""
    encoded = found.dictionary_encode()
    seconds = np.array([*(_offset(zone) for zone in encoded.dictionary.to_pylist()), 0], np.int64)
    places = pc.fill_null(encoded.indices, len(seconds) - 1).to_numpy()
    return seconds[places], _mask(pc.greater(pc.binary_length(found), 0))


def _offset(zone: str) -> int:
    digits = re.sub(r"\D", "", zone)
    if not digits:
        return 3_600 * _AMERICAN.get(zone.lower(), 0)
    ahead = int(digits[:2]) * 3_600 + int(digits[2:4] or 0) * 60
    return -ahead if zone.startswith("-") else ahead


def _null_if_empty(text: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(pc.binary_length(text), 0), pa.scalar(None, text.type), text)


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array; null counts as false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)


_CLOCK = r"(?P<H>\d{1,2}):(?P<M>\d\d)(?::(?P<S>\d\d)(?:[.,]\d{1,9})?)?"
YEAR_FIRST = tuple(
    TimeFormat(
        text="ISO 8601",
        example="2020-09-13T20:26:40Z",
        pattern=rf"(?i)^\s*(?P<Y>\d{{4}}){separator}(?P<m>\d{{1,2}}){separator}(?P<d>\d{{1,2}})"
        rf"(?:(?:\s+|t){_CLOCK}(?:\s*(?P<z>{_ZONE}))?)?\s*$",
    )
    for separator in ("-", "/", r"\.")
)
"""ISO 8601 as people write it: slashes or dots, one digit, ``UTC``. Nobody writes year, day, month."""
_RFC2822 = TimeFormat(
    text=RFC2822,
    example="Sun, 13 Sep 2020 20:26:40 +0000",
    pattern=rf"(?i)^\s*(?:(?:{_WORDS['a']})\s*,\s*)?(?P<d>\d{{1,2}})\s+(?P<b>{_WORDS['b']})\s+(?P<Y>\d{{4}})\s+"
    rf"{_CLOCK}\s+(?P<z>{_ZONE}|{'|'.join(_AMERICAN)})(?:\s*\([^()]*\))?\s*$",
)
