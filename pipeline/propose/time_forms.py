"""How a column of text writes its times: decided by all its cells, day first or month first above all."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.time_format import RFC2822, time_format

_TRIED = 200
_GLANCED = 5
_LIKE_A_TIME = (
    r"(?i)^\s*(\d{1,4}[-/. ]\s?(\d{1,2}|[a-z]{3,9})[-/. ]|\d{8}([ T]?\d{4,6})?\s*$|[a-z]{3,9},? \S+ )"
)
_form = lru_cache(maxsize=None)(time_format)
_LEAST_FITTING = 0.95
_DATES = (
    "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%m-%y", "%m-%d-%y",
    "%d %b %Y", "%d-%b-%Y", "%d-%b-%y", "%d/%b/%Y", "%b %d, %Y", "%b %d %Y", "%d %B %Y", "%B %d, %Y",
    "%a, %d %b %Y", "%Y%m%d",
)  # fmt: skip
_CLOCKS = (
    "", " %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", " %I:%M%p", " %I:%M:%S%p",
    ", %H:%M", ", %H:%M:%S", ", %I:%M %p", " %H:%M:%S.%f", "T%H:%M:%S", "T%H:%M",
    " %H:%M:%S %z", " %H:%M:%S %Z", " %H:%M %Z", " %H.%M",
)  # fmt: skip
_OTHERS = (
    RFC2822, "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Z %Y",
    "%d/%b/%Y:%H:%M:%S %z", "%Y%m%d%H%M%S", "%Y%m%d%H%M", "%Y%m%d %H%M%S", "%Y%m%dT%H%M%S",
)  # fmt: skip


class Form(NamedTuple):
    """A way to write times.

    Attributes:
        format: As the domain's ``format`` says it.
        seconds: [n] int64 seconds since 1970, null where a cell is not written so.
        zoned: Whether all cells say their offset from UTC.
        evidence: What decides between day first and month first; empty where nothing had to.
        ambiguous: Whether nothing in the cells decides.
    """

    format: str
    seconds: pa.Array
    zoned: bool
    evidence: str
    ambiguous: bool


def find_form(cells: pa.Array) -> Form | None:
    """Return how a column's cells write times, in another form than ISO 8601; None if they do not.

    Args:
        cells: [n] strings that are there.
    """
    some = cells.take(pa.array(np.unique(np.linspace(0, len(cells) - 1, _TRIED).astype(np.int64))))
    if pc.mean(pc.match_substring_regex(some, pattern=_LIKE_A_TIME)).as_py() < _LEAST_FITTING:
        return None
    likely = [text for text in _likely(some.to_pylist()) if _fitting(text, some) >= _LEAST_FITTING]
    found = {text: _form(text).read(cells) for text in likely}
    share = {text: 1 - times.seconds.null_count / len(cells) for text, times in found.items()}
    able = [text for text in likely if share[text] >= _LEAST_FITTING]
    if not able:
        return None
    most = max(share[text] for text in able)
    best = [text for text in able if share[text] == most]
    chosen, evidence, ambiguous = _decided(best, {text: found[text].seconds for text in best}, share)
    return Form(chosen, found[chosen].seconds, bool(found[chosen].zoned.all()), evidence, ambiguous)


def _likely(cells: list[str]) -> list[str]:
    """The forms that a few of the cells have: that rules out nearly all of them at next to no cost."""
    few = [cells[at] for at in np.unique(np.linspace(0, len(cells) - 1, _GLANCED).astype(int))]
    dates = [date for date in _DATES if any(_begins(date).match(cell) for cell in few)]
    forms = [*(date + clock for date, clock in product(dates, _CLOCKS)), *_OTHERS]
    return [text for text in forms if any(_pattern(text).match(cell) for cell in few)]


@cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(_form(text).pattern)


@cache
def _begins(date: str) -> re.Pattern[str]:
    return re.compile(_form(date).pattern.removesuffix(r"\s*$"))


def _fitting(text: str, cells: pa.Array) -> float:
    return 1 - _form(text).read(cells).seconds.null_count / len(cells)


def _decided(best: list[str], seconds: dict[str, pa.Array], share: dict[str, float]) -> tuple[str, str, bool]:
    """Of forms that fit equally many cells the right one, why, and whether that is in doubt."""
    best = [text for text in best if text == RFC2822] or best
    rivals = [text for text in best[1:] if seconds[text] != seconds[best[0]]]
    if not rivals:
        decided = share.get(_swapped(best[0]), 0.0) < share[best[0]] and _swapped(best[0]) != best[0]
        return best[0], "some day is above 12, which tells it from the month" if decided else "", False
    best = [best[0], rivals[0]]
    first, second = best[0], best[1]
    ordered = {text: _ascending(seconds[text]) for text in (first, second)}
    better, worse = sorted((first, second), key=lambda text: -ordered[text])
    if ordered[better] > 0.95 and ordered[better] - ordered[worse] > 0.01:
        return (
            better,
            f"no day is above 12; read as {better} the rows are in order of time, as {worse} not",
            False,
        )
    # Clocks of twelve hours go with months first.
    guess = next((text for text in best if ("%p" in text) == text.startswith("%m")), first)
    other = next(text for text in best if text != guess)
    return guess, f"no day is above 12: {other} would fit as well", True


def _swapped(text: str) -> str:
    """The form with day and month changed over, where both are digits at the beginning."""
    if "%b" in text or "%B" in text or not text.startswith(("%d", "%m")):
        return text
    first, second = text[:2], text[3:5]
    return second + text[2] + first + text[5:]


def _ascending(seconds: pa.Array) -> float:
    """Share of the steps from row to row that do not go back."""
    values = seconds.drop_null().to_numpy()
    return float((np.diff(values) >= 0).mean()) if len(values) > 1 else 0.0
