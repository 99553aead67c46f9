"""The first half of ingestion: parts of files become spills of usable rows, and word of the others."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.dead_letters import write_dead_letters
from components.ingest.errors import UserError
from components.ingest.files.file_system import locate
from components.ingest.files.rows import FilePart
from components.ingest.files.tables import read_batches
from components.ingest.plan import InteractionPlan
from components.ingest.reference_tables import attribute_batches
from components.ingest.spill import write_spill
from components.ingest.split import TimeDistribution
from components.ingest.validation import usable_schema, validate

SPILLED_ROWS = 1 << 21
"""Rows of one spill at most; they are in memory until it is written."""

CATALOGUE_FILE = "catalogue.arrow"


@dataclass(frozen=True)
class LogPart:
    """A piece of the event log, to be read by one worker.

    Attributes:
        number: Its place among all pieces; names what is made of it.
        source: Place of its source among the plan's.
        file: Place of its file among the log's files.
        part: The piece.
    """

    number: int
    source: int
    file: int
    part: FilePart


@dataclass
class Reading:
    """What was found in some of the log.

    Attributes:
        usable: Usable rows, spilled; cancellations among them.
        by_source: Place of a source among the plan's to rows read.
        by_reason: Why rows were refused, and how many.
        before_since: Rows left out for their age.
        left_out: Rows left out by their source's ``where``.
        cancellations: Rows that cancel an interaction instead of being one.
        distribution: When the usable rows happened; for a split by time alone.
        spills: Files with the usable rows.
        faults: Messages for the user about what could not be read to its end.
    """

    usable: int = 0
    by_source: Counter[int] = field(default_factory=Counter)
    by_reason: Counter[str] = field(default_factory=Counter)
    before_since: int = 0
    left_out: int = 0
    cancellations: int = 0
    distribution: TimeDistribution = field(default_factory=lambda: TimeDistribution.merged([]))
    spills: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    @classmethod
    def merged(cls, parts: Iterable[Reading]) -> Reading:
        """All parts together, in an order of their own."""
        parts = list(parts)
        return cls(
            usable=sum(part.usable for part in parts),
            by_source=sum((part.by_source for part in parts), Counter()),
            by_reason=sum((part.by_reason for part in parts), Counter()),
            before_since=sum(part.before_since for part in parts),
            left_out=sum(part.left_out for part in parts),
            cancellations=sum(part.cancellations for part in parts),
            distribution=TimeDistribution.merged(part.distribution for part in parts),
            spills=sorted(spill for part in parts for spill in part.spills),
            faults=sorted(fault for part in parts for fault in part.faults),
        )

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(self.by_source.values())

    @property
    def bad(self) -> int:
        """Rows refused."""
        return sum(self.by_reason.values())

    @property
    def asked_for(self) -> int:
        """Rows that ``where`` keeps, bad ones among them."""
        return self.rows - self.left_out


def write_catalogue(ids: pa.Array, directory: str) -> None:
    """Puts the catalogue's ids where every worker finds them."""
    system, folder = locate(directory)
    batch = pa.record_batch([ids], names=["id"])
    with (
        system.open_output_stream(os.path.join(folder, CATALOGUE_FILE)) as sink,
        pa.ipc.new_file(sink, batch.schema) as writer,
    ):
        writer.write_batch(batch)


def read_catalogue(directory: str) -> pa.Array:
    """[m] strings: what :func:`write_catalogue` wrote."""
    system, folder = locate(directory)
    with system.open_input_file(os.path.join(folder, CATALOGUE_FILE)) as source:
        return pa.ipc.open_file(source).read_all()["id"].combine_chunks()


class ReadLog(beam.DoFn):
    """:class:`LogPart` to :class:`Reading`; spills and dead letters go to the work directory."""

    def __init__(self, plan: InteractionPlan, directory: str) -> None:
        """Args: the plan, and the work directory, which holds the catalogue's ids."""
        self._plan, self._directory = plan, directory
        self._candidate_ids: pa.Array | None = None

    def setup(self) -> None:
        """Loads the catalogue's ids, once a worker."""
        self._candidate_ids = read_catalogue(self._directory)

    def process(self, element: LogPart) -> Iterator[Reading]:
        """Reads one piece."""
        source = self._plan.interactions.sources[element.source]
        names = [column.name for column in self._plan.columns(source)]
        reading, times = Reading(), []
        usable: list[pa.RecordBatch] = []
        refused: list[pa.RecordBatch] = []
        try:
            for rows in read_batches(source, element.part, names):
                found = validate(rows, source, self._plan, self._candidate_ids, element.file)
                reading.by_source[element.source] += rows.read
                reading.left_out += rows.left_out
                reading.cancellations += found.cancellations
                reading.before_since += found.before_since
                reading.usable += found.usable.num_rows
                for entry in pc.value_counts(found.refused["reason"]).to_pylist():
                    reading.by_reason[entry["values"]] += entry["counts"]
                if self._plan.split.kind == "time":
                    times.append(TimeDistribution.of(found.interactions["timestamp"].to_numpy()))
                    times = [TimeDistribution.merged(times)] if len(times) > 16 else times
                usable.append(found.usable)
                refused.append(found.refused)
                if sum(batch.num_rows for batch in (*usable, *refused)) >= SPILLED_ROWS:
                    self._spill(element, reading, usable, refused)
        except UserError as error:
            reading.faults.append(str(error))
        self._spill(element, reading, usable, refused)
        reading.distribution = TimeDistribution.merged(times)
        yield reading
        # Workers of one machine share its memory; what one holds in reserve another lacks.
        pa.default_memory_pool().release_unused()

    def _spill(
        self,
        element: LogPart,
        reading: Reading,
        usable: list[pa.RecordBatch],
        refused: list[pa.RecordBatch],
    ) -> None:
        """Writes what has piled up, and forgets it."""
        name = f"{element.number:06d}-{len(reading.spills):03d}"
        if usable:
            path = os.path.join(self._directory, f"log-{name}.arrow")
            write_spill(path, usable_schema(self._plan), usable, "query")
            reading.spills.append(path)
        if any(batch.num_rows for batch in refused):
            write_dead_letters(refused, os.path.join(self._directory, letters_file(name)))
        usable.clear()
        refused.clear()


class ReadAttributes(beam.DoFn):
    """Number and path of a file of the queries table to the path of its spill, or to a fault."""

    FAULT = "fault"
    """Tag of messages for the user."""

    def __init__(self, plan: InteractionPlan, directory: str) -> None:
        """Args: the plan, and the work directory."""
        self._plan, self._directory = plan, directory

    def process(self, element: tuple[int, str]) -> Iterator[str | beam.pvalue.TaggedOutput]:
        """Reads one file."""
        number, file = element
        queries = self._plan.queries
        assert queries is not None
        pending: list[pa.RecordBatch] = []
        written = 0
        try:
            for batch in attribute_batches(self._plan, number, file):
                pending.append(batch)
                if sum(waiting.num_rows for waiting in pending) >= SPILLED_ROWS:
                    yield self._spill(number, written, pending)
                    written += 1
            if pending:
                yield self._spill(number, written, pending)
        except UserError as error:
            yield beam.pvalue.TaggedOutput(self.FAULT, str(error))

    def _spill(self, number: int, written: int, pending: list[pa.RecordBatch]) -> str:
        assert self._plan.queries is not None
        path = os.path.join(self._directory, f"queries-{number:06d}-{written:03d}.arrow")
        write_spill(path, pending[0].schema, pending, self._plan.queries.id)
        pending.clear()
        return path


def letters_file(name: str) -> str:
    """Name within the work directory of a piece's dead letters; pieces sort by name."""
    return f"letters-{name}.parquet"
