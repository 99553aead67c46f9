"""What the data knows of one query, read when its recommendations are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.columns import Column
from components.ingest.declaration import Declaration, Table
from components.ingest.plan import InteractionPlan
from components.ingest.reference_tables import read_candidate_ids
from components.ingest.tables import Rows, check_columns, read_batches, table_files
from components.ingest.validation import GOOD_SCHEMA, ROW_ORDER, validate


@dataclass(frozen=True)
class QueryRecord:
    """One query (user), as of the latest interaction in the data.

    Attributes:
        query_id: Its id.
        known: Whether it has an interaction or a row in the queries table.
        attributes: Declared attribute to value: str, float, int (moments: seconds) or list of str; None
            where missing. Without the context.
        history: Candidate ids of the latest positive interactions, oldest first, as many as declared.
        history_timestamps: When they happened, seconds since 1970 UTC.
        seen: Every candidate id it ever interacted with, each once, in order of first interaction.
    """

    query_id: str
    known: bool
    attributes: dict[str, Any]
    history: list[str]
    history_timestamps: list[int]
    seen: list[str]


def read_query(declaration: Declaration, data_dir: str, query_id: str) -> QueryRecord:
    """Looks one query up in the user's tables, by the rules of ingestion.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
        query_id: Whose record.

    Raises:
        UserError: If a table is missing, unreadable or lacks a column.
    """
    plan = InteractionPlan.of(declaration)
    log = _interactions_of(plan, data_dir, query_id)
    positive = log.filter(pc.greater_equal(log["rating"], plan.interactions.rating.positive_from))
    latest = positive.slice(max(0, positive.num_rows - plan.history.length))
    attributes = _attributes_of(plan, data_dir, query_id)
    return QueryRecord(
        query_id=query_id,
        known=log.num_rows > 0 or attributes is not None,
        attributes=attributes or {column.name: None for column in plan.attributes},
        history=latest["candidate"].to_pylist(),
        history_timestamps=latest["timestamp"].to_pylist(),
        seen=list(dict.fromkeys(log["candidate"].to_pylist())),
    )


def _interactions_of(plan: InteractionPlan, data_dir: str, query_id: str) -> pa.Table:
    """The query's usable interactions, in ingestion's order."""
    files = table_files(plan.interactions, data_dir)
    candidate_ids = read_candidate_ids(plan, table_files(plan.candidates, data_dir))
    batches = [
        validate(rows, plan, candidate_ids)[0]
        for rows in _rows_of(plan.interactions, files, plan.columns, query_id)
    ]
    log = pa.Table.from_batches(batches, schema=GOOD_SCHEMA)
    return log.sort_by(ROW_ORDER)


def _attributes_of(plan: InteractionPlan, data_dir: str, query_id: str) -> dict[str, Any] | None:
    """The query's row of the queries table; None where it has none."""
    if plan.queries is None:
        return None
    key = Column(name=plan.queries.id)
    others = [column for column in plan.attributes if column.name != key.name]
    for rows in _rows_of(plan.queries, table_files(plan.queries, data_dir), [key, *others], query_id):
        return {
            column.name: column.convert(rows.batch.column(column.name)).values[0].as_py()
            for column in plan.attributes
        }
    return None


def _rows_of(table: Table, files: Sequence[str], columns: Sequence[Column], query_id: str) -> Iterator[Rows]:
    """The rows whose first column is the query's id; never an empty batch."""
    names = [column.name for column in columns]
    check_columns(table, files, names)
    for file in files:
        for rows in read_batches(table, file, names):
            mine = pc.equal(columns[0].convert(rows.batch.column(names[0])).values, query_id)
            chosen = np.flatnonzero(pc.fill_null(mine, False).to_numpy(zero_copy_only=False))
            if len(chosen):
                yield Rows(file, rows.numbers[chosen], rows.batch.take(pa.array(chosen)))
