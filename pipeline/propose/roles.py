"""Which table is the event log, which the catalogue, which describes the users: by keys and joins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.errors import UserError
from pipeline.propose import words
from pipeline.propose.chosen import Chosen, named, table_named
from pipeline.propose.joins import (
    JOINS,
    Join,
    find_joins,
    leaning,
    pick_joins,
    reconciled,
    repeated_columns,
)
from pipeline.propose.judgement import find_judgement, is_action
from pipeline.propose.no_roles import merge_command, no_log, no_query, wide_matrix
from pipeline.propose.profile import ColumnProfile, TableProfile
from pipeline.propose.who_what import (
    LogColumns,
    Who,
    head,
    is_amount,
    is_named_visit,
    is_person,
    item_of,
    log_columns,
    who_of,
)

_SAME_THINGS = 0.5
_ORDERS = frozenset({"timeframe", "time", "order", "seq", "sequence", "step", "offset", "position"})
_NO_TIES = 0.9
_DENSE = 0.2
"""Integers that fill so much of their range name nothing by themselves: any small number is among them."""
_FREQUENT = 20
_OF_NOBODY = 0.02
_OF_ONE = 0.2


@dataclass(frozen=True)
class Roles:
    """What each table is for.

    Attributes:
        logs: The event log, main table first; the others have the same key columns.
        query: Column of the log: who.
        candidate: Column of the log: what.
        timestamp: Column of the log: when; None where only the order of the rows says it.
        order_column: A column that orders a query's interactions better than ``timestamp`` does.
        is_visit: Whether ``query`` names visits (sessions, orders), not people who come back.
        catalogue: Joins ``candidate`` to the catalogue; None where the log is all there is.
        queries: Joins ``query`` to the table of users, if there is one.
        evidence: Key of the domain file to what speaks for the choice.
        unused: Tables without a role, and why.
        unsure: Role to what else it could have been.
    """

    logs: tuple[TableProfile, ...]
    query: ColumnProfile
    candidate: ColumnProfile
    timestamp: ColumnProfile | None
    order_column: ColumnProfile | None
    is_visit: bool
    catalogue: Join | None
    queries: Join | None
    evidence: dict[str, str]
    unused: tuple[tuple[TableProfile, str], ...]
    unsure: dict[str, str]

    @property
    def log(self) -> TableProfile:
        """The main table of the event log."""
        return self.logs[0]


def find_roles(tables: Sequence[TableProfile], chosen: Chosen | None = None) -> Roles:
    """Decide by times, keys, joins, recurrence and, where these leave a choice, by names.

    Args:
        tables: All tables.
        chosen: What the user says instead.

    Raises:
        UserError: If there is no event log. Says what is missing and how to make it.
    """
    chosen = chosen or Chosen()
    chosen.check(tables)
    log = _find_log(tables, chosen)
    log, tables = reconciled(log, tables)
    unsure: dict[str, str] = {}
    evidence: dict[str, str] = {}
    timestamp = named(log, chosen.time) or _timestamp_of(log, unsure)
    columns = log_columns(log, timestamp, _seconds(timestamp))
    joins = find_joins(log, tables)
    picked = pick_joins(_allowed(joins, log, chosen))
    catalogue = _catalogue_of(picked, log, chosen, unsure)
    candidate = catalogue.column if catalogue else named(log, chosen.item)
    if candidate is None:
        candidate, evidence["interactions.candidate_id"], doubt = item_of(columns)
        unsure["interactions.candidate_id"] = doubt
    if candidate is None:
        raise UserError(no_query(log, tables))
    events = [
        join for join in picked if join is not catalogue and _is_log_too(join.table, candidate, timestamp)
    ]
    picked = [join for join in picked if join not in events]
    queries = _queries_of(log, picked, catalogue, columns, chosen, unsure) if catalogue else None
    who = _who(log, columns, candidate, queries, chosen)
    if who is None:
        raise UserError(no_query(log, tables))
    log, who = _without_nobody(log, who)
    if who.is_visit and not chosen.user:
        who = replace(
            who, unsure="; ".join(filter(None, (who.unsure, _who_elsewhere(log, who.column, joins))))
        )
    if queries is None:
        queries = next((join for join in picked if join.column is who.column and join is not catalogue), None)
    evidence["interactions.query_id"] = who.evidence
    unsure["interactions.query_id"] = who.unsure
    more, others = _more_logs(log, tables, (who.column, candidate, timestamp), catalogue)
    used = [log, *more, *([catalogue.table] if catalogue else []), *([queries.table] if queries else [])]
    files = {file for table in used for file in table.given.files}
    unused = tuple(
        (table, others.get(table.given.label) or _why_unused(table, joins, catalogue))
        for table in tables
        if not files & set(table.given.files)
    )
    order = _order_column((log, *more), who, timestamp)
    return Roles(
        (log, *more), who.column, candidate, timestamp, order, who.is_visit, catalogue, queries,
        evidence, unused, {key: doubt for key, doubt in unsure.items() if doubt},
    )  # fmt: skip


def _is_log_too(table: TableProfile, item: ColumnProfile, timestamp: ColumnProfile | None) -> bool:
    """Whether a table has an item and a time in each row, and the items come again."""
    same = _same(item, table, item.values)
    return same is not None and same not in table.keys and _when(table, timestamp) is not None


def _seconds(timestamp: ColumnProfile | None) -> pa.Array | None:
    return timestamp.moments.seconds_of(timestamp.cells) if timestamp and timestamp.moments else None


def _find_log(tables: Sequence[TableProfile], chosen: Chosen) -> TableProfile:
    """The table with a time and two columns that repeat; best one that joins, and is not joined."""
    able = [table for table in tables if chosen.fits(table)]
    if not chosen.columns:
        able = [table for table in able if len(repeated_columns(table)) >= 2 and not is_long_form(table)]
    catalogue = table_named(tables, chosen.catalogue) if chosen.catalogue else None
    users = table_named(tables, chosen.users) if chosen.users else None
    able = [table for table in able if table is not catalogue and table is not users]
    wide = next((advice for table in tables if (advice := wide_matrix(table))), None)
    timed = [table for table in able if any(column.moments for column in table.columns)]
    if not timed and wide and not chosen.columns:
        raise UserError(wide)
    found = [(log, find_joins(log, tables)) for log in timed or able]
    if not timed and not chosen.columns:
        # Without a time a table of two columns that repeat may be anything: something else must speak for it.
        found = [(log, joins) for log, joins in found if joins or _says_who_and_what(log)]
    if not found:
        raise UserError(no_log(tables))
    # A catalogue with times and categories looks like a log, but is what a log joins.
    joined = {join.table.given.files[-1] for _, joins in found for join in joins}
    best, _ = max(
        found,
        key=lambda item: (
            item[0].given.files[-1] not in joined,
            _says_who_and_what(item[0]),
            bool(item[1]),
            item[0].sample.total,
        ),
    )
    return best


def _says_who_and_what(table: TableProfile) -> bool:
    ids = repeated_columns(table)
    return any(map(is_person, ids)) and any(leaning(column.words) > 0 for column in ids)


def is_long_form(table: TableProfile) -> bool:
    """Whether each row is one property of something: its name in one column, its value in another."""
    names = {head(column): column for column in table.columns}
    keys = [column for word, column in names.items() if word in words.PROPERTIES]
    return bool(keys) and "value" in names and keys[0].distinct < 0.5 * len(keys[0].text)


def _allowed(joins: Sequence[Join], log: TableProfile, chosen: Chosen) -> list[Join]:
    """The joins that what the user says leaves."""
    user, item, time = (named(log, name) for name in (chosen.user, chosen.item, chosen.time))
    tables = {
        kind: name for kind, name in (("item", chosen.catalogue), ("user", chosen.users)) if name is not None
    }
    allowed = []
    for join in joins:
        if join.column is time:
            continue
        rival = chosen.catalogue and join.leaning >= 0 and not is_person(join.column)
        if rival and table_named([join.table], chosen.catalogue or "") is None:
            continue
        is_catalogue = chosen.catalogue and table_named([join.table], chosen.catalogue) is join.table
        is_users = chosen.users and table_named([join.table], chosen.users) is join.table
        if is_catalogue and (join.column is user or (item and join.column is not item)):
            continue
        if is_users and (join.column is item or (user and join.column is not user)):
            continue
        if tables.get("item") == "none" and join.column is item:
            continue
        allowed.append(join)
    return allowed


def _catalogue_of(
    picked: Sequence[Join], log: TableProfile, chosen: Chosen, unsure: dict[str, str]
) -> Join | None:
    if chosen.catalogue == "none":
        return None
    if chosen.catalogue:
        named_join = next((j for j in picked if table_named([j.table], chosen.catalogue)), None)
        if named_join is None:
            raise UserError(
                f"--catalogue {chosen.catalogue}: none of its columns is a key in which at least "
                f"{JOINS:.0%} of "
                f"the rows of {log.given.label} find theirs. Expected one row an item, with the item's id. "
                "Name another table, or --catalogue none to make the catalogue of the log's own columns."
            )
        return named_join
    user, item = named(log, chosen.user), named(log, chosen.item)
    able = [
        join for join in picked if join.rate >= JOINS and join.leaning >= 0 and not is_person(join.column)
    ]
    able = [join for join in able if join.column is not user and (item is None or join.column is item)]
    if chosen.users:
        able = [join for join in able if not table_named([join.table], chosen.users)]
    if item is None:
        able = [join for join in able if not _follows_from_an_item(join, log)]
    if not able:
        return None
    best = max(able, key=_evidence_of)
    rivals = [join for join in able if join is not best and join.leaning == best.leaning]
    if rivals:
        others = ", ".join(f"{join.table.given.label} by {join.column.name}" for join in rivals)
        unsure["candidates"] = f"the catalogue could also be {others}: --catalogue names it"
    elif best.leaning == 0:
        unsure["candidates"] = "no name says that these are the things to recommend; only the join does"
    return best


def _evidence_of(join: Join) -> tuple[float, ...]:
    """What speaks for a catalogue: names, the join, and how much it knows of its items."""
    return join.leaning, round(join.rate, 2), len(join.table.columns), join.table.sample.total


def _follows_from_an_item(join: Join, log: TableProfile) -> bool:
    """Whether a table is about something coarser, such as categories, than a column called an item."""
    if join.leaning > 0:
        return False
    return any(
        column is not join.column and leaning(column.words) > 0 and column.distinct > join.column.distinct
        for column in repeated_columns(log)
    )


def _queries_of(
    log: TableProfile,
    picked: Sequence[Join],
    catalogue: Join,
    columns: LogColumns,
    chosen: Chosen,
    unsure: dict[str, str],
) -> Join | None:
    if chosen.users == "none":
        return None
    rest = [join for join in picked if join is not catalogue]
    user = named(log, chosen.user)
    if user is not None:
        return next((join for join in rest if join.column is user), None)
    if chosen.users:
        return next((join for join in rest if table_named([join.table], chosen.users)), None)
    rest = [join for join in rest if not columns.follows(catalogue.column, join.column)]
    people = [join for join in rest if join.leaning < 0]
    if people:
        return max(people, key=lambda join: (join.rate, join.column.distinct))
    if any(map(is_person, repeated_columns(log))):
        return None
    rest = [join for join in rest if not columns.is_visit(join.column)]
    if not rest:
        return None
    best = max(rest, key=lambda join: join.column.distinct)
    unsure["queries"] = f"no name says that {best.table.given.label} is about users; only the join does"
    return best


def _who(
    log: TableProfile, columns: LogColumns, item: ColumnProfile, queries: Join | None, chosen: Chosen
) -> Who | None:
    user = named(log, chosen.user)
    if user is not None:
        return Who(user, columns.is_visit(user), f"{user.distinct:,} different values; named by --user", "")
    if queries is not None:
        return Who(
            queries.column, False, f"{queries.column.distinct:,} different values; {queries.evidence}", ""
        )
    return who_of(columns, item)


def _who_elsewhere(log: TableProfile, visit: ColumnProfile, joins: Sequence[Join]) -> str:
    """Where a table with a row for each visit says who made it: the command that adds that to the log."""
    for join in joins:
        people = [column for column in join.table.columns if is_person(column) and column.could_be_id]
        if join.column is not visit or not people:
            continue
        names = [join.key.name, people[0].name, *(c.name for c in join.table.columns if c.moments)]
        theirs = join.table.given.label
        return (
            f"{people[0].name} in {theirs} says who made each {visit.name}; the log does not, so nobody "
            f"comes back in it. This adds it to the log; give init merged.csv in the place of "
            f"{log.given.label} and {theirs}:\n  {merge_command(log, join, names)}"
        )
    return ""


def _without_nobody(log: TableProfile, who: Who) -> tuple[TableProfile, Who]:
    """The log and the column of who without ids that stand for nobody, such as -1 in a tenth of the rows."""
    column = who.column
    rows = len(column.text)
    frequent = list(zip(column.values.slice(0, _FREQUENT).to_pylist(), column.counts.tolist(), strict=False))
    usual = next((count for value, count in frequent if value.lower() not in words.NOBODY), 1)
    nobody = [
        value
        for value, count in frequent
        if value.lower() in words.NOBODY and count >= max(2, _OF_NOBODY * rows) and count >= usual
    ]
    if nobody:
        shown = ", ".join(nobody)
        share = sum(count for value, count in frequent if value in nobody) / rows
        why = f"{share:.1%} of the rows have {shown} as {column.name}: taken for nobody"
        absent = tuple(int(value) if column.shape == "integer" else value for value in nobody)
        log = log.with_missing(column, absent, why)
        return log, replace(who, column=log.column(column.name))
    if len(frequent) > 2 and frequent[0][1] >= max(_OF_ONE * rows, 10 * frequent[1][1]):
        doubt = (
            f"{frequent[0][0]} has {frequent[0][1] / rows:.0%} of the rows: if it stands for nobody, say "
            f"missing: {{{column.declared}: [{frequent[0][0]!r}]}} and where: {{{column.declared}: present}}"
        )
        return log, replace(who, unsure="; ".join(filter(None, (who.unsure, doubt))))
    return log, who


def _timestamp_of(log: TableProfile, unsure: dict[str, str]) -> ColumnProfile | None:
    able = [column for column in log.columns if column.moments]
    if not able:
        return None
    best = max(
        able,
        key=lambda c: (c.moments.named, c.missing_share < 0.5, c.moments.distinct, -log.columns.index(c)),  # type: ignore[union-attr]
    )
    others = [column.name for column in able if column is not best]
    if others:
        unsure["interactions.timestamp"] = f"could also be {', '.join(others)}: --time names it"
    elif best.moments and best.moments.unit and not best.moments.named:
        unsure["interactions.timestamp"] = "the name says nothing of time, only the numbers fit"
    return best


def _order_column(
    logs: Sequence[TableProfile], who: Who, timestamp: ColumnProfile | None
) -> ColumnProfile | None:
    """A number that orders the rows of a visit, where the time says its day only."""
    if not who.is_visit or timestamp is None or timestamp.moments is None or not timestamp.moments.days_only:
        return None
    shared = set.intersection(*({column.declared for column in log.columns} for log in logs))
    for column in logs[0].columns:
        if column.declared not in shared:
            continue
        if column.shape == "integer" and head(column) in _ORDERS and column.missing_share == 0:
            pairs = pa.table({"q": who.column.text, "o": column.text})
            if pairs.group_by(["q", "o"]).aggregate([]).num_rows >= _NO_TIES * pairs.num_rows:
                return column
    return None


def _more_logs(
    log: TableProfile,
    tables: Sequence[TableProfile],
    keys: tuple[ColumnProfile, ColumnProfile, ColumnProfile | None],
    catalogue: Join | None,
) -> tuple[list[TableProfile], dict[str, str]]:
    """The other tables of the log, their key columns declared under the main one's names.

    Returns:
        The tables, and of those that are like the log but no part of it the label to the reason.
    """
    more, others = [], {}
    query, candidate, timestamp = keys
    for table in tables:
        if table is log or (catalogue and table.given.files == catalogue.table.given.files):
            continue
        if is_long_form(table) or (timestamp is None) != (not any(c.moments for c in table.columns)):
            continue
        item = _same(candidate, table, catalogue.mentioned if catalogue else candidate.values)
        who = _same(query, table, query.values, but=item)
        when = _when(table, timestamp)
        if item is None or who is None or item in table.keys:
            continue
        if timestamp is None:
            when = None
        elif when is None:
            continue
        if reason := _another_matter(table, log, keys):
            others[table.given.label] = reason
            continue
        if "header" in table.given.dialect.keys:
            table = _apart(table, {item.name, who.name, *([when.name] if when else [])})
        for column, declared in ((item, candidate), (who, query), (when, timestamp)):
            if column is not None and declared is not None and column.declared != declared.declared:
                table = _declared_as(table, column.name, declared.declared)
        more.append(table)
    return more, others


def _another_matter(
    table: TableProfile,
    log: TableProfile,
    keys: tuple[ColumnProfile, ColumnProfile, ColumnProfile | None],
) -> str:
    """Why a table with the log's keys is no part of the log; empty where it is one.

    Sources share one rating and one column of actions: a table without them would cost the log its own.
    """
    if is_action(log.given.stem) and is_action(table.given.stem):
        return ""
    judged = find_judgement([log], [column for column in keys if column])
    column = judged.rating or judged.action_column
    theirs = {other.declared.lower() for other in table.columns}
    if column is not None and column.declared.lower() not in theirs:
        what = "rating" if judged.rating else "action"
        return (
            f"it has who, what and when, but no {what} as {log.given.label} has in {column.name}; as a "
            "second source "
            f"it would take the {what} from all rows. To use it, add a column {column.name} to it"
        )
    ours = {other.declared.lower() for other in log.columns}
    texts = [c.name for c in table.columns if c.declared.lower() not in ours and _is_written(c)]
    if texts and not is_action(table.given.stem):
        return f"its {', '.join(texts)} holds what people wrote: other events than those of {log.given.label}"
    return ""


def _is_written(column: ColumnProfile) -> bool:
    """Whether the cells are people's own words: many different ones, of more than a word."""
    several = len(column.words_per_cell) and column.words_per_cell.mean() >= 1.5
    return column.shape == "text" and column.moments is None and column.distinct > 20 and bool(several)


def _declared_as(table: TableProfile, name: str, declared: str) -> TableProfile:
    """The table with a column under a name; another column that has the name gets a second."""
    for other in table.columns:
        if other.declared.lower() == declared.lower() and other.name != name:
            table = table.renamed(other, f"{other.declared}_2")
    return table.renamed(table.column(name), declared)


def _apart(table: TableProfile, keys: set[str]) -> TableProfile:
    """The table with names of its own for columns without a header: places mean something else elsewhere."""
    for column in table.columns:
        if column.name not in keys:
            table = table.renamed(table.column(column.name), f"{table.given.stem}_{column.declared}")
    return table


def _same(
    column: ColumnProfile, table: TableProfile, values: pa.Array, but: ColumnProfile | None = None
) -> ColumnProfile | None:
    """The table's column of the same things: by its name, else by its values."""
    able = [c for c in table.columns if c.could_be_id and c is not but and not is_amount(c)]
    for other in able:
        if other.declared == column.declared:
            return other
    found = []
    for other in able:
        rate = pc.mean(pc.is_in(other.present, value_set=values)).as_py() if len(other.present) else 0.0
        lean = leaning(other.words) * (1 if leaning(column.words) >= 0 else -1)
        if column.shape == "integer" and (lean < 0 or is_named_visit(other) != is_named_visit(column)):
            continue
        if rate >= _SAME_THINGS and other.distinct >= 2 and not _by_chance(column, other, values):
            found.append((lean, rate, -table.columns.index(other), other))
    return max(found, key=lambda item: item[:3])[3] if found else None


def _by_chance(column: ColumnProfile, other: ColumnProfile, values: pa.Array) -> bool:
    """Whether one column's integers may be among the other's for being small, not for meaning the same."""
    if column.shape != "integer" or set(column.words) & set(other.words) - {"id"}:
        return False
    span = column.numbers.max() - column.numbers.min() + 1
    dense = column.distinct >= _DENSE * span
    return bool(dense and other.distinct < _SAME_THINGS * len(values))


def _when(table: TableProfile, timestamp: ColumnProfile | None) -> ColumnProfile | None:
    """The table's column of time that is read as the main one is."""
    if timestamp is None or timestamp.moments is None:
        return None
    able = [c for c in table.columns if c.moments and c.moments.reads_like(timestamp.moments)]
    same = [c for c in able if c.declared == timestamp.declared]
    best = sorted(same or able, key=lambda column: not (column.moments and column.moments.named))
    return best[0] if best else None


def _why_unused(table: TableProfile, joins: Sequence[Join], catalogue: Join | None) -> str:
    if is_long_form(table):
        return _long_form_advice(table)
    joined = next((join for join in joins if join.table is table and join.names_alike), None)
    if joined and catalogue and joined.column is catalogue.column:
        return (
            f"joins the log by {joined.column.name}, as {catalogue.table.given.label} does, which says more "
            f"of each; --catalogue {table.given.label} takes it"
        )
    if joined:
        return f"joins the log by {joined.column.name}, which is neither who nor what"
    if table.keys:
        return "its key is no column of the log"
    return "has no key (a column with a value of its own in every row) and is not like the log"


def _long_form_advice(table: TableProfile) -> str:
    names = {head(column): column.name for column in table.columns}
    key = next(name for word, name in names.items() if word in words.PROPERTIES)
    ids = [column for column in table.columns if column.could_be_id and leaning(column.words) > 0]
    item = ids[0].name if ids else table.columns[0].name
    return (
        f"it is in long form, one row a {key} of each {item}. As a catalogue with a column for each: "
        "python -c "
        '"import glob, pandas; pandas.concat(map(pandas.read_csv, '
        f"sorted(glob.glob({table.given.as_glob!r})))"
        f").pivot_table(index={item!r}, columns={key!r}, values={names['value']!r}, aggfunc='last')"
        ".to_csv('catalogue.csv')\""
    )
