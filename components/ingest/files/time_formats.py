"""Which formats a column's times may be written in, by evidence over its values."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.time_format import TWO_DIGIT_YEARS, time_format

MOST_VALUES = 20_000
"""Values that are looked at; of more, evenly many."""

_SHAPES = 40
_ENOUGH = 0.5
_PLAUSIBLE = (-2_208_988_800, 4_102_444_800)  # from 1900 to before 2100
_EXCEL = (32_874, 55_153)  # days from 1990 to 2050
_DATES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"\d{4}([-/. ])\d{1,2}\1\d{1,2}", ("%Y{0}%m{0}%d", "%Y{0}%d{0}%m")),
    (r"\d{1,2}([-/. ])\d{1,2}\1\d{4}", ("%d{0}%m{0}%Y", "%m{0}%d{0}%Y")),
    (r"\d{1,2}([-/. ])\d{1,2}\1\d{2}", ("%d{0}%m{0}%y", "%m{0}%d{0}%y", "%y{0}%m{0}%d")),
    (r"\d{8}(?=\D|$|\d{4}(?:\d\d)?$)", ("%Y%m%d", "%d%m%Y", "%m%d%Y")),
    (r"\d{1,2}([-/. ]|\. )[a-z]{3,9}(?:[-/. ])\d{4}", ("%d{0}%b{1}%Y", "%d{0}%B{1}%Y")),
    (r"\d{1,2}([-/. ])[a-z]{3}\1\d{2}", ("%d{0}%b{0}%y",)),
    (r"[a-z]{3,9} \d{1,2}(,?) \d{4}", ("%b %d{0} %Y", "%B %d{0} %Y")),
)
_CLOCK = re.compile(
    r"(?P<gap>t|,? +|,|:|)(?P<hour>\d{1,2})(?P<colon>[:.]?)(?P<minute>\d\d)(?:(?P=colon)(?P<second>\d\d))?"
    r"(?P<fraction>[.,]\d{1,9})?(?P<half> ?[ap]\.?m\.?)?(?P<zone> ?(?:z|utc|gmt|[+-]\d\d:?\d\d))?$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class FormatProposal:
    """A format that many of a column's values fit.

    Attributes:
        format: For the key ``format``.
        fits: How many of the values fit.
        of: How many there are.
        decided: Whether no other format fits as many.
        evidence: What speaks for it, in words.
    """

    format: str
    fits: int
    of: int
    decided: bool
    evidence: str


def propose_formats(values: pa.Array | Iterable[str | int | None]) -> list[FormatProposal]:
    """Rank the formats that at least half of the values fit, the best first; none where there is none.

    Args:
        values: Text or whole numbers as they stand in the file. Missing ones do not count.

    >>> [p.format for p in propose_formats(["13/09/2020", "01/02/2020"])]
    ['%d/%m/%Y']
    """
    text = _looked_at(values)
    if not len(text):
        return []
    found: list[tuple[str, np.ndarray, int]] = []
    for form in candidate_formats(text):
        seconds = time_format(form).read(text).seconds
        inside = pc.and_(pc.greater_equal(seconds, _PLAUSIBLE[0]), pc.less(seconds, _PLAUSIBLE[1]))
        fits = pc.fill_null(inside, False).to_numpy(zero_copy_only=False)
        if fits.mean() >= _ENOUGH:
            span = pc.min_max(seconds.filter(pa.array(fits))).as_py()
            found.append((form, fits, span["max"] - span["min"]))
    # Of what fits as many, the shorter time: days taken for months spread over years.
    found.sort(key=lambda one: (-int(one[1].sum()), one[2]))
    most = int(found[0][1].sum()) if found else 0
    best = [form for form, fits, _ in found if int(fits.sum()) == most]
    return [
        FormatProposal(
            format=form,
            fits=int(fits.sum()),
            of=len(text),
            decided=len(best) == 1 and form == best[0],
            evidence=_evidence(form, fits, found, text),
        )
        for form, fits, _ in found
    ]


def candidate_formats(text: pa.Array) -> list[str]:
    """Formats that some of the values, of as many shapes as there are, may be written in.

    Args:
        text: [n] strings, none missing.
    """
    return list(dict.fromkeys(itertools.chain.from_iterable(map(_candidates, _shapes(text)))))


def advice_on_times(values: pa.Array | Iterable[str | int | None], key: str) -> str | None:
    """Return what to set so that values that are no times yet can be read, in sentences; None if unknown.

    Args:
        values: As they stand in the file.
        key: The declaration's section, such as ``interactions.timestamp``.
    """
    text = _looked_at(values)
    proposals = propose_formats(text)
    if proposals:
        first = proposals[0]
        if first.fits < first.of:
            return (
                f"No one format fits the times: {first.format!r} fits {first.fits:,} of {first.of:,} values "
                f"looked at, but not {_one_not_of(first.format, text)!r}. Write all of them alike, then set "
                f"{key}.format"
            )
        if first.decided:
            return f"Set {key}.format: {first.format!r} ({first.evidence})"
        ways = " or ".join(f"{one.format!r} ({one.evidence})" for one in proposals if one.fits == first.fits)
        return f"The times can be read in several ways, and no value decides. Set {key}.format: {ways}"
    numbers = _numbers(text)
    if (
        numbers is not None
        and len(numbers)
        and ((numbers >= _EXCEL[0]) & (numbers < _EXCEL[1])).mean() > 0.95
    ):
        return (
            f"The times look like days as Excel counts them ({text[0].as_py()}): set {key}.unit: excel_days"
        )
    return None


def _looked_at(values: pa.Array | Iterable[str | int | None]) -> pa.Array:
    """Different values as text, trimmed, evenly chosen, without missing ones."""
    if not isinstance(values, pa.Array | pa.ChunkedArray):
        values = pa.array([None if value is None else str(value) for value in values], pa.string())
    text = pc.unique(pc.utf8_trim_whitespace(pc.cast(values, pa.string())))
    text = text.filter(pc.greater(pc.binary_length(text), 0))
    if len(text) > MOST_VALUES:
        text = text.take(pa.array(np.linspace(0, len(text) - 1, MOST_VALUES).astype(np.int64)))
    return text


def _shapes(text: pa.Array) -> Iterator[str]:
    """One value of each of the first shapes: digits and letters alike."""
    some = text.slice(0, 2_000)
    shape = pc.replace_substring_regex(some, pattern=r"\d", replacement="9")
    shape = pc.replace_substring_regex(shape, pattern=r"[A-Za-z]+", replacement="a")
    first: dict[str, str] = {}
    for kind, value in zip(shape.to_pylist(), some.to_pylist(), strict=True):
        first.setdefault(kind, value)
        if len(first) == _SHAPES:
            break
    yield from first.values()


def _candidates(value: str) -> Iterator[str]:
    """Formats that a value of some shape may be written in."""
    weekday = re.match(r"([A-Za-z]{3,9})(,? )(?=[A-Za-z\d])", value)
    lead = ""
    if weekday and weekday[1][:3].lower() in ("mon", "tue", "wed", "thu", "fri", "sat", "sun"):
        lead = ("%a" if len(weekday[1]) == 3 else "%A") + weekday[2]
        value = value[weekday.end() :]
    if re.match(r"[A-Za-z]{3} +\d{1,2} \d\d:\d\d:\d\d", value):
        zone = " %z" if re.search(r" [+-]\d{4} \d{4}$", value) else ""
        yield f"{lead}%b %d %H:%M:%S{zone} %Y"
    for pattern, forms in _DATES:
        date = re.match(pattern, value, re.IGNORECASE)
        if date is None:
            continue
        clock = _clock(value[date.end() :])
        if clock is None:
            continue
        separator = date[1] if date.lastindex else ""
        after = re.match(r"\d{1,2}(?:[-/. ]|\. )[A-Za-z]+([-/. ])", value)
        for form in forms:
            yield lead + form.format(separator, after[1] if after else "") + clock


def _clock(rest: str) -> str | None:
    """The format of what follows a date; None where it is no clock."""
    if not rest:
        return ""
    found = _CLOCK.match(rest)
    if found is None:
        return None
    colon = found["colon"]
    form = ("T" if found["gap"].lower() == "t" else found["gap"]) + ("%I" if found["half"] else "%H")
    form += f"{colon}%M" + (f"{colon}%S" if found["second"] else "")
    if found["fraction"]:
        form += f"{found['fraction'][0]}%f" if found["second"] else ""
    if found["half"]:
        form += (" " if found["half"].startswith(" ") else "") + "%p"
    if found["zone"]:
        form += (" " if found["zone"].startswith(" ") else "") + "%z"
    return form


def _evidence(form: str, fits: np.ndarray, found: list[tuple[str, np.ndarray, int]], text: pa.Array) -> str:
    """Why a format and not another: a value that only it fits."""
    names = {"d": "day first", "m": "month first"}
    codes = re.findall(r"%([dmYybB])", form)
    words = [names[codes[0]]] if codes[0] in names and "m" in codes else []
    others = [other for other, _, _ in found if other != form] or [_swapped(form)]
    only = fits.copy()
    for other in others:
        only &= pc.is_null(time_format(other).read(text).seconds).to_numpy(zero_copy_only=False)
    if words and only.any():
        example = text[int(np.flatnonzero(only)[0])].as_py()
        words.append(f"{int(only.sum()):,} of {len(text):,} values can be nothing else, such as {example!r}")
    else:
        words.append(f"{text[0].as_py()!r} is {_read_as(form, text)}")
    if "y" in codes:
        words.append(TWO_DIGIT_YEARS)
    return "; ".join(words)


def _swapped(form: str) -> str:
    """The same format with day and month exchanged."""
    return form.replace("%d", "%\0").replace("%m", "%d").replace("%\0", "%m") if "%m" in form else form


def _read_as(form: str, text: pa.Array) -> str:
    seconds = time_format(form).read(text.slice(0, 1)).seconds[0].as_py()
    return "no time" if seconds is None else str(np.datetime64(seconds, "s")).replace("T", " ")


def _one_not_of(form: str, text: pa.Array) -> str:
    return str(text.filter(pc.is_null(time_format(form).read(text).seconds))[0].as_py())


def _numbers(text: pa.Array) -> np.ndarray | None:
    try:
        return np.asarray(pc.cast(text, pa.float64()))
    except pa.ArrowInvalid:
        return None
