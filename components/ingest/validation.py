"""Which rows of the event log can be used; for the others, why not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.conditions import parse_condition
from components.ingest.dead_letters import SCHEMA as DEAD_LETTER_SCHEMA
from components.ingest.declaration import ColumnSplit, Source
from components.ingest.event_order import LARGEST_EXACT, row_places
from components.ingest.files.columns import Column, as_text
from components.ingest.files.condition_masks import all_held, expected_of
from components.ingest.files.rows import SHOWN_CHARACTERS, Rows, shorten
from components.ingest.plan import InteractionPlan, seconds_of
from components.ingest.split import SPLITS

_CONTEXT = "context:"
_LAST_POSITION = 2**31 - 1


def context_field(name: str) -> str:
    """What a context column is called among the usable rows, where it must not clash with others."""
    return _CONTEXT + name


def usable_schema(plan: InteractionPlan) -> pa.Schema:
    """Usable interactions, as they go from validation to the partitions.

    ``query``: id. ``candidate``: int32 row among the catalogue's ids. ``timestamp``: int64 seconds since
    1970 UTC; without time, the order: int64 of :func:`~components.ingest.event_order.row_places`, or the
    ordering column's double. ``rating``, ``action`` (int16 place among the plan's action names), ``split``
    (int8 place in SPLITS), ``position`` (int64, from 1) and ``propensity`` only where declared. ``row``:
    int64 number in its file, and ``file``: int32 place among the log's files, only where duplicates become
    dead letters. ``cancels`` (bool) only where cancellations are declared: a row for which it is true is no
    interaction, and has but query, candidate, timestamp and split. Context columns. These, ``position`` and
    ``propensity`` can be null, nothing else.
    """
    log = plan.interactions
    when = pa.float64() if log.timestamp.order == "column" else pa.int64()
    fields = [("query", pa.string()), ("candidate", pa.int32()), ("timestamp", when)]
    fields += [("rating", pa.float64())] if log.rating else []
    fields += [("action", pa.int16())] if log.actions else []
    fields += [("split", pa.int8())] if plan.split_column else []
    fields += [("position", pa.int64())] if log.position else []
    fields += [("propensity", pa.float64())] if log.propensity else []
    fields += [("cancels", pa.bool_())] if log.cancellations else []
    fields += [("file", pa.int32()), ("row", pa.int64())] if log.duplicates == "dead_letter" else []
    fields += [(context_field(column.name), column.arrow_type) for column in plan.context]
    return pa.schema(fields)


class Validated(NamedTuple):
    """What became of some rows; every row read is one of these.

    Attributes:
        usable: Of :func:`usable_schema`.
        refused: Of :data:`~components.ingest.dead_letters.SCHEMA`.
        before_since: How many rows are older than the declared ``since``.
        kept: [n] bool, which of the rows are usable interactions.
        cancellations: How many rows cancel an interaction instead of being one, also of candidates that are
            not in the catalogue; those are not among the usable.
    """

    usable: pa.RecordBatch
    refused: pa.RecordBatch
    before_since: int
    kept: np.ndarray
    cancellations: int = 0

    @property
    def interactions(self) -> pa.RecordBatch:
        """The usable rows that are interactions."""
        return interactions_of(self.usable)


def interactions_of(usable: pa.RecordBatch) -> pa.RecordBatch:
    """Usable rows without the cancellations among them."""
    if "cancels" not in usable.schema.names:
        return usable
    return usable.filter(pc.invert(usable["cancels"]))


class _Check(NamedTuple):
    column: Column
    fails: np.ndarray
    reason: str | pa.Array
    of_cancellations: bool = False
    """Whether it concerns rows, too, that are no interactions."""


def validate(
    rows: Rows, source: Source, plan: InteractionPlan, candidate_ids: pa.Array, file_number: int = 0
) -> Validated:
    """Parts usable rows from dead letters.

    Args:
        rows: Rows with the plan's columns for the source, as in the file.
        source: The source the rows are of.
        plan: The declared columns and bounds.
        candidate_ids: [m] strings, the catalogue.
        file_number: Place of the rows' file among the log's files, in which rows may be ordered.

    Returns:
        The rows, in the file's order. A row with several faults is reported for the first, in the order
        query id, candidate id, timestamp, rating, action, split, position, propensity, context.
    """
    checker = _Checker(rows, source, plan, candidate_ids, file_number)
    checks = list(checker.checks())
    fault = np.full(len(rows.numbers), -1)
    cancels = checker.cancels
    for index, check in enumerate(checks):
        fails = check.fails if check.of_cancellations else check.fails & ~cancels
        if fails.any():
            fault[(fault < 0) & fails] = index
    kept = fault < 0
    values = checker.values
    since = plan.interactions.since
    before = 0
    if since is not None:
        old = kept & (values["timestamp"].fill_null(0).to_numpy() < seconds_of(since))
        before, kept = int(old.sum()), kept & ~old
    cancelling = kept & cancels
    if cancelling.any():
        # Of a candidate that nobody knows there is nothing to cancel.
        kept = kept & ~(cancels & _missing(values["candidate"]))
        _fill(values, cancels)
    schema = usable_schema(plan)
    if plan.interactions.duplicates == "dead_letter":
        values["file"] = pa.repeat(pa.scalar(file_number, pa.int32()), len(kept))
        values["row"] = pa.array(rows.numbers, pa.int64())
    usable = pa.record_batch([values[name] for name in schema.names], schema=schema)
    if not kept.all():
        usable = usable.filter(pa.array(kept))
    refused = _refused(rows, checks, fault)
    return Validated(usable, refused, before, kept & ~cancels, int(cancelling.sum()))


def _fill(values: dict[str, pa.Array], cancels: np.ndarray) -> None:
    """Gives cancellations something for what only interactions need."""
    for name in ("rating", "action"):
        if name in values:
            values[name] = pc.if_else(pa.array(cancels), pa.scalar(0, values[name].type), values[name])


class _Checker:
    """Converts the cells of some rows and says what is wrong with them."""

    def __init__(
        self, rows: Rows, source: Source, plan: InteractionPlan, candidate_ids: pa.Array, file_number: int
    ):
        self._rows, self._source, self._plan, self._ids = rows, source, plan, candidate_ids
        self._file_number = file_number
        self.values: dict[str, pa.Array] = {}
        """Field of the usable schema to [n] converted values, filled by :meth:`checks`."""
        self.cancels = np.zeros(len(rows.numbers), bool)
        """[n] bool, which rows are no interactions but cancel one; filled by :meth:`checks`."""

    def checks(self) -> Iterator[_Check]:
        """Every check, in the order in which faults count."""
        plan = self._plan
        if plan.interactions.cancellations:
            yield from self._cancellations()
        yield from self._key("query", plan.query_column, "query id")
        yield from self._key("candidate", plan.candidate_column, "candidate id")
        ids = self.values["candidate"]
        places = pc.index_in(ids, value_set=self._ids)
        unknown = _mask(pc.and_(pc.is_null(places), pc.is_valid(ids)))
        self.values["candidate"] = places
        yield _Check(plan.candidate_column, unknown, "candidate not in the catalogue")
        yield from self._when(plan.timestamp_column)
        if plan.rating_column:
            yield from self._rating(plan.rating_column)
        if plan.interactions.actions:
            yield from self._action()
        if plan.split_column:
            yield from self._split(plan.split_column)
        if plan.position_column:
            yield from self._position(plan.position_column)
        if plan.propensity_column:
            yield from self._propensity(plan.propensity_column)
        for column in plan.context:
            yield from self._optional(context_field(column.name), column, column.name)

    def _cells(self, column: Column) -> pa.Array:
        return self._rows.batch.column(column.name)

    def _cancellations(self) -> Iterator[_Check]:
        """Tells the rows that cancel an interaction; of a source that lacks a column, none does."""
        declared = self._plan.interactions.cancellations
        if not any(name in self._source.lacks for name in declared):
            conditions = {name: parse_condition(value) for name, value in declared.items()}
            found = all_held(
                conditions, {name: self._rows.batch.column(name) for name in declared}, self._source.numerals
            )
            self.cancels = found.holds
            for place, (name, condition) in enumerate(conditions.items()):
                reason = f"the condition on {name!r} under 'cancellations' needs {expected_of(condition)}"
                yield _Check(Column(name=name), found.first_wrong == place, reason, of_cancellations=True)
        self.values["cancels"] = pa.array(self.cancels)

    def _key(self, field: str, column: Column, what: str) -> Iterator[_Check]:
        cells = self._cells(column)
        self.values[field], wrong = column.convert(cells)
        if wrong.any():
            yield _Check(column, wrong, column.reasons(cells, what), of_cancellations=True)
        yield _Check(column, _missing(self.values[field]), f"{what} missing", of_cancellations=True)

    def _typed(self, field: str, column: Column, what: str, required: bool) -> Iterator[_Check]:
        cells = self._cells(column)
        numerals = self._source.numerals
        self.values[field], wrong = column.convert(cells, numerals)
        of_all = field == "timestamp"
        if wrong.any():
            yield _Check(column, wrong, column.reasons(cells, what, numerals), of_all)
        if required:
            yield _Check(column, _missing(self.values[field]), f"{what} missing", of_all)

    def _when(self, column: Column | None) -> Iterator[_Check]:
        if column is None:
            self.values["timestamp"] = pa.array(row_places(self._file_number, self._rows.numbers))
            return
        yield from self._typed("timestamp", column, "timestamp", required=True)
        if column.type == "number":
            inexact = pc.greater(pc.abs(self.values["timestamp"]), float(LARGEST_EXACT))
            reason = f"order is beyond {LARGEST_EXACT:,}, where numbers are no longer exact"
            yield _Check(column, _mask(pc.fill_null(inexact, False)), reason, of_cancellations=True)

    def _optional(self, field: str, column: Column, what: str) -> Iterator[_Check]:
        if column.name in self._source.lacks:
            self.values[field] = pa.nulls(len(self._rows.numbers), column.arrow_type)
        else:
            yield from self._typed(field, column, what, required=False)

    def _position(self, column: Column) -> Iterator[_Check]:
        yield from self._optional("position", column, "position")
        positions = self.values["position"]
        numbers = positions.to_numpy(zero_copy_only=False)
        whole = (numbers == np.floor(numbers)) & (numbers >= 1) & (numbers <= _LAST_POSITION)
        wrong = ~whole & ~_missing(positions)
        kept = pc.if_else(pa.array(whole), positions, pa.scalar(None, pa.float64()))
        self.values["position"] = pc.cast(kept, pa.int64())
        yield _Check(column, wrong, f"position is not a whole number from 1 to {_LAST_POSITION}")

    def _propensity(self, column: Column) -> Iterator[_Check]:
        yield from self._optional("propensity", column, "propensity")
        propensities = self.values["propensity"]
        # As the examples will hold it: nothing that was shown had no chance.
        numbers = propensities.to_numpy(zero_copy_only=False).astype(np.float32)
        wrong = ~((numbers > 0) & (numbers <= 1)) & ~_missing(propensities)
        yield _Check(column, wrong, "propensity is not above 0 and up to 1")

    def _rating(self, column: Column) -> Iterator[_Check]:
        yield from self._typed("rating", column, "rating", required=True)
        bounds = self._plan.interactions.rating
        assert bounds is not None
        ratings = self.values["rating"].to_numpy(zero_copy_only=False)
        outside = ~((ratings >= bounds.minimum) & (ratings <= bounds.maximum))
        yield _Check(column, outside, f"rating outside [{bounds.minimum:g}, {bounds.maximum:g}]")

    def _action(self) -> Iterator[_Check]:
        names = self._plan.action_names
        column = self._plan.action_column(self._source)
        if column is None:
            code = pa.scalar(names.index(str(self._source.action)), pa.int16())
            self.values["action"] = pa.repeat(code, len(self._rows.numbers))
            return
        text = column.convert(self._cells(column)).values
        codes = pc.cast(pc.index_in(text, value_set=pa.array(names, pa.string())), pa.int16())
        self.values["action"] = codes
        yield _Check(column, _missing(text), "action missing")
        yield _Check(column, _missing(codes), f"action is none of: {', '.join(names)}")

    def _split(self, column: Column) -> Iterator[_Check]:
        split = self._plan.split
        assert isinstance(split, ColumnSplit)
        known = [(value, place) for place, name in enumerate(SPLITS) for value in getattr(split, name)]
        text = column.convert(self._cells(column)).values
        places = pc.index_in(text, value_set=pa.array([value for value, _ in known], pa.string()))
        codes = pa.array([place for _, place in known], pa.int8()).take(places)
        self.values["split"] = codes
        expected = ", ".join(repr(value) for value, _ in known)
        yield _Check(column, _missing(codes), f"split is none of: {expected}", of_cancellations=True)


def _refused(rows: Rows, checks: list[_Check], fault: np.ndarray) -> pa.RecordBatch:
    """The dead letters of some rows, by row."""
    letters = [_malformed(rows)] if rows.malformed else []
    for index in np.unique(fault[fault >= 0]).tolist():
        letters.append(_letters(rows, checks[index], fault == index))
    if not letters:
        return pa.RecordBatch.from_pylist([], schema=DEAD_LETTER_SCHEMA)
    return pa.Table.from_batches(letters).sort_by("row").combine_chunks().to_batches()[0]


def _letters(rows: Rows, check: _Check, chosen: np.ndarray) -> pa.RecordBatch:
    count = int(chosen.sum())
    cells = rows.batch.column(check.column.name).filter(pa.array(chosen))
    values = pc.utf8_slice_codeunits(as_text(cells), 0, SHOWN_CHARACTERS)
    reason = check.reason
    reasons = pa.repeat(reason, count) if isinstance(reason, str) else reason.filter(pa.array(chosen))
    return pa.record_batch(
        [
            pa.repeat(rows.file, count),
            pa.array(rows.numbers[chosen], pa.int64()),
            pa.repeat(check.column.name, count),
            values,
            reasons,
        ],
        schema=DEAD_LETTER_SCHEMA,
    )


def _malformed(rows: Rows) -> pa.RecordBatch:
    entries = [
        {
            "file": rows.file,
            "row": row.number,
            "column": row.column,
            "value": shorten(row.text),
            "reason": row.reason,
        }
        for row in rows.malformed
    ]
    return pa.RecordBatch.from_pylist(entries, schema=DEAD_LETTER_SCHEMA)


def _missing(values: pa.Array) -> np.ndarray:
    return values.is_null().to_numpy(zero_copy_only=False)


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array without nulls."""
    return values.to_numpy(zero_copy_only=False)
