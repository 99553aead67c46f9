"""The event log held against the declaration: what can be used of it, and how it divides."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.examples import string_entries
from components.ingest.partition import CANCELLED, DUPLICATE, Catalogue, Partition
from components.ingest.plan import InteractionPlan
from components.ingest.reference_tables import stub_ids, with_stubs
from pipeline.check_data.found_files import INTERACTIONS, FoundTable
from pipeline.check_data.kept_queries import KeptQueries
from pipeline.check_data.log_reading import UNKNOWN_CANDIDATE, LogReading, read_log
from pipeline.check_data.reference import Reference
from pipeline.check_data.report import LogFacts
from pipeline.check_data.splits import Divided, divide


@dataclass(frozen=True)
class Events:
    """The event log, read.

    Attributes:
        ids: [m] strings: the catalogue's candidates and stubs, ascending.
        stubs: [s] strings: the stubs among them.
        reading: Of every row.
        kept: Usable rows of some queries, or of all.
        divided: The same without duplicates, divided; None where no row can be used.
    """

    ids: pa.Array
    stubs: pa.Array
    reading: LogReading
    kept: KeptQueries
    divided: Divided | None


def read_events(
    declaration: Declaration,
    tables: list[FoundTable],
    reference: Reference,
    most_rows: int,
    tell: Callable[[str], None],
) -> Events | None:
    """Reads the log; None where its files, or the catalogue's ids, cannot be read.

    Args:
        declaration: What is declared.
        tables: All tables found.
        reference: What the log refers to.
        most_rows: Rows to hold in memory at most.
        tell: Called with what is being done.
    """
    log = [table for table in tables if table.name == INTERACTIONS]
    if reference.candidate_ids is None or not all(table.readable for table in log):
        return None
    plan = InteractionPlan.of(declaration)
    files = [table.files for table in log]
    ids, stubs = reference.candidate_ids, pa.array([], pa.string())
    if plan.interactions.unknown_candidates == "stub":
        tell("looking for candidates without a row in the catalogue")
        # Reading the log in earnest meets the same fault, and tells it.
        with contextlib.suppress(UserError):
            stubs = stub_ids(plan, dict(enumerate(files)), ids)
        ids = with_stubs(ids, stubs)
    kept = KeptQueries(most_rows)
    reading = read_log(
        plan, files, ids, reference.query_ids, kept, lambda rows: tell(f"reading interactions: {rows:,}")
    )
    divided = None
    if reading.usable:
        tell("dividing interactions, finding histories")
        partition = Partition(plan, Catalogue(ids, string_entries(ids)), kept.batches, None)
        divided = divide(plan, reading, kept, partition)
    return Events(ids, stubs, reading, kept, divided)


def log_facts(declaration: Declaration, events: Events, knows_queries: bool) -> LogFacts:
    """Counts over the whole log.

    Args:
        declaration: What is declared.
        events: The log.
        knows_queries: Whether there is a readable queries table.
    """
    reading, kept = events.reading, events.kept
    duplicates = round(events.divided.partition.duplicates.num_rows / kept.share) if events.divided else 0
    cancelled = 0
    if events.divided:
        cancelled = round(int((events.divided.splits == CANCELLED).sum()) / kept.share)
    by_reason = reading.by_reason.copy()
    if duplicates and declaration.interactions.duplicates == "dead_letter":
        by_reason[DUPLICATE] = duplicates
    usable = reading.usable - duplicates
    joined = reading.usable + reading.before_since
    unknown = reading.by_reason[UNKNOWN_CANDIDATE]
    rows_of_stubs = int(reading.candidate_rows[_mask(pc.is_in(events.ids, value_set=events.stubs))].sum())
    met = reading.candidate_rows[_mask(pc.invert(pc.is_in(events.ids, value_set=events.stubs)))]
    return LogFacts(
        rows=reading.rows,
        bad=sum(by_reason.values()),
        bad_by_reason=dict(sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))),
        bad_rows=tuple(
            row for reason, _ in by_reason.most_common() for row in reading.letters.get(reason, [])
        ),
        duplicates=duplicates,
        before_since=reading.before_since,
        left_out=reading.left_out,
        cancellations=reading.cancellations,
        cancelled=cancelled,
        usable=usable,
        first=reading.first,
        last=reading.last,
        in_catalogue=1 - (unknown + rows_of_stubs) / (joined + unknown) if joined + unknown else None,
        in_queries=reading.in_queries / reading.usable if knows_queries and reading.usable else None,
        candidates_met=int((met > 0).sum()),
        exact=kept.whole,
        share_of_rows=kept.share,
    )


def _mask(values: pa.Array) -> pa.Array:
    return values.to_numpy(zero_copy_only=False)
