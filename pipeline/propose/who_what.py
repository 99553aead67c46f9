"""Which column of a log says who, which says what: by names, by what follows from what, by recurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.dependence import Recurrence, agreement, recurrence
from pipeline.propose.joins import leaning, repeated_columns
from pipeline.propose.profile import ColumnProfile, TableProfile

FOLLOWS = 0.7
"""From this agreement on, a column is taken to follow from another: item to description, order to user."""
_AT_ONCE = 0.9
_MOSTLY_NOBODY = 0.5
_HEAD_STOPS = words.IDS | {"hash", "key", "ref"}


@dataclass(frozen=True)
class LogColumns:
    """A log's columns that could name who or what, measured against its time.

    Attributes:
        log: The table.
        seconds: [n] moments of its rows; None where it has no time.
        able: The columns.
    """

    log: TableProfile
    seconds: pa.Array | None
    able: tuple[ColumnProfile, ...]

    @cached_property
    def _measured(self) -> dict[str, Recurrence]:
        return {}

    @cached_property
    def _agreements(self) -> dict[tuple[str, str], float]:
        return {}

    def recurrence(self, column: ColumnProfile) -> Recurrence | None:
        """How the rows of the column's values lie in time; None without a time."""
        if self.seconds is None:
            return None
        if column.name not in self._measured:
            self._measured[column.name] = recurrence(column.text, self.seconds)
        return self._measured[column.name]

    def follows(self, column: ColumnProfile, value: ColumnProfile) -> bool:
        """Whether each value of ``column`` has (nearly) one of ``value``."""
        pair = (column.name, value.name)
        if pair not in self._agreements:
            self._agreements[pair] = agreement(column.text, value.text)
        return self._agreements[pair] >= FOLLOWS

    def is_visit(self, column: ColumnProfile) -> bool:
        """Whether its values stand for what somebody does at one moment or in one sitting.

        By the name where that says so; else by the rows, where another column comes back over moments.
        """
        if is_person(column):
            return False
        if is_named_visit(column):
            return True
        found = self.recurrence(column)
        if found is None or found.several < 5 or leaning(column.words) > 0:
            return False
        if found.at_once >= _AT_ONCE:
            return True
        others = [self.recurrence(other) for other in self.able if other is not column]
        return found.in_a_day >= 0.98 and any(
            other is not None and other.several >= 5 and other.in_a_day < 0.8 for other in others
        )


def log_columns(log: TableProfile, timestamp: ColumnProfile | None, seconds: pa.Array | None) -> LogColumns:
    """The columns of a log that could name who or what."""
    able = [column for column in repeated_columns(log) if column is not timestamp and not is_amount(column)]
    return LogColumns(log, seconds, tuple(able))


def head(column: ColumnProfile) -> str:
    """The word that says what a name is about: the last that does not just say id."""
    rest = [word for word in column.words if word not in _HEAD_STOPS]
    return rest[-1] if rest else ""


def is_person(column: ColumnProfile) -> bool:
    """Whether the name says that somebody comes back under it."""
    return head(column) in words.QUERIES or (not is_named_visit(column) and leaning(column.words) < 0)


def is_named_visit(column: ColumnProfile) -> bool:
    """Whether the name says it is an order, a session or the like."""
    named = head(column)
    return named in words.VISITS or any(named == f"{word}number" for word in words.VISITS)


def is_amount(column: ColumnProfile) -> bool:
    """Whether the name says that numbers count or judge, or that cells are times or amounts."""
    if column.shape != "integer":
        return head(column) in words.TIMES | words.QUANTITIES
    said = words.NO_RATINGS | words.RATINGS | words.POSITIONS | words.TIMES
    return head(column) in said and not words.IDS.intersection(column.words)


def item_of(columns: LogColumns) -> tuple[ColumnProfile | None, str, str]:
    """The column of what, where no catalogue tells: its evidence, and what else it could be."""
    able = [c for c in columns.able if not is_person(c) and not columns.is_visit(c) and not _is_action(c)]
    # An id stands in nearly every row.
    able = [c for c in able if c.missing_share < 0.3] or able
    if not able:
        return None, "", ""
    strength = {column.name: _item_strength(columns, column, able) for column in able}
    ranked = sorted(able, key=lambda column: strength[column.name], reverse=True)
    best, rest = ranked[0], ranked[1:]
    told = [column.name for column in columns.log.columns if _tells(columns, best, column)]
    evidence = f"{best.distinct:,} different values"
    if told:
        evidence += f"; {', '.join(told[:4])} follow{'s' if len(told) == 1 else ''} from it"
    return (
        best,
        evidence,
        f"runner-up {rest[0].name}: --item {_quoted(rest[0].name)} takes it" if rest else "",
    )


def _tells(columns: LogColumns, item: ColumnProfile, column: ColumnProfile) -> bool:
    return (
        column is not item
        and column.distinct > 1
        and column.shape in ("text", "integer", "number")
        and column.moments is None
        and columns.follows(item, column)
    )


def _item_strength(
    columns: LogColumns, column: ColumnProfile, able: Sequence[ColumnProfile]
) -> tuple[float, ...]:
    tells = sum(_tells(columns, column, other) for other in columns.log.columns)
    others = [other for other in able if other is not column]
    finer = sum(columns.follows(other, column) and not columns.follows(column, other) for other in others)
    one_word = column.words_per_cell.mean() < 1.3 if len(column.words_per_cell) else 0
    length = pc.mean(pc.utf8_length(column.values.slice(0, 1000))).as_py() or 0.0
    is_title = bool(set(words.TITLES).intersection(column.words))
    return (
        float(not is_title and one_word),
        float(leaning(column.words) > 0),
        tells - 2 * finer,
        float(bool(words.IDS.intersection(column.words))),
        float(column.distinct > 20),
        # In nearly all logs who stands before what.
        float(columns.log.columns.index(column)) if not tells else 0.0,
        column.distinct if not finer else 0.0,
        -length,
    )


def _is_action(column: ColumnProfile) -> bool:
    return column.shape == "text" and bool(words.ACTIONS.intersection(column.words)) and column.distinct <= 20


@dataclass(frozen=True)
class Who:
    """The column of who.

    Attributes:
        column: The column.
        is_visit: Whether it names a sitting, not somebody who comes back.
        evidence: What speaks for it.
        unsure: What else it could be.
    """

    column: ColumnProfile
    is_visit: bool
    evidence: str
    unsure: str


def who_of(columns: LogColumns, item: ColumnProfile) -> Who | None:
    """The column of who: somebody who comes back before a visit, an order, a session."""
    able = [c for c in columns.able if c is not item and not _is_action(c)]
    able = [c for c in able if is_person(c) or is_named_visit(c) or not columns.follows(item, c)]
    if not able:
        return None
    people = [c for c in able if is_person(c)]
    visits = [c for c in able if c not in people and columns.is_visit(c)]
    others = [c for c in able if c not in people and c not in visits]
    known = [c for c in people if c.missing_share <= _MOSTLY_NOBODY]
    ranked = [
        *sorted(known, key=lambda c: -c.distinct),
        *sorted(others, key=lambda c: (c.distinct <= 20, c.missing_share > _MOSTLY_NOBODY, -c.distinct)),
        *sorted(visits, key=lambda c: (c.missing_share > 0.2, "session" not in c.words, -c.distinct)),
        *sorted((c for c in people if c not in known), key=lambda c: -c.distinct),
    ]
    if not known and visits and (people or all(c.distinct <= 20 for c in others)):
        # Somebody known in few rows, or in none, is no use: the visit is all there is to go by.
        ranked = [c for c in ranked if c in visits] + [c for c in ranked if c not in visits]
    best = ranked[0]
    rest = sorted(ranked[1:], key=lambda column: column.distinct <= 20)
    is_visit = best in visits
    evidence = _evidence(columns, best, visits, is_visit)
    doubts = []
    if is_visit and people:
        gaps = max(people, key=lambda c: -c.missing_share)
        doubts.append(
            f"{gaps.name} is empty in {gaps.missing_share:.0%} of the rows; --user {_quoted(gaps.name)} "
            "would "
            "take the rest"
        )
    elif rest:
        doubts.append(f"runner-up {rest[0].name}: --user {_quoted(rest[0].name)} takes it")
    if not is_person(best) and not is_visit:
        doubts.insert(0, "no name says that these are people")
    return Who(best, is_visit, evidence, "; ".join(doubts))


def _evidence(
    columns: LogColumns, who: ColumnProfile, visits: Sequence[ColumnProfile], is_visit: bool
) -> str:
    said = f"{who.distinct:,} different values"
    found = columns.recurrence(who)
    if found:
        said += f", each at {found.moments:.1f} moments on average"
    if is_visit:
        return f"{said}: visits, for no column says who came back"
    for visit in visits:
        lying = columns.recurrence(visit)
        if lying and lying.several:
            when = f"{lying.at_once:.0%} have all rows at one moment, {lying.in_a_day:.0%} within a day"
            follows = f"; each has one {who.name}" if columns.follows(visit, who) else ""
            said += f". {visit.name} is a visit: {when}{follows}"
            break
    return said


def _quoted(name: str) -> str:
    return name if name.replace("_", "").isalnum() else f"'{name}'"
