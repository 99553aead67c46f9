"""A catalogue made of the event log's own columns: of each candidate the latest value of each column.

One pass over the log, in memory bounded by the catalogue: every batch is reduced to the latest values of the
candidates in it before it is kept.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.rows import Rows
from components.ingest.files.tables import check_columns, convert_or_refuse, read_batches
from components.ingest.plan import CandidatePlan
from components.ingest.validation import validate

_ID, _TIME, _VALUE = "id", "time", "value"
_WAITING_ROWS = 1 << 20
"""Reduced rows that wait, beside as many as are known, before they are merged."""


@dataclass
class _Latest:
    """The latest value of one column of each candidate.

    Attributes:
        column: The column.
        known: Reduced: of a candidate one row; id, time, value.
        waiting: Reduced batches, later in the log than what is known.
    """

    column: Column
    known: pa.Table | None = None
    waiting: list[pa.Table] = field(default_factory=list)

    def add(self, rows: pa.Table) -> None:
        """Takes rows of id, time and value; those without a value say nothing."""
        self.waiting.append(_reduced(rows.filter(pc.is_valid(rows[_VALUE]))))
        known = self.known.num_rows if self.known is not None else 0
        if sum(table.num_rows for table in self.waiting) > known + _WAITING_ROWS:
            self.merge()

    def merge(self) -> pa.Table | None:
        """All that is known, the waiting rows included."""
        if self.waiting:
            tables = [*([self.known] if self.known is not None else []), *self.waiting]
            self.known, self.waiting = _reduced(pa.concat_tables(tables)), []
        return self.known

    def of(self, ids: pa.Array) -> pa.Array:
        """[m] ids -> [m] values, null where none is known."""
        known = self.merge()
        if known is None:
            return pa.nulls(len(ids), self.column.arrow_type)
        values = known[_VALUE].combine_chunks()
        return values.take(pc.index_in(ids, value_set=known[_ID].combine_chunks()))


def catalogue_of_log(plan: CandidatePlan, log: Mapping[int, Sequence[str]]) -> pa.Table:
    """Reads the catalogue out of the log.

    Args:
        plan: Names the columns, and the log.
        log: Place of a source among the plan's to its files.

    Returns:
        The id and the plan's other columns, a row for each candidate of a usable row, ascending by id,
        bytewise. A value is the latest by time that is not missing; of several at one moment that of the
        later row, files in order of their source and name.

    Raises:
        UserError: If a file cannot be read or lacks a column, a usable row's cell is of the wrong type, or
            no row can be used.
    """
    assert plan.log is not None
    key = plan.candidates.id
    latest = [_Latest(column) for column in plan.columns if column.name != key]
    ids = pa.array([], pa.string())
    places = itertools.count()
    for number, files in log.items():
        source = plan.log.interactions.sources[number]
        names = [column.name for column in plan.log.columns(source)]
        names = list(dict.fromkeys([*names, *(column.name for column in plan.columns_in(source))]))
        check_columns(source, files, names)
        for file in files:
            place = next(places)
            for rows in read_batches(source, file, names):
                ids = pc.unique(pa.concat_arrays([ids, _add(plan, number, rows, place, latest)]))
    if not len(ids):
        files_read = ", ".join(file for files in log.values() for file in files)
        raise UserError(
            f"{files_read}: found no row that can be used, so there is no candidate. Expected interactions, "
            "of whose columns the catalogue is made (candidates.from: interactions). 'westwork validate' "
            "says what is wrong with the rows."
        )
    ids = ids.take(pc.sort_indices(ids))
    columns = {column.column.name: column.of(ids) for column in latest}
    return pa.table({key: ids, **columns})


def _add(
    plan: CandidatePlan, number: int, rows: Rows, file_number: int, latest: Sequence[_Latest]
) -> pa.Array:
    """Takes the values of usable rows; returns their candidates, each once."""
    assert plan.log is not None
    source = plan.log.interactions.sources[number]
    named = plan.log.candidate_column
    ids = named.convert(rows.batch.column(named.name)).values
    found = validate(rows, source, plan.log, pc.unique(ids.drop_null()), file_number)
    kept = pa.array(found.kept)
    ids = ids.filter(kept)
    usable = Rows(rows.file, rows.numbers[found.kept], rows.batch.filter(kept))
    for column in latest:
        if column.column.name not in source.lacks:
            values = convert_or_refuse(column.column, usable, plan.candidates.id, source.numerals)
            column.add(pa.table({_ID: ids, _TIME: found.interactions["timestamp"], _VALUE: values}))
    return pc.unique(ids)


def _reduced(rows: pa.Table) -> pa.Table:
    """The last row by time of each id; of several at one moment, the one that stands last."""
    if not rows.num_rows:
        return rows
    codes = rows[_ID].combine_chunks().dictionary_encode().indices.to_numpy()
    order = np.lexsort((rows[_TIME].to_numpy(), codes))
    codes = codes[order]
    last = np.append(codes[1:] != codes[:-1], True)
    return rows.take(pa.array(order[last])).combine_chunks()
