"""How a column of text writes its times: decided by all its cells, day first or month first above all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.time_format import RFC2822, time_format
from components.ingest.files.time_formats import candidate_formats

_TRIED = 200
_LIKE_A_TIME = (
    r"(?i)^\s*(\d{1,4}[-/. ]\s?(\d{1,2}|[a-z]{3,9})[-/. ]|\d{8}([ T]?\d{4,6})?\s*$|[a-z]{3,9},? \S+ )"
)
_LEAST_FITTING = 0.95


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
    likely = [text for text in (RFC2822, *candidate_formats(some)) if _fitting(text, some) >= _LEAST_FITTING]
    found = {text: time_format(text).read(cells) for text in likely}
    share = {text: 1 - times.seconds.null_count / len(cells) for text, times in found.items()}
    able = [text for text in likely if share[text] >= _LEAST_FITTING]
    if not able:
        return None
    most = max(share[text] for text in able)
    best = [text for text in able if share[text] == most]
    chosen, evidence, ambiguous = _decided(best, {text: found[text].seconds for text in best}, share)
    return Form(chosen, found[chosen].seconds, bool(found[chosen].zoned.all()), evidence, ambiguous)


def _fitting(text: str, cells: pa.Array) -> float:
    return 1 - time_format(text).read(cells).seconds.null_count / len(cells)


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
