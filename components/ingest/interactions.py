"""InteractionGen's executor: the event log becomes examples that know their query's past.

One Beam pipeline, over Arrow record batches throughout: read and validate parts of files, spilling usable
rows by a hash of the query's id; learn from all parts the cut points and the number of partitions; within a
partition, find every history at once, encode, and write each split's shard. Rows go by way of files, so
what Beam holds and moves are names and counts.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.fs as pa_fs
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils
from tfx.v1 import proto

from components.ingest.custom_config import unpack
from components.ingest.dead_letters import (
    DEAD_LETTERS_FILE,
    read_dead_letters,
    too_many_bad_rows,
    write_dead_letters,
)
from components.ingest.declaration import TimeSplit
from components.ingest.errors import UserError
from components.ingest.files.file_parts import file_parts
from components.ingest.files.file_patterns import SpanFiles, newest_spans
from components.ingest.files.file_system import locate
from components.ingest.files.tables import check_columns, matching_files
from components.ingest.partition import DUPLICATE, combine_summaries, partition_count
from components.ingest.plan import CANDIDATES, QUERIES, InteractionPlan, source_split
from components.ingest.reading import LogPart, ReadAttributes, Reading, ReadLog, write_catalogue
from components.ingest.reference_tables import read_candidate_ids, stub_ids, with_stubs
from components.ingest.spill import BUCKETS
from components.ingest.split import SPLITS, cut_points
from components.ingest.summary import IngestionSummary, read_ingestion_summary, write_ingestion_summary
from components.ingest.worker_processes import with_worker_processes
from components.ingest.writing import WriteExamples, Written

_WORK = ".ingesting"
"""Directory inside the artifact's, gone when the step ends."""
_SMALLEST_PART, _LARGEST_PART = 4 << 20, 64 << 20
_PARTS = 16
"""Into so many parts at least a log is divided, if they are not too small then."""


def input_files(exec_properties: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files of each input split that match its glob, sorted.

    Raises:
        UserError: If a split has none.
    """
    config = proto.Input()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], config)
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    return {split.name: matching_files(os.path.join(base, split.pattern)) for split in config.splits}


def log_files(plan: InteractionPlan, base: str, found: Mapping[str, Sequence[str]]) -> list[SpanFiles]:
    """The files to read of each source: those of the newest spans, where there are spans.

    Args:
        plan: Names the sources.
        base: What relative patterns start from.
        found: The files by input split.

    Raises:
        UserError: If no file of a source fits its pattern.
    """
    return [
        newest_spans(os.path.join(base, source.files), found[source_split(number)], plan.interactions.spans)
        for number, source in enumerate(plan.interactions.sources)
    ]


def set_splits(examples: types.Artifact, splits: Sequence[str], exec_properties: Mapping[str, Any]) -> None:
    """Records on an examples artifact what TFX' steps downstream look up."""
    examples.split_names = artifact_utils.encode_split_names(list(splits))
    payload_format = exec_properties.get(standard_component_specs.OUTPUT_DATA_FORMAT_KEY)
    examples_utils.set_payload_format(examples, payload_format or proto.PayloadFormat.FORMAT_TF_EXAMPLE)


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes splits train, eval and test, ``dead_letters.parquet`` and ``ingestion.json``."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step.

        Raises:
            UserError: If a file is missing, unreadable or lacks a column, too many rows are unusable, or
                the split leaves a part empty.
        """
        plan = unpack(InteractionPlan, exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        found = input_files(exec_properties)
        base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
        log = log_files(plan, base, found)
        for source, span_files in zip(plan.interactions.sources, log, strict=True):
            check_columns(source, span_files.files, [column.name for column in plan.columns(source)])
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        candidates = newest_spans(os.path.join(base, plan.candidates.files), found[CANDIDATES], 1).files
        queries: Sequence[str] = ()
        if plan.queries is not None:
            queries = newest_spans(os.path.join(base, plan.queries.files), found[QUERIES], 1).files
            check_columns(plan.queries, queries, [plan.queries.id, *(c.name for c in plan.attributes)])
        ids = read_candidate_ids(plan, candidates)
        stubs = pa.array([], pa.string())
        if plan.interactions.unknown_candidates == "stub":
            stubs = stub_ids(plan, dict(enumerate(part.files for part in log)), ids)
        system, work = _fresh_directory(os.path.join(examples.uri, _WORK))
        try:
            ids = with_stubs(ids, stubs)
            write_catalogue(ids, os.path.join(examples.uri, _WORK))
            self._ingest(plan, log, queries, examples.uri)
            _finish(plan, examples.uri, candidates=len(ids), stubs=len(stubs), log=log)
        finally:
            system.delete_dir(work)
        set_splits(examples, SPLITS, exec_properties)
        span = next((part.newest for part in log if part.newest is not None), None)
        if span is not None:
            examples.span = span

    def _ingest(
        self, plan: InteractionPlan, log: Sequence[SpanFiles], queries: Sequence[str], uri: str
    ) -> None:
        """Runs the Beam pipeline."""
        parts, size = log_parts(plan, log)
        args: list[str] = getattr(self, "_beam_pipeline_args", None) or []
        self._beam_pipeline_args = with_worker_processes(args, size)
        files = [file for source in log for file in source.files]
        with self._make_beam_pipeline() as pipeline:
            _build(pipeline, plan, parts, files, queries, uri)


def log_parts(plan: InteractionPlan, log: Sequence[SpanFiles]) -> tuple[list[LogPart], int]:
    """The pieces of the event log, and its size in bytes."""
    size = sum(_size(file) for source in log for file in source.files)
    part_bytes = min(_LARGEST_PART, max(_SMALLEST_PART, size // _PARTS))
    pieces = [
        (number, file, part)
        for number, (source, found) in enumerate(zip(plan.interactions.sources, log, strict=True))
        for file in found.files
        for part in file_parts(source, file, part_bytes)
    ]
    places = {file: place for place, file in enumerate(file for source in log for file in source.files)}
    parts = [LogPart(place, number, places[file], part) for place, (number, file, part) in enumerate(pieces)]
    return parts, size


def _build(
    pipeline: beam.Pipeline,
    plan: InteractionPlan,
    parts: Sequence[LogPart],
    log: Sequence[str],
    queries: Sequence[str],
    uri: str,
) -> None:
    """The Beam graph, from parts of files to shards and summary."""
    work = os.path.join(uri, _WORK)
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
    if not (reading.faults or faults or reading.bad > plan.max_bad_fraction * reading.rows):
        yield from range(partition_count(reading.usable, BUCKETS))


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
        rows_by_source={
            source.files: reading.by_source[number] for number, source in enumerate(plan.interactions.sources)
        },
        bad=sum(by_reason.values()),
        bad_by_reason=dict(sorted(by_reason.items(), key=lambda item: (-item[1], item[0]))),
        duplicates=0 if DUPLICATE in by_reason else repeated,
        before_since=reading.before_since,
        candidates=0,
        stubs=0,
        span=None,
        split=plan.split.kind,
        eval_from=cuts.eval_from if cuts else None,
        test_from=cuts.test_from if cuts else None,
        splits={split: combine_summaries(parts) for split, parts in pieces.items() if parts},
        bytes_written=sum(part.size for part in written),
        unreadable=tuple(sorted([*reading.faults, *faults, *(p.fault for p in written if p.fault)])),
    )
    write_ingestion_summary(summary, uri)


def _finish(plan: InteractionPlan, uri: str, candidates: int, stubs: int, log: Sequence[SpanFiles]) -> None:
    """Completes the summary, brings the dead letters together, and judges."""
    summary = read_ingestion_summary(uri)
    span = next((part.newest for part in log if part.newest is not None), None)
    summary = summary.model_copy(update={"candidates": candidates, "stubs": stubs, "span": span})
    write_ingestion_summary(summary, uri)
    system, work = locate(os.path.join(uri, _WORK))
    entries = system.get_file_info(pa_fs.FileSelector(work))
    pieces = sorted(entry.base_name for entry in entries if entry.base_name.startswith("letters-"))
    write_dead_letters(
        (batch for piece in pieces for batch in read_dead_letters(os.path.join(uri, _WORK, piece))),
        os.path.join(uri, DEAD_LETTERS_FILE),
    )
    _check_outcome(summary, plan, uri)


def _check_outcome(summary: IngestionSummary, plan: InteractionPlan, uri: str) -> None:
    """Raises the UserError the pipeline's outcome calls for, if any."""
    where = ", ".join(summary.files)
    if summary.unreadable:
        raise UserError("\n".join(summary.unreadable))
    if not summary.rows:
        raise UserError(
            f"{where}: found no rows below the header; expected interactions. Fill the file, or mend "
            "'files' in domain.yaml."
        )
    log = plan.interactions
    if summary.bad > plan.max_bad_fraction * summary.rows:
        # TFX removes a failed step's output directory; what is beside it stays.
        inside, kept = os.path.join(uri, DEAD_LETTERS_FILE), f"{uri.rstrip('/')}.{DEAD_LETTERS_FILE}"
        write_dead_letters(read_dead_letters(inside), kept)
        expected = [f"ids in {log.query_id!r} and {log.candidate_id!r}", "a time"]
        expected += ["a rating"] if log.rating else []
        expected += ["an action"] if log.actions else []
        raise too_many_bad_rows(
            read_dead_letters(inside),
            summary.bad_by_reason,
            summary.rows,
            plan.max_bad_fraction,
            kept,
            expected,
        )
    if not summary.splits:
        raise UserError(
            f"{where}: all {summary.rows:,} rows are before 'since' ({log.since}). Expected some after it. "
            "Mend 'since' in domain.yaml; look whether the timestamps are right."
        )
    empty = [split for split in SPLITS if split not in summary.splits]
    if empty:
        counts = ", ".join(f"{name} {part.count:,}" for name, part in summary.splits.items())
        raise UserError(f"{where}: {_why_empty(plan, ' and '.join(empty), counts)}")


def _why_empty(plan: InteractionPlan, empty: str, counts: str) -> str:
    """What to say of a split that got no interaction."""
    if isinstance(plan.split, TimeSplit):
        return (
            f"the time split leaves nothing in {empty} (found {counts}; column "
            f"{plan.interactions.timestamp.column!r}; interactions of the same second are never divided). "
            "Expected interactions spread over time. Give more interactions, or larger shares for eval and "
            "test under 'split' in domain.yaml; look whether the timestamps are right."
        )
    if plan.split_column:
        return (
            f"column {plan.split_column.name!r} leaves nothing in {empty} (found {counts}). Expected rows of "
            "every split. Mend the column, or the values under 'split' in domain.yaml."
        )
    return (
        f"leaving the last ones out leaves nothing in {empty} (found {counts}). Expected queries with at "
        "least three positive interactions. Give more interactions, or another 'split' in domain.yaml."
    )


def _size(file: str) -> int:
    system, path = locate(file)
    return system.get_file_info(path).size or 0


def _fresh_directory(path: str) -> tuple[pa_fs.FileSystem, str]:
    """An empty directory; what a killed run left there is gone."""
    system, place = locate(path)
    system.create_dir(place, recursive=True)
    system.delete_dir_contents(place)
    return system, place
