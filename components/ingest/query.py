"""What the data knows of one query, read when its recommendations are asked for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import Declaration, Table
from components.ingest.examples import string_entries
from components.ingest.files.columns import Column
from components.ingest.files.rows import Rows
from components.ingest.files.tables import check_columns, newness, read_batches, table_files
from components.ingest.partition import Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.reference_tables import read_candidate_ids, with_stubs
from components.ingest.validation import validate


@dataclass(frozen=True)
class QueryRecord:
    """One query (user), as of a moment, or of the latest interaction in the data.

    Attributes:
        query_id: Its id.
        known: Whether it has an interaction, be it a later one, or a row in the queries table.
        attributes: Declared attribute to value: str, float, int (moments: seconds) or list of str; None
            where missing. Without the context.
        history: Candidate ids of the latest interactions of the history's actions (by default the positive
            ones), oldest first, as many as declared.
        history_timestamps: When they happened, seconds since 1970 UTC; without time, their places among the
            query's interactions, from 0.
        history_actions: Their actions, where those tell them apart; else empty.
        seen: Every candidate id it had interacted with, each once, in order of first interaction.
        latest_in_log: When anybody's latest interaction happened, whatever the moment: seconds since 1970
            UTC; None without any, and without time.
        next_place: Without time, the place that the query's next interaction would have; None with time.
    """

    query_id: str
    known: bool
    attributes: dict[str, Any]
    history: list[str]
    history_timestamps: list[int]
    history_actions: list[str]
    seen: list[str]
    latest_in_log: int | None
    next_place: int | None = None


def read_query(
    declaration: Declaration, data_dir: str, query_id: str, moment: int | None = None
) -> QueryRecord:
    """Looks one query up in the user's tables, by the rules of ingestion.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
        query_id: Whose record.
        moment: Seconds since 1970 UTC: only strictly earlier interactions count, as for a history in
            ingestion; None: all of them.

    Raises:
        UserError: If a table is missing, unreadable or lacks a column.
    """
    plan = InteractionPlan.of(declaration)
    log, latest_in_log, has_any = _interactions_of(plan, data_dir, query_id, moment)
    latest = log.events[-plan.history.length :]
    attributes = _attributes_of(plan, data_dir, query_id)
    return QueryRecord(
        query_id=query_id,
        known=has_any or attributes is not None,
        attributes=attributes or {column.name: None for column in plan.attributes},
        history=log.candidates.take(pa.array(latest)).to_pylist(),
        history_timestamps=log.moments[latest].tolist(),
        history_actions=log.actions(latest) if plan.history_actions else [],
        seen=log.candidates.unique().to_pylist(),
        latest_in_log=latest_in_log,
        next_place=None if plan.interactions.timestamp.has_time else int(log.moments.max(initial=-1)) + 1,
    )


def _interactions_of(
    plan: InteractionPlan, data_dir: str, query_id: str, moment: int | None
) -> tuple[Partition, int | None, bool]:
    """The query's usable interactions, in ingestion's order and without its duplicates.

    Args:
        plan: How to read the log.
        data_dir: Where it is.
        query_id: Whose.
        moment: Only interactions strictly earlier than that second; None: all.

    Returns:
        The interactions, the log's end, and whether the query has any interaction, later ones included.
    """
    moments: list[int] = []

    def note_latest(rows: Rows, table: Table) -> None:
        column = plan.timestamp_column
        if column is None or not plan.interactions.timestamp.has_time:
            return
        latest = pc.max(column.convert(rows.batch.column(column.name), table.numerals).values).as_py()
        moments.extend([] if latest is None else [latest])

    knows_all = bool(plan.candidates.made_from) or plan.interactions.unknown_candidates == "stub"
    known = pa.array([], pa.string())
    if not plan.candidates.made_from:
        known = read_candidate_ids(plan, table_files(plan.candidates, data_dir, spans=1))
    batches, places = [], itertools.count()
    for source in plan.interactions.sources:
        files = table_files(source, data_dir, plan.interactions.spans)
        place_of = {file: next(places) for file in files}
        for rows in _rows_of(source, files, plan.columns(source), query_id, note_latest):
            if knows_all:
                known = _with_candidates_of(rows, plan, known)
            batches.append((rows, source, place_of[rows.file]))
    usable = [validate(rows, source, plan, known, place).usable for rows, source, place in batches]
    has_any = any(batch.num_rows for batch in usable)
    if moment is not None:
        usable = [batch.filter(pc.less(batch["timestamp"], moment)) for batch in usable]
    partition = Partition(plan, Catalogue(known, string_entries(known)), usable, None)
    return partition, max(moments, default=None), has_any


def _with_candidates_of(rows: Rows, plan: InteractionPlan, known: pa.Array) -> pa.Array:
    """[m] ids of the catalogue, and those that only these rows know."""
    column = plan.candidate_column
    ids = column.convert(rows.batch.column(column.name)).values.drop_null()
    return with_stubs(known, pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=known)))))


def _attributes_of(plan: InteractionPlan, data_dir: str, query_id: str) -> dict[str, Any] | None:
    """The query's row of the queries table; None where it has none."""
    if plan.queries is None:
        return None
    key = Column(name=plan.queries.id, type="id")
    others = [column for column in plan.attributes if column.name != key.name]
    ordering = plan.queries.ordering
    columns = list({c.name: c for c in (*([Column(name=ordering)] if ordering else []), *others)}.values())
    best, found = None, None
    files = table_files(plan.queries, data_dir, spans=1)
    for rows in _rows_of(plan.queries, files, [key, *(c for c in columns if c.name != key.name)], query_id):
        new = (
            newness(rows, ordering, plan.queries.numerals).to_numpy()
            if ordering
            else np.zeros(len(rows.numbers))
        )
        for row in range(len(new)):
            later = (
                best is None or new[row] > best or (new[row] == best and plan.queries.duplicates == "last")
            )
            if later:
                best = new[row]
                found = {
                    column.name: column.convert(rows.batch.column(column.name), plan.queries.numerals)
                    .values[row]
                    .as_py()
                    for column in plan.attributes
                }
    return found


def _rows_of(
    table: Table,
    files: Sequence[str],
    columns: Sequence[Column],
    query_id: str,
    note: Callable[[Rows, Table], None] = lambda _, __: None,
) -> Iterator[Rows]:
    """The rows whose first column is the query's id, never an empty batch; ``note`` is called with all."""
    names = [column.name for column in columns]
    check_columns(table, files, names)
    for file in files:
        for rows in read_batches(table, file, names):
            note(rows, table)
            mine = pc.equal(columns[0].convert(rows.batch.column(names[0])).values, query_id)
            chosen = np.flatnonzero(pc.fill_null(mine, False).to_numpy(zero_copy_only=False))
            if len(chosen):
                yield Rows(file, rows.numbers[chosen], rows.batch.take(pa.array(chosen)))
