"""InteractionGen's executor: the event log becomes examples that know their query's past.

One Beam pipeline, over Arrow record batches throughout: read and validate parts of files, spilling usable
rows by a hash of the query's id; learn from all parts the cut points and the number of partitions; within a
partition, find every history at once, encode, and write each split's shard. Rows go by way of files, so
what Beam holds and moves are names and counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pa_fs
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import proto_utils
from tfx.v1 import proto

from components.ingest.beam_graph import build
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
from components.ingest.files.same_files import refuse_files_twice
from components.ingest.files.tables import all_left_out, check_columns, matching_files
from components.ingest.files.time_formats import advice_on_times
from components.ingest.plan import CANDIDATES, QUERIES, InteractionPlan, source_split
from components.ingest.reading import LogPart, write_catalogue
from components.ingest.reference_tables import read_candidate_ids, stub_ids, with_stubs
from components.ingest.split import SPLITS
from components.ingest.summary import IngestionSummary, read_ingestion_summary, write_ingestion_summary
from components.ingest.worker_processes import with_worker_processes

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
    return {split.name: matching_files(base, split.pattern) for split in config.splits}


def log_files(plan: InteractionPlan, found: Mapping[str, Sequence[str]]) -> list[SpanFiles]:
    """The files to read of each source: those of the newest spans, where there are spans.

    Args:
        plan: Names the sources.
        found: The files by input split.

    Raises:
        UserError: If no file of a source fits its pattern, or a file would be read twice.
    """
    sources = plan.interactions.sources
    log = [
        newest_spans(source.files, found[source_split(number)], plan.interactions.spans)
        for number, source in enumerate(sources)
    ]
    refuse_files_twice([(source, part.files) for source, part in zip(sources, log, strict=True)])
    return log


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
        log = log_files(plan, found)
        for source, span_files in zip(plan.interactions.sources, log, strict=True):
            check_columns(source, span_files.files, [column.name for column in plan.columns(source)])
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        queries: Sequence[str] = ()
        if plan.queries is not None:
            queries = newest_spans(plan.queries.files, found[QUERIES], 1).files
            check_columns(plan.queries, queries, [plan.queries.id, *(c.name for c in plan.attributes)])
        ids, stubs = _candidate_ids(plan, found, log)
        system, work = _fresh_directory(os.path.join(examples.uri, _WORK))
        try:
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
            build(pipeline, plan, parts, files, queries, os.path.join(uri, _WORK), uri)


def _candidate_ids(
    plan: InteractionPlan, found: Mapping[str, Sequence[str]], log: Sequence[SpanFiles]
) -> tuple[pa.Array, pa.Array]:
    """The ids of all candidates, ascending bytewise, and those of the stubs among them.

    Args:
        plan: Says where they are.
        found: The files by input split.
        log: The log's files by source.
    """
    of_log = dict(enumerate(part.files for part in log))
    nothing = pa.array([], pa.string())
    if plan.candidates.made_from:
        return stub_ids(plan, of_log, nothing), nothing
    files = newest_spans(plan.candidates.files, found[CANDIDATES], 1).files
    ids = read_candidate_ids(plan, files)
    stubs = stub_ids(plan, of_log, ids) if plan.interactions.unknown_candidates == "stub" else nothing
    return with_stubs(ids, stubs), stubs


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


def _finish(plan: InteractionPlan, uri: str, candidates: int, stubs: int, log: Sequence[SpanFiles]) -> None:
    """Completes the summary, brings the dead letters together, and judges."""
    summary = read_ingestion_summary(uri)
    span = next((part.newest for part in log if part.newest is not None), None)
    remarks = (part.remark(source.files) for source, part in zip(plan.interactions.sources, log, strict=True))
    summary = summary.model_copy(
        update={
            "candidates": candidates,
            "stubs": stubs,
            "span": span,
            "remarks": tuple(remark for remark in remarks if remark),
        }
    )
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
            f"{where}: found no rows below the header; expected interactions. Fill the file, or correct "
            "'files' in domain.yaml."
        )
    log = plan.interactions
    if summary.bad > plan.max_bad_fraction * summary.asked_for:
        # TFX removes a failed step's output directory; what is beside it stays.
        inside, kept = os.path.join(uri, DEAD_LETTERS_FILE), f"{uri.rstrip('/')}.{DEAD_LETTERS_FILE}"
        write_dead_letters(read_dead_letters(inside), kept)
        expected = [f"ids in {log.query_id!r} and {log.candidate_id!r}"]
        expected += [] if plan.timestamp_column is None else [plan.timestamp_column.expected]
        expected += ["a rating"] if log.rating else []
        expected += ["an action"] if log.actions else []
        error = too_many_bad_rows(
            read_dead_letters(inside),
            summary.bad_by_reason,
            summary.asked_for,
            plan.max_bad_fraction,
            kept,
            expected,
        )
        advice = _advice_on_times(plan, inside)
        raise error if advice is None else UserError(f"{error}\n{advice}.")
    if summary.left_out == summary.rows:
        raise UserError(all_left_out(where, summary.rows))
    if not summary.splits:
        raise UserError(
            f"{where}: all {summary.rows:,} rows are before 'since' ({log.since}). Expected some after it. "
            "Correct 'since' in domain.yaml; look whether the timestamps are right."
        )
    empty = [split for split in SPLITS if split not in summary.splits]
    if empty:
        counts = ", ".join(f"{name} {part.count:,}" for name, part in summary.splits.items())
        raise UserError(f"{where}: {_why_empty(plan, ' and '.join(empty), counts)}")


def _advice_on_times(plan: InteractionPlan, letters: str) -> str | None:
    """What to set so that the refused times can be read; None where that is not known."""
    when = plan.interactions.timestamp
    if not when.has_time:
        return None
    values = [
        batch["value"].filter(pc.fill_null(pc.equal(batch["column"], when.column), False))
        for batch in read_dead_letters(letters)
    ]
    return advice_on_times(pa.chunked_array(values, pa.string()), "interactions.timestamp")


def _why_empty(plan: InteractionPlan, empty: str, counts: str) -> str:
    """What to say of a split that got no interaction."""
    if isinstance(plan.split, TimeSplit) and plan.interactions.timestamp.order == "rows":
        return (
            f"the split by the rows' order leaves nothing in {empty} (found {counts}). Give more "
            "interactions, or larger shares for eval and test under 'split' in domain.yaml."
        )
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
            "every split. Correct the column, or the values under 'split' in domain.yaml."
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
