"""The tables an event log refers to: the catalogue's ids, and the queries' attributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import check_columns, read_batches, read_columns, typed_batches
from components.ingest.plan import InteractionPlan
from components.ingest.validation import validate

OWNER_FILE, OWNER_ROW = "file:", "row:"
"""Columns beside the attributes: which of the table's files a row is from, and its number there."""


def read_candidate_ids(plan: InteractionPlan, files: Sequence[str]) -> pa.Array:
    """[m] strings: the catalogue's ids, ascending bytewise, without stubs.

    Raises:
        UserError: See :func:`~components.ingest.files.tables.read_columns`.
    """
    key = plan.candidates.id
    return read_columns(plan.candidates, files, [Column(name=key, type="id")], key)[key].combine_chunks()


def stub_ids(plan: InteractionPlan, log: Mapping[int, Sequence[str]], candidate_ids: pa.Array) -> pa.Array:
    """The candidates that only the log knows.

    Args:
        plan: The plan; its policy asks for stubs, or the catalogue is made of the log.
        log: Place of a source among the plan's to its files.
        candidate_ids: [m] strings, the catalogue's own.

    Returns:
        Distinct strings, ascending bytewise: what rows call their candidate that have no other fault.
    """
    unknown = pa.array([], pa.string())
    for number, files in log.items():
        source = plan.interactions.sources[number]
        names = [column.name for column in plan.columns(source)]
        check_columns(source, files, names)
        for file in files:
            for rows in read_batches(source, file, names):
                ids = plan.candidate_column.convert(rows.batch.column(plan.candidate_column.name)).values
                known = pa.concat_arrays([candidate_ids, unknown])
                fresh = pc.unique(ids.filter(pc.invert(pc.is_in(ids, value_set=known))).drop_null())
                if not len(fresh):
                    continue
                # Only the ids that a usable row carries: as if they were in the catalogue, what is left?
                usable = validate(rows, source, plan, fresh).interactions["candidate"]
                unknown = pa.concat_arrays([unknown, fresh.take(pc.unique(usable))])
    return unknown.take(pc.sort_indices(unknown))


def with_stubs(candidate_ids: pa.Array, stubs: pa.Array) -> pa.Array:
    """The catalogue's ids and the stubs together, ascending bytewise."""
    ids = pa.concat_arrays([candidate_ids, stubs])
    return ids.take(pc.sort_indices(ids))


def attribute_batches(plan: InteractionPlan, number: int, file: str) -> Iterator[pa.RecordBatch]:
    """Streams a file of the queries table, typed.

    Args:
        plan: Names the table and the columns.
        number: The file's place among the table's, put into every row.
        file: Its path.

    Yields:
        Batches of the id, the attributes, perhaps
        :data:`~components.ingest.files.tables.NEWNESS`, :data:`OWNER_FILE` and :data:`OWNER_ROW`.

    Raises:
        UserError: For a cell of the wrong type or a row without id.
    """
    assert plan.queries is not None
    key = plan.queries.id
    columns = [Column(name=key, type="id"), *(column for column in plan.attributes if column.name != key)]
    for rows in typed_batches(plan.queries, file, columns, key):
        owner = pa.repeat(pa.scalar(number, pa.int32()), rows.batch.num_rows)
        arrays = [*rows.batch.columns, owner, pa.array(rows.numbers, pa.int64())]
        yield pa.record_batch(arrays, names=[*rows.batch.schema.names, OWNER_FILE, OWNER_ROW])


def refuse_repeated_queries(table: pa.Table, key: str, files: Sequence[str]) -> None:
    """Insists on one row a query.

    Args:
        table: Rows of :func:`attribute_batches`.
        key: Name of the id.
        files: The table's files.

    Raises:
        UserError: If an id comes twice; names both rows.
    """
    order = pc.sort_indices(table, sort_keys=[(name, "ascending") for name in (key, OWNER_FILE, OWNER_ROW)])
    rows = table.take(order)
    ids = rows[key].combine_chunks()
    same = pc.equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False) if len(ids) > 1 else np.zeros(0, bool)
    if not same.any():
        return
    first = int(np.flatnonzero(same)[0])
    places = [
        f"{files[rows[OWNER_FILE][at].as_py()]}, row {rows[OWNER_ROW][at].as_py()}"
        for at in (first, first + 1)
    ]
    raise UserError(
        f"id {ids[first].as_py()!r} comes twice: {places[0]}, and {places[1]} (column {key!r}). Expected one "
        "row an id. Remove or merge the repeated rows."
    )
