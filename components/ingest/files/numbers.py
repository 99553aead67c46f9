"""Numbers, out of text or of any number type."""

from __future__ import annotations

import itertools
import re
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.cell_bytes import bytes_of

NULL_WORDS = ("na", "n/a", "nan", "nil", "none", "null", "(null)", "undefined", "<na>", "#n/a", "\\n")
"""Cells (lower case) that programs write for no value, in columns of any type; ``\\n`` is MySQL's ``\\N``."""
MISSING_NUMBERS = ("", *NULL_WORDS, "n.a.", "unknown", "#na", "-", "–", "—", "?", ".")
"""Cells (lower case) of a number or moment column that stand for no value."""

LARGEST = float(np.finfo(np.float32).max)
"""The largest number that an example holds."""

_SPACE = "[ \\t\u00a0\u2009\u202f]"
_SIGNS = r"(?:US|CA|AU|NZ|HK|NT|A|C|R|S|Mex)?\p{Sc}"
_CODES = (
    "EUR|USD|GBP|JPY|CHF|CNY|RMB|INR|BRL|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|HUF|RON|TRY|RUB|UAH|MXN|ZAR|SGD"
    "|HKD|KRW|TWD|THB|IDR|ILS|AED|SAR|kr|zł|Kč|Ft|Rs|lei"
)
_CURRENCY = rf"(?:{_SIGNS}|(?i:{_CODES})\.?)"
_BEFORE = rf"^([+-]?){_SPACE}*{_CURRENCY}{_SPACE}*([+-]?[\d.,].*)$"
_AFTER = rf"^(.*[\d.,]){_SPACE}*{_CURRENCY}$"
_PERCENT = rf"^(.*\d){_SPACE}*%$"
_NUMBER_LIKE = r"^[+-]?\d[\d.,' \x{a0}\x{2009}\x{202f}\x{2019}]*$"
_GROUPS = {"": None, ",": ",", ".": r"\.", " ": _SPACE, "'": "['\u2019]"}


class Numerals(NamedTuple):
    """How text writes numbers.

    Attributes:
        decimal: What stands before the fraction, ``.`` or ``,``.
        thousands: What stands between groups of digits: nothing, ``,``, ``.``, a blank or ``'``.
    """

    decimal: str = "."
    thousands: str = ""

    @property
    def pattern(self) -> str:
        """What a number looks like, without currency and per cent, as a regular expression."""
        point, group = re.escape(self.decimal), _GROUPS[self.thousands]
        whole = (
            r"\d+"
            if group is None
            else rf"(?:\d{{1,3}}(?:{group}\d{{3}})+|\d{{1,2}}(?:{group}\d{{2}})+{group}\d{{3}}|\d+)"
        )
        return rf"^[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?$"

    @property
    def keys(self) -> str:
        """The keys of a table that say so, such as ``decimal: ','``."""
        said = [f"decimal: {self.decimal!r}"] if self.decimal != "." else []
        said += [f'thousands: "{self.thousands}"'] if self.thousands else []
        return " and ".join(said)


PLAIN = Numerals()
"""Digits, a point and nothing between groups of digits."""
_OTHERS = tuple(
    Numerals(decimal, thousands)
    for thousands, decimal in itertools.product(("", ",", ".", " ", "'"), (".", ","))
    if decimal != thousands
)
"""All ways to write numbers, those with fewer keys first."""


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


def beyond_single(numbers: pa.Array) -> np.ndarray | None:
    """[n] mask of the finite doubles that float32 cannot hold; None where there is none."""
    bounds = pc.min_max(numbers).as_py()
    if bounds["min"] is None or max(-bounds["min"], bounds["max"]) <= LARGEST:
        return None
    return pc.fill_null(pc.greater(pc.abs(numbers), LARGEST), False).to_numpy(zero_copy_only=False)


def parse_numbers(text: pa.Array, numerals: Numerals = PLAIN) -> tuple[pa.Array, np.ndarray]:
    """Reads text as numbers; a currency before or after a number is not part of it, and 3 % is 0.03.

    Args:
        text: [n] strings.
        numerals: How they write numbers.

    Returns:
        [n] finite doubles, null where missing or wrong, and the [n] mask of the wrong cells.
    """
    if numerals.decimal == ".":
        # Whatever this reads has nothing between its groups of digits.
        try:
            return to_double(pc.cast(_null_if_empty(text), pa.float64()))
        except pa.ArrowInvalid:
            pass
    text = pc.utf8_trim_whitespace(text)
    readable = _mask(pc.match_substring_regex(text, pattern=numerals.pattern))
    absent = _mask(pc.is_in(pc.utf8_lower(text), value_set=pa.array(MISSING_NUMBERS, text.type)))
    rest = ~(readable | absent | _mask(pc.is_null(text)))
    percent = np.zeros(len(text), bool)
    if rest.any():
        bare, of_hundred = _without_unit(text.filter(pa.array(rest)))
        text = pc.replace_with_mask(text, pa.array(rest), bare)
        readable[rest] = _mask(pc.match_substring_regex(bare, pattern=numerals.pattern))
        percent[rest] = of_hundred
    plain = _plain(pc.if_else(pa.array(readable), text, pa.scalar(None, text.type)), numerals)
    numbers, infinite = to_double(pc.cast(plain, pa.float64()))
    if percent.any():
        numbers = pc.if_else(pa.array(percent), pc.divide(numbers, 100.0), numbers)
    return numbers, infinite | (rest & ~readable)


def as_plain(text: pa.Array, numerals: Numerals) -> pa.Array:
    """[n] cells, the numbers among them in the plain notation, the others as they are."""
    numbers = pc.match_substring_regex(text, pattern=numerals.pattern)
    return pc.if_else(numbers, _plain(text, numerals), text)


def _without_unit(text: pa.Array) -> tuple[pa.Array, np.ndarray]:
    """[n] cells without currency or per cent, a hyphen for a minus; and the [n] mask of those per cent."""
    text = pc.replace_substring(text, pattern="\u2212", replacement="-")
    percent = pc.match_substring_regex(text, pattern=_PERCENT)
    for pattern, kept in ((_PERCENT, r"\1"), (_BEFORE, r"\1\2"), (_AFTER, r"\1")):
        text = pc.replace_substring_regex(text, pattern=pattern, replacement=kept)
    return text, _mask(percent)


def _plain(text: pa.Array, numerals: Numerals) -> pa.Array:
    """[n] numbers in the plain notation."""
    group = _GROUPS[numerals.thousands]
    if group is not None:
        text = pc.replace_substring_regex(text, pattern=group, replacement="")
    return text if numerals.decimal == "." else pc.replace_substring(text, numerals.decimal, ".")


def ways_to_read(text: pa.Array) -> list[Numerals]:
    """The simplest ways to write numbers by which every cell that looks like a number is one.

    Args:
        text: [n] strings; those that look like no number do not count.

    Returns:
        Several where the cells do not tell which is meant: ``1,234`` is a thousand or a bit above one. None
        where no cell looks like a number, or they are written in several ways.
    """
    bare, _ = _without_unit(pc.utf8_trim_whitespace(text.drop_null()))
    numbers = pc.unique(bare.filter(pc.match_substring_regex(bare, pattern=_NUMBER_LIKE)))
    ways: list[Numerals] = []
    for way in _OTHERS if len(numbers) else ():
        fits = pc.all(pc.match_substring_regex(numbers, pattern=way.pattern)).as_py()
        simpler = any(known.decimal == way.decimal and not known.thousands for known in ways)
        if fits and not simpler:
            ways.append(way)
    return ways


def currencies(text: pa.Array) -> list[str]:
    """The different currencies beside numbers, in the order met; no word for those without.

    Args:
        text: [n] strings.
    """
    units = pc.extract_regex(
        pc.utf8_trim_whitespace(pc.unique(text).drop_null()),
        pattern=rf"^[+-]?{_SPACE}*(?P<before>{_CURRENCY})?{_SPACE}*[+-]?\d[^\p{{L}}]*?(?P<after>{_CURRENCY})?$",
    ).drop_null()
    if not len(units):
        return []
    found = pa.concat_arrays([units.field("before"), units.field("after")])
    return [unit for unit in pc.unique(found).to_pylist() if unit]


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


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array, the reader's own; null counts as false."""
    return np.array(pc.fill_null(values, False))
