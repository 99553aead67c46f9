"""How each column of a table becomes a feature: its kind, and what says so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.profile import ColumnProfile

SEPARATORS = ("|", ";", ",", "/", " ")
LISTED_VALUES = 40
"""A vocabulary of up to so many values is listed in the schema."""
_VOCABULARY_VALUES = 10_000
_MOST_BINS = 65_536
_LOOKED_AT = 20_000
_OWN = 0.8


@dataclass(frozen=True)
class FeatureChoice:
    """What to make of a column.

    Attributes:
        column: The column.
        keys: The feature's keys in the domain file, kind first; empty where it is left out.
        why: What says so.
        unsure: What else was considered; empty where nothing was.
        values: All its values, where they are few.
    """

    column: ColumnProfile
    keys: dict[str, Any]
    why: str
    unsure: str = ""
    values: tuple[str, ...] = field(default=())

    @property
    def kind(self) -> str:
        """The feature's kind; empty where it is left out."""
        return str(self.keys.get("kind", ""))


def choose_feature(column: ColumnProfile, rows: int) -> FeatureChoice:
    """What to make of one column of a table of ``rows`` rows."""
    if column.missing_share >= 0.99:
        return FeatureChoice(column, {}, f"{column.missing_share:.1%} of its cells are empty")
    if column.shape == "nested":
        return FeatureChoice(column, {}, "holds nested values, for which there is no kind")
    if column.shape != "vector" and column.distinct <= 1:
        return FeatureChoice(column, {}, "has the same value in every row")
    if column.moments and (column.moments.named or column.shape == "moment"):
        return _of_moments(column)
    return _BY_SHAPE[column.shape](column, rows)


def find_title(columns: list[ColumnProfile]) -> tuple[ColumnProfile | None, str]:
    """The column people know a candidate by, and doubts about it."""
    text = [column for column in columns if column.shape == "text" and column.moments is None]
    for word in words.TITLES:
        named = [column for column in text if word in column.words]
        if named:
            best = max(named, key=lambda column: column.distinct)
            others = [column.name for column in named if column is not best]
            return best, f"could also be {', '.join(others)}" if others else ""
    # Sizes, codes and the like have figures in most cells; names seldom.
    plain = [column for column in text if not _mostly_with_figures(column)]
    # A title is nearly everybody's own: words of which a few come again and again are categories.
    own = [c for c in text if _mean_words(c) >= 1.5 and c.distinct >= _OWN * max(1, len(c.present))]
    if not own:
        text = plain or text
    elif plain := [column for column in own if column in plain]:
        text = plain
    else:
        text = own
    wordy = [column for column in text if _mean_words(column) >= 1.5] or text
    if not wordy:
        return None, ""
    best = max(wordy, key=lambda column: column.distinct * min(2.0, _mean_words(column)))
    others = [column.name for column in wordy if column is not best]
    also = f"; could also be {', '.join(others)}" if others else ""
    return best, f"no column is called a title or name; it has the most different texts{also}"


def _mostly_with_figures(column: ColumnProfile) -> bool:
    return bool(pc.mean(pc.match_substring_regex(column.values, pattern=r"\d")).as_py() > 0.5)


def _mean_words(column: ColumnProfile) -> float:
    counts = column.words_per_cell
    return float(counts.mean()) if len(counts) else 0.0


def _of_moments(column: ColumnProfile) -> FeatureChoice:
    moments = column.moments
    assert moments is not None
    if moments.unit not in (None, "s"):
        return FeatureChoice(
            column,
            {},
            f"a time in {moments.unit}; features of kind timestamp are dates, or seconds since 1970",
        )
    return FeatureChoice(
        column,
        {
            "kind": "timestamp",
            "parts": ["month_of_year"],
            **({"format": moments.format} if moments.format else {}),
        },
        f"times from {moments.shown()}",
        "only the season is kept; how long ago it was needs a number instead",
    )


def _of_number(column: ColumnProfile, rows: int) -> FeatureChoice:
    numbers = column.numbers
    low, high = float(numbers.min()), float(numbers.max())
    seen = f"{column.distinct:,} different numbers from {low:g} to {high:g}"
    if column.shape == "integer" and words.IDS.intersection(column.words):
        return _categories(column, rows, f"{column.distinct:,} different codes, by its name")
    if column.distinct == 2 and not words.NO_RATINGS.intersection(column.words):
        return _categories(column, rows, "two values")
    if bool(((numbers >= 1800) & (numbers <= 2100) & (numbers % 1 == 0)).all()):
        keys = {"kind": "numeric", "scale": "buckets", "buckets": min(12, column.distinct)}
        return FeatureChoice(column, keys, f"{seen}: years")
    skewness = _skewness(numbers)
    if low >= 0 and skewness > 2:
        return FeatureChoice(
            column,
            {"kind": "numeric", "scale": "log1p"},
            f"{seen}, few of them large (skewness {skewness:.1f})",
        )
    if low < 0 and abs(skewness) > 5:
        return FeatureChoice(
            column, {"kind": "numeric", "scale": "buckets"}, f"{seen}, uneven (skewness {skewness:.1f})"
        )
    doubt = ""
    if column.shape == "integer" and column.distinct <= 10:
        doubt = "if the numbers stand for categories, kind: vocabulary"
    return FeatureChoice(column, {"kind": "numeric", "scale": "z_score"}, seen, doubt)


def _skewness(numbers: np.ndarray) -> float:
    deviation = numbers.std()
    return float((((numbers - numbers.mean()) / deviation) ** 3).mean()) if deviation > 0 else 0.0


def _of_text(column: ColumnProfile, rows: int) -> FeatureChoice:
    vector = _vector_in_text(column)
    if vector:
        return vector
    several = _several_values(column)
    if several:
        return several
    lengths = column.words_per_cell
    share = column.distinct / max(1, len(column.present))
    is_prose = lengths.mean() >= 1.5 and (column.distinct > 1000 or share > 0.5)
    if is_prose or lengths.mean() >= 6:
        tokens = int(min(64, max(4, np.quantile(lengths, 0.95))))
        doubt = "" if lengths.mean() >= 3 or share > 0.5 else "kind: vocabulary, if the texts are categories"
        return FeatureChoice(
            column,
            {"kind": "text", "max_tokens": tokens},
            f"{column.distinct:,} different texts of {lengths.mean():.1f} words on average, 95% of at most "
            f"{tokens}",
            doubt,
        )
    if share > 0.95 and column.distinct > 20:
        return FeatureChoice(column, {}, f"nearly every row has its own value ({column.distinct:,}): an id")
    doubt = ""
    if column.not_numbers:
        odd = ", ".join(map(repr, column.not_numbers))
        doubt = f"would be a number, were it not for {odd}: empty such cells, then kind: numeric"
    return _categories(column, rows, f"{column.distinct:,} different values", doubt)


def _categories(column: ColumnProfile, rows: int, why: str, doubt: str = "") -> FeatureChoice:
    """A vocabulary; a hash where that would be large, or nearly a value a row."""
    share = column.distinct / max(1, len(column.present))
    if column.distinct > _VOCABULARY_VALUES:
        bins = min(_MOST_BINS, _power_of_two(column.distinct / 8))
        return FeatureChoice(column, {"kind": "hash", "bins": bins}, why, doubt or "how many bins")
    if share > 0.2 and column.distinct > 100:
        bins = max(16, _power_of_two(column.distinct / 64))
        return FeatureChoice(
            column,
            {"kind": "hash", "bins": bins},
            f"{why} in {rows:,} rows: one by one they would be learnt by heart",
            doubt or "how many bins; or leave it out",
        )
    values = tuple(sorted(column.as_ingested.to_pylist())) if column.distinct <= LISTED_VALUES else ()
    return FeatureChoice(column, {"kind": "vocabulary"}, why, doubt, values)


def _power_of_two(number: float) -> int:
    return 2 ** max(1, round(math.log2(max(2.0, number))))


def _of_list(column: ColumnProfile, rows: int) -> FeatureChoice:
    most = int(column.part_counts.max())
    width = int(max(2, np.quantile(column.part_counts, 0.95)))
    values = tuple(sorted(column.values.to_pylist())) if column.distinct <= LISTED_VALUES else ()
    return FeatureChoice(
        column,
        {"kind": "multivalent", "max_values": width},
        f"lists of up to {most} of {column.distinct:,} different values",
        values=values,
    )


def _of_vector(column: ColumnProfile, rows: int) -> FeatureChoice:
    dim = int(column.part_counts[0])
    return FeatureChoice(column, {"kind": "embedding", "dim": dim}, f"lists of {dim} numbers each")


def _of_boolean(column: ColumnProfile, rows: int) -> FeatureChoice:
    return _categories(column, rows, "true or false")


def _vector_in_text(column: ColumnProfile) -> FeatureChoice | None:
    cells = column.present.slice(0, 500).to_pylist()
    for separator in (" ", ",", ";", "|"):
        parts = [cell.strip().split(separator) for cell in cells]
        if len(parts[0]) < 4 or any(len(row) != len(parts[0]) for row in parts):
            continue
        if all(re.fullmatch(r"\s*[-+]?\d*\.?\d+(e[-+]?\d+)?\s*", part) for row in parts for part in row):
            return FeatureChoice(
                column,
                {"kind": "embedding", "dim": len(parts[0]), "separator": separator},
                f"{len(parts[0])} numbers in every cell",
            )
    return None


def _several_values(column: ColumnProfile) -> FeatureChoice | None:
    """A multivalent feature, if cutting the cells leaves few values that come again and again."""
    cells = column.values.slice(0, _LOOKED_AT)
    recurring = column.distinct < 0.5 * len(column.present)
    # Bars separate values and nothing else, however few cells there are to see it by.
    for separator in SEPARATORS if len(cells) >= 8 else ("|",) if recurring else ():
        parts = pc.split_pattern(pc.utf8_trim_whitespace(cells), pattern=separator)
        counts = pc.list_value_length(parts).to_numpy()
        if (counts > 1).mean() < 0.1:
            continue
        single = pc.utf8_trim_whitespace(pc.list_flatten(parts))
        distinct = single.filter(pc.not_equal(single, "")).unique()
        # A space also separates the words of a text: there it must leave far fewer values.
        bound = 0.2 if separator == " " else 0.5
        bound = math.inf if separator == "|" and recurring else bound
        if len(distinct) > bound * len(cells) or (separator == " " and len(distinct) > 1000):
            continue
        width = math.ceil(max(2, np.quantile(counts, 0.95)))
        values = tuple(sorted(distinct.to_pylist())) if len(distinct) <= LISTED_VALUES else ()
        return FeatureChoice(
            column,
            {"kind": "multivalent", "separator": separator, "max_values": width},
            f"{len(cells):,} different cells of up to {counts.max()} of only {len(distinct):,} values, "
            f"separated by {separator!r}",
            "kind: text, if these are words of a sentence" if separator == " " and len(distinct) > 50 else "",
            values,
        )
    return None


_BY_SHAPE: dict[str, Callable[[ColumnProfile, int], FeatureChoice]] = {
    "integer": _of_number,
    "number": _of_number,
    "text": _of_text,
    "boolean": _of_boolean,
    "moment": _of_text,
    "list": _of_list,
    "vector": _of_vector,
}
