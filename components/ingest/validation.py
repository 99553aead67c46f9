"""Which rows of the event log can be used; for the others, why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.columns import as_text
from components.ingest.dead_letters import SCHEMA as DEAD_LETTER_SCHEMA
from components.ingest.plan import InteractionPlan
from components.ingest.tables import Rows, shorten

GOOD_SCHEMA = pa.schema(
    [
        ("query", pa.string()),
        ("candidate", pa.string()),
        ("timestamp", pa.int64()),
        ("rating", pa.float64()),
    ]
)
"""A usable interaction: ids, seconds since 1970 UTC, rating. No nulls."""
ROW_ORDER = [(name, "ascending") for name in ("query", "timestamp", "candidate", "rating")]
"""Sort keys that leave nothing to the order rows were read in."""


class _Check(NamedTuple):
    column: int
    fails: np.ndarray
    reason: str


def validate(
    rows: Rows, plan: InteractionPlan, candidate_ids: pa.Array
) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Parts usable rows from dead letters; every row read becomes exactly one of them.

    Args:
        rows: Rows with the plan's four columns, as in the file.
        plan: The declared columns and bounds.
        candidate_ids: [m] strings, the catalogue.

    Returns:
        Batches of :data:`GOOD_SCHEMA` and of :data:`~components.ingest.dead_letters.SCHEMA`, both in the
        file's order. A row with several faults is reported for the first, in column order.
    """
    cells = [rows.batch.column(column.name) for column in plan.columns]
    converted = [column.convert(array) for column, array in zip(plan.columns, cells, strict=True)]
    fault = np.full(len(rows.numbers), -1)
    checks = list(_checks(plan, [c.values for c in converted], [c.wrong for c in converted], candidate_ids))
    for index, check in enumerate(checks):
        fault[(fault < 0) & check.fails] = index
    usable = pa.array(fault < 0)
    good = pa.record_batch([c.values.filter(usable) for c in converted], schema=GOOD_SCHEMA)
    refused = [_letters(rows, plan, cells, check, fault == i) for i, check in enumerate(checks)]
    letters = pa.Table.from_batches([_malformed_letters(rows), *refused], schema=DEAD_LETTER_SCHEMA)
    letters = letters.sort_by("row").combine_chunks()
    bad = letters.to_batches()[0] if letters.num_rows else _no_letters()
    return good, bad


def _checks(
    plan: InteractionPlan, values: list[pa.Array], wrong: list[np.ndarray], candidate_ids: pa.Array
) -> Iterator[_Check]:
    query, candidate, timestamp, rating = range(4)
    missing = [array.is_null().to_numpy(zero_copy_only=False) for array in values]
    yield _Check(query, missing[query], "query id missing")
    yield _Check(candidate, missing[candidate], "candidate id missing")
    known = pc.is_in(values[candidate], value_set=candidate_ids).to_numpy(zero_copy_only=False)
    yield _Check(candidate, ~known, "candidate not in the catalogue")
    yield _Check(timestamp, wrong[timestamp], f"timestamp is not {plan.columns[timestamp].expected}")
    yield _Check(timestamp, missing[timestamp], "timestamp missing")
    yield _Check(rating, wrong[rating], "rating is not a finite number")
    yield _Check(rating, missing[rating], "rating missing")
    bounds = plan.interactions.rating
    ratings = values[rating].to_numpy(zero_copy_only=False)
    outside = ~((ratings >= bounds.minimum) & (ratings <= bounds.maximum))
    yield _Check(rating, outside, f"rating outside [{bounds.minimum:g}, {bounds.maximum:g}]")


def _letters(
    rows: Rows, plan: InteractionPlan, cells: list[pa.Array], check: _Check, chosen: np.ndarray
) -> pa.RecordBatch:
    count = int(chosen.sum())
    if not count:
        return _no_letters()
    values = pc.utf8_slice_codeunits(as_text(cells[check.column].filter(pa.array(chosen))), 0, 200)
    return pa.record_batch(
        [
            pa.repeat(rows.file, count),
            pa.array(rows.numbers[chosen], pa.int64()),
            pa.repeat(plan.columns[check.column].name, count),
            values,
            pa.repeat(check.reason, count),
        ],
        schema=DEAD_LETTER_SCHEMA,
    )


def _malformed_letters(rows: Rows) -> pa.RecordBatch:
    entries = [
        {
            "file": rows.file,
            "row": row.number,
            "column": None,
            "value": shorten(row.text),
            "reason": row.reason,
        }
        for row in rows.malformed
    ]
    return pa.RecordBatch.from_pylist(entries, schema=DEAD_LETTER_SCHEMA)


def _no_letters() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], schema=DEAD_LETTER_SCHEMA)
