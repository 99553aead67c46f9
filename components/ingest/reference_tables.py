"""The tables an event log refers to, read whole: the catalogue's ids and the queries' attributes."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from components.ingest.columns import Column
from components.ingest.plan import InteractionPlan
from components.ingest.tables import read_columns


def read_candidate_ids(plan: InteractionPlan, files: Sequence[str]) -> pa.Array:
    """[m] strings: the catalogue's ids, ascending bytewise.

    Raises:
        UserError: See :func:`~components.ingest.tables.read_columns`.
    """
    key = plan.candidates.id
    return read_columns(plan.candidates, files, [Column(name=key)], key)[key].combine_chunks()


def read_query_attributes(plan: InteractionPlan, files: Sequence[str]) -> pa.Table:
    """The queries table, typed, by id.

    Raises:
        UserError: See :func:`~components.ingest.tables.read_columns`.
    """
    assert plan.queries is not None
    key = plan.queries.id
    others = [column for column in plan.attributes if column.name != key]
    return read_columns(plan.queries, files, [Column(name=key), *others], key)
