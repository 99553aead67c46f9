"""Columns of the log whose values are another table's key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.edits import cleaned
from pipeline.propose.profile import ColumnProfile, TableProfile, profile_table, words_of

_JOINED_ROWS = 50_000
JOINS = 0.5
"""Least share of the log's rows that must find their row for columns to be joined by values alone."""
_JOINS_BY_NAME = 0.05
_JOINS_OF_NUMBERS = 0.95
_CLEAN_UPS: tuple[dict[str, Any], ...] = (
    {"trim": True},
    {"leading_zeros": "drop"},
    {"trim": True, "case": "lower"},
)
_AS_GOOD = 0.05
"""Tables whose shares of joined rows differ by less than this join alike."""
_MOST_REPEATED = 0.9
"""A column with more different values than this share of its rows names events, not what they are about."""
_FEW_ROWS = 200


@dataclass(frozen=True)
class Join:
    """A column of the log whose values are another table's key.

    Attributes:
        column: In the log.
        table: The other table.
        key: Its key.
        rows: Rows of the table with a key.
        mentioned: The keys that the log (as looked at) has.
        rate: Share of the log's rows (looked at) that find their row.
        coverage: Share of the table's rows that the log (as looked at) mentions.
        names_alike: From 0 to 1, how much the two columns' names agree.
        repeated: Rows of the table whose key an earlier row has.
    """

    column: ColumnProfile
    table: TableProfile
    key: ColumnProfile
    rows: int
    mentioned: pa.Array
    rate: float
    coverage: float
    names_alike: float
    repeated: int = 0

    @property
    def strength(self) -> float:
        """How much speaks for the two columns to mean the same."""
        return self.rate + self.names_alike + 0.5 * self.coverage

    @property
    def evidence(self) -> str:
        """The join in words."""
        unique = f"{self.repeated:,} rows repeat an id" if self.repeated else "every row has its own"
        return (
            f"{self.rate:.1%} of the log's rows find their {self.column.name} in {self.key.name} of "
            f"{self.table.given.label}, where {unique}"
        )

    @property
    def leaning(self) -> int:
        """Positive if the names speak of items, negative if they speak of people."""
        return leaning((*self.column.words, *self.key.words, *words_of(self.table.given.stem)))


def leaning(name: Sequence[str]) -> int:
    """Positive if the words speak of items, negative if they speak of people."""
    return len(words.CANDIDATES.intersection(name)) - len(words.QUERIES.intersection(name))


def repeated_columns(table: TableProfile) -> list[ColumnProfile]:
    """Columns that could name who or what: ids that come again."""
    return [
        column
        for column in table.columns
        if column.could_be_id
        and column.distinct >= 2
        and table.estimated_distinct(column) <= max(2, _most_distinct(table, column))
    ]


def _most_distinct(table: TableProfile, column: ColumnProfile) -> float:
    """A column of ids may have so many different values; of a small table all but one of its rows."""
    rows = table.sample.total * (1 - column.missing_share)
    return rows - 1 if rows <= _FEW_ROWS else _MOST_REPEATED * rows


def find_joins(log: TableProfile, tables: Sequence[TableProfile]) -> list[Join]:
    """All plausible joins of the log with the other tables, strongest first."""
    joins: list[Join] = []
    for table in _with_newest_snapshots(tables, log):
        found = [join for key in table.keys for join in _joins_by(log, table, key, table.key_values(key))]
        if not found and not any(leaning(column.words[-2:]) < 0 for column in table.columns):
            found = [
                replace(join, repeated=len(key.present) - key.distinct)
                for key in table.nearly_keys
                for join in _joins_by(log, table, key, key.values)
            ]
        joins += _without_chance(found)
    return sorted(joins, key=lambda join: -join.strength)


def _without_chance(joins: Sequence[Join]) -> list[Join]:
    """The joins of one table; where names say which column it is about, only those by names.

    Small integers fit any column: a table of movies has each movieId, and so it has each userId below 700.
    """
    named = [join for join in joins if join.names_alike == 1]
    return named or list(joins)


def _joins_by(log: TableProfile, table: TableProfile, key: ColumnProfile, values: pa.Array) -> list[Join]:
    joins = [_join(column, table, key, values) for column in repeated_columns(log)]
    return [join for join in joins if join.rate >= _least_rate(join)]


def _least_rate(join: Join) -> float:
    """From which share of rows on columns are joined: small numbers fit nearly every column of numbers."""
    if join.names_alike == 1:
        return _JOINS_BY_NAME
    both_numbers = join.column.shape == join.key.shape == "integer"
    return _JOINS_OF_NUMBERS if both_numbers and not join.names_alike else JOINS


def reconciled(log: TableProfile, tables: Sequence[TableProfile]) -> tuple[TableProfile, list[TableProfile]]:
    """The tables with the text of ids cleaned up, where they join the log in no other way.

    Returns:
        The log and all tables, in the order given.
    """
    tables = list(tables)
    for at, table in enumerate(tables):
        if table is log or find_joins(log, [table]):
            continue
        found = _joined_by_clean_up(log, table)
        if found is None:
            continue
        column, key, rules, rate = found
        how = " and ".join(f"{name}: {str(rule).lower()}" for name, rule in rules.items())
        why = f"with {how}, {rate:.1%} of the log's rows find their {column.name} in {table.given.label}"
        at_log = tables.index(log)
        if cleaned(column.values, rules) != column.values:
            log = tables[at_log] = log.with_clean(column, rules, why)
        if cleaned(key.values, rules) != key.values:
            tables[at] = table.with_clean(key, rules, why)
    return log, tables


def _joined_by_clean_up(
    log: TableProfile, table: TableProfile
) -> tuple[ColumnProfile, ColumnProfile, dict[str, Any], float] | None:
    for rules in _CLEAN_UPS:
        for key in (*table.keys, *table.nearly_keys):
            values = cleaned(key.values, rules)
            for column in repeated_columns(log):
                rate = pc.mean(pc.is_in(cleaned(column.present, rules), value_set=values)).as_py()
                if rate >= JOINS:
                    return column, key, rules, rate
    return None


def _with_newest_snapshots(tables: Sequence[TableProfile], log: TableProfile) -> list[TableProfile]:
    """The other tables; of one whose files repeat their ids span by span, the newest file."""
    others = []
    for table in tables:
        if table is log:
            continue
        if not table.keys and table.given.has_spans and len(table.given.files) > 1:
            table = profile_table(table.given.newest())
        others.append(table)
    return others


def _join(column: ColumnProfile, table: TableProfile, key: ColumnProfile, values: pa.Array) -> Join:
    cells = column.present
    # From all over the column: an ordered log's beginning knows the oldest ids only.
    step = max(1, len(cells) // _JOINED_ROWS)
    some = cells.take(pa.array(range(0, len(cells), step)))
    # Looked up in the log's values, which are fewer: a large catalogue is slow to hash.
    mentioned = values.filter(pc.is_in(values, value_set=column.values))
    rate = pc.mean(pc.is_in(some, value_set=mentioned)).as_py()
    alike = _names_alike(column, table, key)
    return Join(column, table, key, len(values), mentioned, rate, len(mentioned) / len(values), alike)


def _names_alike(column: ColumnProfile, table: TableProfile, key: ColumnProfile) -> float:
    if column.declared.lower() == key.declared.lower():
        return 1.0
    ours = set(column.words) - {"id"}
    theirs = (set(key.words) | set(words_of(table.given.stem))) - {"id"}
    return 0.7 if ours & theirs else 0.0


def pick_joins(joins: Sequence[Join]) -> list[Join]:
    """The strongest joins, each column and each table once; of like ones, that which describes most."""
    picked: list[Join] = []
    for join in joins:
        if any(join.column is other.column or join.table is other.table for other in picked):
            continue
        free = [other for other in joins if all(other.table is not taken.table for taken in picked)]
        alike = [other for other in free if other.column is join.column and _as_good(other, join)]
        picked.append(max(alike, key=lambda other: (other.table.described, other.strength)))
    return picked


def _as_good(join: Join, best: Join) -> bool:
    return join.names_alike >= best.names_alike and join.rate >= best.rate - _AS_GOOD
