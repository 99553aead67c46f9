"""Reads the whole event log once, by ingestion's rules, and remembers a bounded part of it."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.errors import UserError
from components.ingest.files.file_parts import file_parts
from components.ingest.files.rows import FilePart
from components.ingest.files.tables import read_batches
from components.ingest.plan import InteractionPlan
from components.ingest.split import TimeDistribution
from components.ingest.validation import interactions_of, validate
from pipeline.check_data.kept_queries import KeptQueries
from pipeline.check_data.report import BadRow

UNKNOWN_CANDIDATE = "candidate not in the catalogue"
"""The reason :func:`~components.ingest.validation.validate` gives for a failed join."""

_PART_BYTES = 16 << 20
_SHOWN_OF_A_REASON = 3
_MOST_UNKNOWN = 10_000
_MOST_WRONG_TIMES = 1_000
_TIMES_APART = 16


@dataclass
class LogReading:
    """What was found in some of the log.

    Attributes:
        rows_by_source: Rows of each source.
        by_reason: Why rows were refused, and how many.
        letters: The first few dead letters of each reason, in the files' order.
        unknown: Candidate ids that are not in the catalogue, as in the file, and how often; some of them.
        wrong_times: What refused cells of the timestamp's column hold; some of it.
        before_since: Rows left out for their age.
        left_out: Rows left out by their source's ``where``.
        cancellations: Rows that cancel an interaction instead of being one.
        usable: Usable interactions, duplicates among them.
        in_queries: Usable rows whose query is in the queries table.
        first: Earliest moment of a usable row.
        last: Latest moment of a usable row.
        times: When the usable rows happened, in a few parts; for a split by time alone.
        candidate_rows: [m] usable rows of each candidate.
        faults: Messages for the user about what could not be read to its end.
    """

    rows_by_source: Counter[int] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    letters: dict[str, list[BadRow]] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    wrong_times: list[pa.Array] = field(default_factory=list)
    before_since: int = 0
    left_out: int = 0
    cancellations: int = 0
    usable: int = 0
    in_queries: int = 0
    first: int | None = None
    last: int | None = None
    times: list[TimeDistribution] = field(default_factory=list)
    candidate_rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    faults: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(self.rows_by_source.values())

    @property
    def bad(self) -> int:
        """Rows refused."""
        return sum(self.by_reason.values())


@dataclass
class _Part:
    """What one piece of a file came to."""

    source: int
    rows: int = 0
    wrong_times: list[pa.Array] = field(default_factory=list)
    before_since: int = 0
    left_out: int = 0
    cancellations: int = 0
    in_queries: int = 0
    times: TimeDistribution | None = None
    usable: list[pa.RecordBatch] = field(default_factory=list)
    refused: list[pa.RecordBatch] = field(default_factory=list)
    fault: str | None = None


def read_log(
    plan: InteractionPlan,
    files: Sequence[Sequence[str]],
    candidate_ids: pa.Array,
    query_ids: pa.Array | None,
    kept: KeptQueries,
    tell: Callable[[int], None],
) -> LogReading:
    """Reads every row of the log once.

    Args:
        plan: The declared columns and bounds.
        files: Of each source.
        candidate_ids: [m] strings: the catalogue, stubs included where asked for.
        query_ids: The ids of the queries table; None without one.
        kept: Takes the usable rows.
        tell: Called now and then with the number of rows read so far.
    """
    reading = LogReading(candidate_rows=np.zeros(len(candidate_ids), np.int64))
    places = {file: place for place, file in enumerate(file for source in files for file in source)}
    work: list[tuple[int, FilePart]] = []
    for source, of_source in enumerate(files):
        for file in of_source:
            try:
                parts = file_parts(plan.interactions.sources[source], file, _PART_BYTES)
                work += [(source, part) for part in parts]
            except UserError as error:
                reading.faults.append(str(error))

    def read(source: int, part: FilePart) -> _Part:
        return _read_part(plan, source, part, places[part.file], candidate_ids, query_ids)

    for done in _in_order(read, work):
        _take(reading, done, kept, plan.interactions.timestamp.column)
        tell(reading.rows)
    return reading


def _in_order(
    read: Callable[[int, FilePart], _Part], work: Sequence[tuple[int, FilePart]]
) -> Iterator[_Part]:
    """Parts read side by side, but only a few ahead, in the order of the files."""
    workers = os.cpu_count() or 1
    waiting: deque[Future[_Part]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for source, part in work:
            waiting.append(pool.submit(read, source, part))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _read_part(
    plan: InteractionPlan,
    number: int,
    part: FilePart,
    place: int,
    candidate_ids: pa.Array,
    query_ids: pa.Array | None,
) -> _Part:
    source = plan.interactions.sources[number]
    names = [column.name for column in plan.columns(source)]
    result = _Part(number)
    try:
        for rows in read_batches(source, part, names):
            found = validate(rows, source, plan, candidate_ids, place)
            result.rows += rows.read
            result.left_out += rows.left_out
            result.cancellations += found.cancellations
            result.before_since += found.before_since
            if found.refused.num_rows:
                result.refused.append(found.refused)
            if found.usable.num_rows:
                result.usable.append(found.usable)
                if query_ids is not None:
                    known = pc.is_in(found.interactions.column("query"), value_set=query_ids)
                    result.in_queries += pc.sum(known).as_py() or 0
    except UserError as error:
        result.fault = str(error)
    if plan.split.kind == "time" and result.usable:
        interactions = [interactions_of(batch) for batch in result.usable]
        moments = np.concatenate([batch.column("timestamp").to_numpy() for batch in interactions])
        result.times = TimeDistribution.of(moments)
    return result


def _take(reading: LogReading, part: _Part, kept: KeptQueries, time_column: str | None) -> None:
    """Adds a part to what is known."""
    reading.rows_by_source[part.source] += part.rows
    reading.before_since += part.before_since
    reading.left_out += part.left_out
    reading.cancellations += part.cancellations
    reading.in_queries += part.in_queries
    if part.fault:
        reading.faults.append(part.fault)
    for refused in part.refused:
        _take_refused(reading, refused, time_column)
    for usable in part.usable:
        kept.add(usable)
        batch = interactions_of(usable)
        if not batch.num_rows:
            continue
        seconds = batch.column("timestamp").to_numpy()
        reading.usable += batch.num_rows
        first, last = int(seconds.min()), int(seconds.max())
        reading.first = first if reading.first is None else min(first, reading.first)
        reading.last = last if reading.last is None else max(last, reading.last)
        candidates = batch.column("candidate").to_numpy()
        reading.candidate_rows += np.bincount(candidates, minlength=len(reading.candidate_rows))
    if part.times is not None:
        reading.times.append(part.times)
        if len(reading.times) > _TIMES_APART:
            reading.times = [TimeDistribution.merged(reading.times)]


def _take_refused(reading: LogReading, refused: pa.RecordBatch, time_column: str | None) -> None:
    of_time = pc.fill_null(pc.equal(refused["column"], pa.scalar(time_column, pa.string())), False)
    if pc.any(of_time).as_py():
        reading.wrong_times.append(pc.unique(refused["value"].filter(of_time)).slice(0, _MOST_WRONG_TIMES))
    for entry in pc.value_counts(refused.column("reason")).to_pylist():
        reason = entry["values"]
        reading.by_reason[reason] += entry["counts"]
        letters = reading.letters.setdefault(reason, [])
        if len(letters) < _SHOWN_OF_A_REASON:
            chosen = refused.filter(pc.equal(refused.column("reason"), reason))
            fresh = chosen.slice(0, _SHOWN_OF_A_REASON - len(letters)).to_pylist()
            letters += [BadRow(**letter) for letter in fresh]
        if reason == UNKNOWN_CANDIDATE and len(reading.unknown) < _MOST_UNKNOWN:
            values = refused.filter(pc.equal(refused.column("reason"), reason)).column("value")
            for value in pc.value_counts(values).to_pylist():
                reading.unknown[value["values"]] += value["counts"]
