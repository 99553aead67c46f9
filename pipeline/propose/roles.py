"""Which table is the event log, which the catalogue, which describes the users: by keys and joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.errors import UserError
from pipeline.propose import words
from pipeline.propose.moments import date_in_another_form
from pipeline.propose.profile import ColumnProfile, TableProfile, profile_table, words_of

_JOINED_ROWS = 50_000
_JOINS = 0.5
"""Least share of the log's rows that must find their row for columns to be joined by values alone."""
_JOINS_BY_NAME = 0.05
_ABOUT_ITS_ITEM = 0.95
_MOST_REPEATED = 0.9
"""A column with more different values than this share of its rows names events, not what they are about."""


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
    """

    column: ColumnProfile
    table: TableProfile
    key: ColumnProfile
    rows: int
    mentioned: pa.Array
    rate: float
    coverage: float
    names_alike: float

    @property
    def strength(self) -> float:
        """How much speaks for the two columns to mean the same."""
        return self.rate + self.names_alike + 0.5 * self.coverage

    @property
    def evidence(self) -> str:
        """The join in words."""
        return (
            f"{self.rate:.1%} of the log's rows find their {self.column.name} in {self.key.name} of "
            f"{self.table.given.label}, where every row has its own"
        )


@dataclass(frozen=True)
class Roles:
    """What each table is for.

    Attributes:
        logs: The event log, main table first; the others have the same key columns.
        query: Column of the log: who.
        candidate: Column of the log: what.
        timestamp: Column of the log: when.
        catalogue: Joins ``candidate`` to the catalogue.
        queries: Joins ``query`` to the table of users, if there is one.
        unused: Tables without a role, and why.
        unsure: Role to what else it could have been.
    """

    logs: tuple[TableProfile, ...]
    query: ColumnProfile
    candidate: ColumnProfile
    timestamp: ColumnProfile
    catalogue: Join
    queries: Join | None
    unused: tuple[tuple[TableProfile, str], ...]
    unsure: dict[str, str]

    @property
    def log(self) -> TableProfile:
        """The main table of the event log."""
        return self.logs[0]


def find_roles(tables: Sequence[TableProfile]) -> Roles:
    """Decides by timestamps, keys, joins and, where these leave a choice, by names.

    Raises:
        UserError: If there is no event log or no catalogue. Says what is missing and how to make it.
    """
    log, joins = _find_log(tables)
    unsure: dict[str, str] = {}
    timestamp = _timestamp_of(log, unsure)
    picked = _pick(joins)
    catalogue = _catalogue_of(picked, unsure)
    if catalogue is None:
        raise UserError(_no_catalogue(log, timestamp, picked, tables))
    queries = _queries_of(log, picked, catalogue, unsure)
    query = queries.column if queries else _query_column(log, catalogue.column, timestamp, unsure)
    keys = {catalogue.column.declared, query.declared, timestamp.declared}
    more = [
        table
        for table in tables
        if table is not log and keys <= {column.declared for column in table.columns} and not table.keys
    ]
    used = [log, *more, catalogue.table, *([queries.table] if queries else [])]
    files = {file for table in used for file in table.given.files}
    unused = tuple(
        (table, _why_unused(table, joins)) for table in tables if not files & set(table.given.files)
    )
    return Roles((log, *more), query, catalogue.column, timestamp, catalogue, queries, unused, unsure)


def _find_log(tables: Sequence[TableProfile]) -> tuple[TableProfile, list[Join]]:
    """The largest table with a time and two columns that repeat; best one that joins, and is not joined."""
    able = [
        table
        for table in tables
        if any(column.moments for column in table.columns) and len(_repeated(table)) >= 2
    ]
    if not able:
        raise UserError(_no_log(tables))
    found = [(log, _joins(log, tables)) for log in able]
    # A catalogue with times and categories looks like a log, but is what a log joins.
    joined = {join.table.given.files[-1] for _, joins in found for join in joins}
    return max(
        found,
        key=lambda item: (item[0].given.files[-1] not in joined, bool(item[1]), item[0].sample.total),
    )


def _repeated(table: TableProfile) -> list[ColumnProfile]:
    """Columns that could name who or what: ids that come again."""
    return [
        column
        for column in table.columns
        if column.could_be_id
        and column.distinct >= 2
        and table.estimated_distinct(column) <= max(2, _MOST_REPEATED * table.sample.total)
    ]


def _joins(log: TableProfile, tables: Sequence[TableProfile]) -> list[Join]:
    """All plausible joins of the log with the other tables, strongest first."""
    joins = []
    for table in _with_newest_snapshots(tables, log):
        for key in table.keys:
            values = table.key_values(key)
            for column in _repeated(log):
                join = _join(column, table, key, values)
                if join.rate >= (_JOINS_BY_NAME if join.names_alike == 1 else _JOINS):
                    joins.append(join)
    return sorted(joins, key=lambda join: -join.strength)


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


def _pick(joins: Sequence[Join]) -> list[Join]:
    """The strongest joins, each column and each table once."""
    picked: list[Join] = []
    for join in joins:
        if all(join.column is not other.column and join.table is not other.table for other in picked):
            picked.append(join)
    return picked


def _leaning(name: Sequence[str]) -> int:
    """Positive if the words speak of items, negative if they speak of people."""
    return len(words.CANDIDATES.intersection(name)) - len(words.QUERIES.intersection(name))


def _join_leaning(join: Join) -> int:
    return _leaning((*join.column.words, *join.key.words, *words_of(join.table.given.stem)))


def _catalogue_of(picked: Sequence[Join], unsure: dict[str, str]) -> Join | None:
    able = [join for join in picked if join.rate >= _JOINS and _join_leaning(join) >= 0]
    if not able:
        return None
    best = max(able, key=lambda join: (_join_leaning(join), join.rate, join.table.sample.total))
    rivals = [join for join in able if join is not best and _join_leaning(join) == _join_leaning(best)]
    if rivals:
        others = ", ".join(f"{join.table.given.label} by {join.column.name}" for join in rivals)
        unsure["candidates"] = f"the catalogue could also be {others}"
    elif _join_leaning(best) == 0:
        unsure["candidates"] = "no name says that these are the things to recommend; only the join does"
    return best


def _queries_of(
    log: TableProfile, picked: Sequence[Join], catalogue: Join, unsure: dict[str, str]
) -> Join | None:
    rest = [join for join in picked if join is not catalogue]
    people = [join for join in rest if _join_leaning(join) < 0]
    if people:
        return max(people, key=lambda join: (join.rate, join.column.distinct))
    named = [column for column in _repeated(log) if _leaning(column.words) < 0]
    if named or not rest:
        return None
    best = max(rest, key=lambda join: join.column.distinct)
    unsure["queries"] = f"no name says that {best.table.given.label} is about users; only the join does"
    return best


def _query_column(
    log: TableProfile, candidate: ColumnProfile, timestamp: ColumnProfile, unsure: dict[str, str]
) -> ColumnProfile:
    """The log's column of who: by its name, else the one with most different values that repeat."""
    able = [column for column in _repeated(log) if column not in (candidate, timestamp)]
    people = [column for column in able if _leaning(column.words) < 0]
    # A session is somebody too, but for a visit only.
    best = max(people or able, key=lambda column: ("session" not in column.words, column.distinct))
    others = [column.name for column in people or able if column is not best]
    if not people:
        unsure["interactions.query_id"] = (
            f"taken for having the most different values; could also be {', '.join(others)}"
            if others
            else "the only other column that repeats"
        )
    elif others:
        unsure["interactions.query_id"] = f"could also be {', '.join(others)}"
    return best


def _timestamp_of(log: TableProfile, unsure: dict[str, str]) -> ColumnProfile:
    able = [column for column in log.columns if column.moments]
    best = max(able, key=lambda c: (c.moments.named, c.moments.distinct, -log.columns.index(c)))  # type: ignore[union-attr]
    others = [column.name for column in able if column is not best]
    if others:
        unsure["interactions.timestamp"] = f"could also be {', '.join(others)}"
    elif best.moments and best.moments.unit and not best.moments.named:
        unsure["interactions.timestamp"] = "the name says nothing of time, only the numbers fit"
    return best


def _why_unused(table: TableProfile, joins: Sequence[Join]) -> str:
    joined = next((join for join in joins if join.table is table and join.names_alike), None)
    if joined:
        return f"joins the log by {joined.column.name}, which is neither who nor what"
    if table.keys:
        return "its key is no column of the log"
    return "has no key (a column with a value of its own in every row) and is not like the log"


def _shown(tables: Sequence[TableProfile]) -> str:
    return "; ".join(
        f"{table.given.label} ({', '.join(column.name for column in table.columns)})" for table in tables
    )


def _no_log(tables: Sequence[TableProfile]) -> str:
    timed = [(table, column) for table in tables for column in table.columns if column.moments]
    lines = [f"none of the files is an event log. Found: {_shown(tables)}."]
    if timed:
        lines.append(
            "There is a time in "
            + ", ".join(f"{column.name} of {table.given.label}" for table, column in timed)
            + ", but not beside two columns whose values repeat: who, and with what."
        )
    else:
        lines.append("No column is a time.")
    for table in tables:
        for column in table.columns:
            example = None if column.moments else date_in_another_form(column.text)
            if example:
                lines.append(
                    f"Column {column.name} of {table.given.label} looks like dates, but holds such as "
                    f"{example!r}; expected ISO 8601, such as 2024-05-31T12:00:00Z. Write it again so."
                )
    lines.append(
        "Expected a table with one row an interaction: a user's id, an item's id and a time (ISO 8601, or "
        "seconds, milli-, micro- or nanoseconds since 1970)."
    )
    return "\n  ".join(lines)


def _no_catalogue(
    log: TableProfile, timestamp: ColumnProfile, picked: Sequence[Join], tables: Sequence[TableProfile]
) -> str:
    able = [c for c in _repeated(log) if c is not timestamp and _leaning(c.words) >= 0]
    taken = [join.column for join in picked]
    able = [column for column in able if column not in taken] or able or _repeated(log)
    item = max(able, key=lambda column: (_leaning(column.words), column.distinct))
    others = [table for table in tables if table is not log]
    seen = (
        f"None of the other files has a key that finds at least {_JOINS:.0%} of the log's rows: "
        f"{_shown(others)}."
        if others
        else "No other file was given."
    )
    about = [column.name for column in log.columns if _is_about(column, item, log)]
    columns = ", ".join(map(repr, [item.name, *about]))
    return (
        f"{log.given.label} is the event log (what people did, with the time {timestamp.name}), but the "
        f"catalogue is missing: a table with one row for each {item.name}, and what is known of it: name, "
        f"category, price. {seen}\n"
        f"  Give that table too. If there is none, make one of the values the log has"
        + (
            f", with the columns that have one value for each ({', '.join(about)})"
            if about
            else " (no other column of it has one value for each)"
        )
        + f':\n  python -c "import glob, pandas; pandas.concat({_reader(log)}[[{columns}]].drop_duplicates() '
        f"for file in glob.glob({log.given.as_glob!r})).drop_duplicates({item.name!r})"
        ".to_csv('catalogue.csv', index=False)\""
    )


def _reader(table: TableProfile) -> str:
    """The pandas call that reads one ``file`` of a table."""
    given = table.given
    if given.format == "parquet":
        return "pandas.read_parquet(file)"
    more = f", encoding={given.dialect.encoding!r}" if given.dialect.encoding != "utf-8" else ""
    more += f", compression={given.compression!r}" if given.compression != "none" else ""
    if given.format == "jsonl":
        return f"pandas.read_json(file, lines=True, dtype=str{more})"
    return f"pandas.read_csv(file, sep={given.dialect.delimiter!r}, dtype=str{more})"


def _is_about(column: ColumnProfile, item: ColumnProfile, log: TableProfile) -> bool:
    """Whether nearly every item has one value of the column."""
    if column is item or column.distinct < 2 or len(column.present) < len(column.text) / 2:
        return False
    pairs = pa.table({"item": item.text, "value": column.text}).drop_null()
    counts = pairs.group_by("item").aggregate([("value", "count_distinct"), ("value", "count")])
    several = counts.filter(pc.greater(counts["value_count"], 1))
    alike = pc.mean(pc.equal(several["value_count_distinct"], 1)).as_py()
    return alike is not None and alike >= _ABOUT_ITS_ITEM
