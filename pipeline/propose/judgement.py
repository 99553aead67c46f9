"""What in the event log says that somebody liked something: a rating, actions, or that it happened."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.profile import ColumnProfile, TableProfile, words_of

_MOST_ACTIONS = 20


@dataclass(frozen=True)
class Judgement:
    """What makes an interaction positive.

    Attributes:
        rating: Column of grades, if any, with ``minimum``, ``maximum`` and ``positive_from``.
        bounds: Those three.
        action_column: Column of actions, if rows say theirs.
        source_actions: Action of each source, where the files' names say it; else empty.
        weights: Action to weight.
        why: What says so.
        unsure: What else was considered.
    """

    why: str
    rating: ColumnProfile | None = None
    bounds: tuple[float, float, float] = (0, 0, 0)
    action_column: ColumnProfile | None = None
    source_actions: tuple[str, ...] = ()
    weights: dict[str, float] | None = None
    unsure: str = ""
    zero_is_none: bool = False
    """Whether a rating of 0 says that there is none."""

    def positive(self, rows: int) -> np.ndarray:
        """[rows] bool of the main table's sample: which rows are positive."""
        if self.rating:
            grades = pc.fill_null(pc.cast(self.rating.text, pa.float64()), 0.0).to_numpy()
            return grades >= self.bounds[2]
        if self.action_column and self.weights:
            liked = [action for action, weight in self.weights.items() if weight > 0]
            return pc.is_in(self.action_column.text, value_set=pa.array(liked)).to_numpy(zero_copy_only=False)
        return np.ones(rows, bool)


def find_judgement(logs: Sequence[TableProfile], keys: Sequence[ColumnProfile]) -> Judgement:
    """Looks for actions, then for a rating, among the log's columns that are no keys.

    Args:
        logs: The tables of the event log, main one first.
        keys: Its columns of who, what and when.
    """
    columns = [column for column in logs[0].columns if column not in keys]
    shared = set.intersection(*({column.declared for column in log.columns} for log in logs))
    columns = [column for column in columns if column.declared in shared]
    return (
        _action_column(columns)
        or _yes_or_no(columns)
        or _source_actions(logs)
        or _rating(columns)
        or Judgement(
            "Neither a rating nor actions: an interaction is positive for having happened.",
            unsure=_numbers_left(columns),
        )
    )


def split_column(columns: Sequence[ColumnProfile]) -> ColumnProfile | None:
    """A column that says which split a row is in."""
    for column in columns:
        values = {value.lower() for value in column.values.slice(0, 6).to_pylist()}
        if column.shape == "text" and len(values) > 1 and values <= words.SPLITS:
            return column
    return None


def _action_column(columns: Sequence[ColumnProfile]) -> Judgement | None:
    able = [
        c for c in columns if c.shape == "text" and c.moments is None and 2 <= c.distinct <= _MOST_ACTIONS
    ]
    told = [c for c in able if any(_known_weight(value) is not None for value in c.values.to_pylist())]
    named = [c for c in told if words.ACTIONS.intersection(c.words)]
    best = next(iter(named or told), None)
    if best is None:
        return None
    values, counts = best.values.to_pylist(), best.counts
    known = {value: _known_weight(value) for value in values}
    weights = {
        value: _by_rarity(counts[at], counts[0]) if weight is None else weight
        for at, (value, weight) in enumerate(known.items())
    }
    if not any(weights.values()):
        weights = dict.fromkeys(weights, 1.0)
    seen = ", ".join(
        f"{value} {count / counts.sum():.1%}" for value, count in zip(values, counts, strict=True)
    )
    guessed = [value for value, weight in known.items() if weight is None]
    unsure = "the weights are a guess by what the actions are called; 0 makes an action a negative"
    if guessed:
        unsure += f"; {', '.join(guessed)} by how rare they are"
    return Judgement(f"column {best.name}: {seen}", action_column=best, weights=weights, unsure=unsure)


def _source_actions(logs: Sequence[TableProfile]) -> Judgement | None:
    names = _without_common([log.given.stem for log in logs])
    if len(logs) < 2 or len(set(names)) < len(names) or any(_known_weight(name) is None for name in names):
        return None
    weights = {name: _known_weight(name) or 0.0 for name in names}
    if not any(weights.values()):
        return None
    return Judgement(
        "the files' names say what happened",
        source_actions=tuple(names),
        weights=weights,
        unsure="the weights are a guess by what the files are called; 0 makes an action a negative",
    )


def _without_common(names: Sequence[str]) -> list[str]:
    """Files' names without the words that all begin with: yoochoose-clicks, yoochoose-buys."""
    parts = [re.split(r"[-_. ]+", name) for name in names]
    same = 0
    while all(len(words_in) > same + 1 and words_in[same] == parts[0][same] for words_in in parts):
        same += 1
    short = ["_".join(words_in[same:]) for words_in in parts] if same else list(names)
    return short if all(map(is_action, short)) else list(names)


def _yes_or_no(columns: Sequence[ColumnProfile]) -> Judgement | None:
    """A column of 0 and 1 whose name says what happened, or whether it was liked."""
    for column in columns:
        if column.shape != "integer" or set(column.values.to_pylist()) != {"0", "1"}:
            continue
        if not (words.RATINGS.intersection(column.words) or any(map(_happened, column.words))):
            continue
        share = float((column.numbers == 1).mean())
        return Judgement(
            f"column {column.name}: 1 in {share:.0%} of the rows, 0 in the others",
            action_column=column,
            weights={"0": 0.0, "1": 1.0},
            unsure="1 is taken for liked, 0 for shown and not liked",
        )
    return None


def _happened(word: str) -> bool:
    """Whether a word is a participle of an action: clicked, bought, shared."""
    return any(is_action(form) for form in (word, word.removesuffix("ed"), word.removesuffix("d")))


def is_action(name: str) -> bool:
    """Whether a name says what happened, such as ``purchases``."""
    return _known_weight(name) is not None


def _known_weight(action: str) -> float | None:
    said = {*words_of(action), action.lower().replace("_", "").replace("-", "")}
    return next((weight for weight, names in words.ACTION_WEIGHTS if said & names), None)


def _by_rarity(count: int, most: int) -> float:
    return float(min(5, 1 + round(math.log2(most / count))))


def _rating(columns: Sequence[ColumnProfile]) -> Judgement | None:
    able = [c for c in columns if c.shape in ("integer", "number") and c.moments is None and c.distinct > 1]
    able = [c for c in able if not words.PLACES.intersection(c.words)]
    named = [c for c in able if words.RATINGS.intersection(c.words)]
    # Of 0 and 1 only a name can say that they judge.
    graded = [
        c for c in able if c.distinct > 2 and _looks_graded(c) and not words.NO_RATINGS.intersection(c.words)
    ]
    best = next(iter(named or graded), None)
    if best is None:
        return None
    numbers = best.numbers
    zero_is_none = _zero_is_none(numbers)
    if zero_is_none:
        numbers = numbers[numbers != 0]
    minimum, maximum = _scale(float(numbers.min()), float(numbers.max()))
    # Seven tenths up the scale: 4 of 1 to 5, 8 of 1 to 10, 1 of 0 and 1.
    values = np.unique(numbers)
    high = values[values >= minimum + 0.7 * (maximum - minimum) - 1e-9]
    positive_from = float(high[0]) if len(high) else float(values[-1])
    share = float((numbers >= positive_from).mean())
    others = [c.name for c in (named or graded) if c is not best]
    unsure = f"positive_from: {positive_from:g} makes {share:.0%} of the rows positive"
    lower = [value for value in values if minimum < value < positive_from]
    if lower:
        unsure += f", {lower[-1]:g} would make it {(numbers >= lower[-1]).mean():.0%}"
    if not named:
        unsure = f"no name says it is a rating, only the few numbers; {unsure}"
    if others:
        unsure += f"; could also be {', '.join(others)}"
    if zero_is_none:
        unsure += (
            f"; 0 is taken for no rating and left out ({(best.numbers == 0).mean():.0%} of the rows): "
            "without "
            "the condition under where, and with minimum: 0, these rows count as disliked; without "
            "rating: all "
            "rows count as liked"
        )
    return Judgement(
        f"{best.distinct:,} different numbers from {numbers.min():g} to {numbers.max():g}",
        rating=best,
        bounds=(minimum, maximum, positive_from),
        unsure=unsure,
        zero_is_none=zero_is_none,
    )


def _zero_is_none(numbers: np.ndarray) -> bool:
    """Whether 0 stands apart from the grades: far more frequent than the lowest of a longer scale."""
    grades, counts = np.unique(numbers, return_counts=True)
    if len(grades) < 4 or grades[0] != 0 or grades[1] < 1:
        return False
    return bool(counts[0] >= 0.2 * counts.sum() and counts[0] >= 3 * counts[1])


def _looks_graded(column: ColumnProfile) -> bool:
    numbers = column.numbers
    halves = (numbers * 2 == np.floor(numbers * 2)).all()
    return bool(column.distinct <= 11 and halves and numbers.min() >= 0 and numbers.max() <= 10)


def _scale(low: float, high: float) -> tuple[float, float]:
    """The usual scale that the numbers seen lie on."""
    for top in (1, 5, 10, 100):
        if low >= 0 and high <= top:
            if top == 1 or low == 0 or low < 0.5:
                return 0.0, float(top)
            return (0.5 if low < 1 else 1.0), float(top)
    return low, high


def _numbers_left(columns: Sequence[ColumnProfile]) -> str:
    names = [
        c.name
        for c in columns
        if c.shape in ("integer", "number")
        and c.distinct > 1
        and not (words.IDS | words.NO_RATINGS).intersection(c.words)
    ][:6]
    return f"a column that grades could be among {', '.join(names)}" if names else ""
