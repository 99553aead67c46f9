"""Ingestion as a Beam graph.

No module that a worker loads for it imports TensorFlow or TFX: a process would wait for them ten times as
long as for all else, and hold a gigabyte each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import apache_beam as beam

from components.ingest.declaration import TimeSplit
from components.ingest.partition import DUPLICATE, combine_summaries, partition_count
from components.ingest.plan import InteractionPlan
from components.ingest.reading import LogPart, ReadAttributes, Reading, ReadLog
from components.ingest.spill import BUCKETS
from components.ingest.split import SPLITS, cut_points
from components.ingest.summary import IngestionSummary, write_ingestion_summary
from components.ingest.writing import WriteExamples, Written


def build(
    pipeline: beam.Pipeline,
    plan: InteractionPlan,
    parts: Sequence[LogPart],
    log: Sequence[str],
    queries: Sequence[str],
    work: str,
    uri: str,
) -> None:
    """Adds all of ingestion to a pipeline, from parts of files to shards and summary.

    Args:
        pipeline: The pipeline.
        plan: What to make.
        parts: The pieces of the event log.
        log: The event log's files.
        queries: The queries table's files.
        work: The work directory, which holds the catalogue's ids.
        uri: The examples artifact's directory.
    """
    reading = beam.pvalue.AsSingleton(
        pipeline
        | "Parts" >> beam.Create(list(parts))
        | "SpreadParts" >> beam.Reshuffle()
        | "ReadLog" >> beam.ParDo(ReadLog(plan, work))
        | "GatherReadings" >> beam.combiners.ToList()
        | "MergeReadings" >> beam.Map(Reading.merged)
    )
    attributes = (
        pipeline
        | "QueryFiles" >> beam.Create(list(enumerate(queries)))
        | "SpreadQueryFiles" >> beam.Reshuffle()
        | "ReadQueries"
        >> beam.ParDo(ReadAttributes(plan, work)).with_outputs(ReadAttributes.FAULT, main="good")
    )
    faults = beam.pvalue.AsList(attributes[ReadAttributes.FAULT])
    written = (
        pipeline
        | "Once" >> beam.Create([plan])
        | "Partitions" >> beam.FlatMap(_partitions, reading, faults)
        | "SpreadPartitions" >> beam.Reshuffle()
        | "WriteExamples"
        >> beam.ParDo(
            WriteExamples(plan, log, queries, work, uri), reading, beam.pvalue.AsList(attributes.good)
        )
    )
    _ = (
        pipeline
        | "OnceMore" >> beam.Create([(plan, tuple(log), uri)])
        | "Summarise" >> beam.Map(_summarise, reading, faults, beam.pvalue.AsList(written))
    )


def _partitions(plan: InteractionPlan, reading: Reading, faults: Sequence[str]) -> Iterator[int]:
    """The partitions to write; none where the run is to stop."""
    if not (reading.faults or faults or reading.bad > plan.max_bad_fraction * reading.asked_for):
        yield from range(partition_count(reading.usable, BUCKETS))


def _rows_by_source(plan: InteractionPlan, reading: Reading) -> dict[str, int]:
    """Each pattern to the rows read from it; two sources may read the same files."""
    rows: Counter[str] = Counter()
    for number, source in enumerate(plan.interactions.sources):
        rows[source.files] += reading.by_source[number]
    return dict(rows)


def _summarise(
    once: tuple[InteractionPlan, tuple[str, ...], str],
    reading: Reading,
    faults: Sequence[str],
    written: Sequence[Written],
) -> None:
    """Writes the summary, as far as Beam's workers know it."""
    plan, files, uri = once
    cuts = cut_points(reading.distribution, plan.split) if isinstance(plan.split, TimeSplit) else None
    repeated = sum(part.duplicates for part in written)
    by_reason = Counter(reading.by_reason)
    if repeated and plan.interactions.duplicates == "dead_letter":
        by_reason[DUPLICATE] = repeated
    pieces = {split: [part.splits[split] for part in written if split in part.splits] for split in SPLITS}
    summary = IngestionSummary(
        files=files,
        rows=reading.rows,
        rows_by_source=_rows_by_source(plan, reading),
        bad=sum(by_reason.values()),
        bad_by_reason=dict(sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))),
        duplicates=0 if DUPLICATE in by_reason else repeated,
        before_since=reading.before_since,
        left_out=reading.left_out,
        cancellations=reading.cancellations,
        cancelled=sum(part.cancelled for part in written),
        candidates=0,
        stubs=0,
        span=None,
        order=plan.interactions.timestamp.order,
        split=plan.split.kind,
        eval_from=cuts.eval_from if cuts else None,
        test_from=cuts.test_from if cuts else None,
        splits={split: combine_summaries(parts) for split, parts in pieces.items() if parts},
        bytes_written=sum(part.size for part in written),
        unreadable=tuple(sorted([*reading.faults, *faults, *(p.fault for p in written if p.fault)])),
    )
    write_ingestion_summary(summary, uri)
