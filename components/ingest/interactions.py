"""InteractionGen's executor: the event log becomes examples that know their query's past.

One Beam pipeline, over Arrow record batches throughout: read and validate; count interactions by moment,
which gives the cut points and the number of partitions; bring each query's rows together by a hash of
its id; within a partition, find every history at once, encode, and write each split's shard.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import base_beam_executor
from tfx.dsl.io import fileio
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
from components.ingest.errors import UserError
from components.ingest.partition import WriteExamples, by_partition, combine_pieces, partition_count
from components.ingest.plan import CANDIDATES, INTERACTIONS, QUERIES, InteractionPlan
from components.ingest.reference_tables import read_candidate_ids, read_query_attributes
from components.ingest.split import SPLITS, MergeDistributions, TimeDistribution, cut_points
from components.ingest.summary import (
    IngestionSummary,
    SplitSummary,
    read_ingestion_summary,
    write_ingestion_summary,
)
from components.ingest.tables import check_columns, matching_files, read_batches
from components.ingest.validation import validate

_BAD = "bad"
_READ = "read"
_UNREADABLE = "unreadable"


def input_files(exec_properties: Mapping[str, Any]) -> dict[str, list[str]]:
    """The files of each input split, as the driver resolved them, sorted.

    Raises:
        UserError: If a split has none.
    """
    config = proto.Input()
    proto_utils.json_to_proto(exec_properties[standard_component_specs.INPUT_CONFIG_KEY], config)
    base = exec_properties[standard_component_specs.INPUT_BASE_KEY]
    return {split.name: matching_files(os.path.join(base, split.pattern)) for split in config.splits}


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
                the time split leaves a split empty.
        """
        plan = unpack(InteractionPlan, exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        files = input_files(exec_properties)
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        check_columns(plan.interactions, files[INTERACTIONS], [column.name for column in plan.columns])
        candidate_ids = read_candidate_ids(plan, files[CANDIDATES])
        if plan.queries is not None:
            # Read for its faults alone: an error inside Beam would lose its type, and so its message.
            read_query_attributes(plan, files[QUERIES])
        with self._make_beam_pipeline() as pipeline:
            _ingest(pipeline, plan, files, candidate_ids, examples.uri)
        summary = read_ingestion_summary(examples.uri)
        _check_outcome(summary, plan, examples.uri)
        set_splits(examples, SPLITS, exec_properties)


def _ingest(
    pipeline: beam.Pipeline,
    plan: InteractionPlan,
    files: Mapping[str, Sequence[str]],
    candidate_ids: pa.Array,
    uri: str,
) -> None:
    """The Beam graph, from files to shards, dead letters and summary."""
    catalogue = beam.pvalue.AsSingleton(pipeline | "Catalogue" >> beam.Create([candidate_ids]))
    good, bad, unreadable, read = (
        pipeline
        | "Files" >> beam.Create(list(files[INTERACTIONS]))
        | "SpreadFiles" >> beam.Reshuffle()
        | "ReadAndValidate"
        >> beam.ParDo(_ReadAndValidate(plan), catalogue).with_outputs(_BAD, _UNREADABLE, _READ, main="good")
    )
    distribution = beam.pvalue.AsSingleton(
        good
        | "CountByMoment" >> beam.Map(lambda batch: TimeDistribution.of(batch.column("timestamp").to_numpy()))
        | "MergeCounts" >> beam.CombineGlobally(MergeDistributions())
    )
    streams = {
        INTERACTIONS: good | "PartitionInteractions" >> beam.FlatMap(_partition, "query", distribution)
    }
    streams[QUERIES] = (
        pipeline
        | "QueryFiles" >> beam.Create([list(files[QUERIES])] if plan.queries else [])
        | "ReadQueries" >> beam.FlatMap(lambda paths: read_query_attributes(plan, paths).to_batches())
        | "PartitionQueries"
        >> beam.FlatMap(_partition, plan.queries.id if plan.queries else "", distribution)
    )
    pieces = (
        streams
        | "GroupByPartition" >> beam.CoGroupByKey()
        | "WriteExamples" >> beam.ParDo(WriteExamples(plan, uri), distribution)
    )
    letters = (
        bad
        | "GatherDeadLetters" >> beam.combiners.ToList()
        | "WriteDeadLetters" >> beam.Map(write_dead_letters, os.path.join(uri, DEAD_LETTERS_FILE))
    )
    _ = (
        pipeline
        | "Once" >> beam.Create([(plan, tuple(files[INTERACTIONS]), len(candidate_ids), uri)])
        | "Summarise"
        >> beam.Map(
            _summarise,
            rows=beam.pvalue.AsSingleton(read | "CountRows" >> beam.CombineGlobally(sum)),
            by_reason=beam.pvalue.AsSingleton(letters),
            distribution=distribution,
            pieces=beam.pvalue.AsList(pieces),
            unreadable=beam.pvalue.AsList(unreadable),
        )
    )


class _ReadAndValidate(beam.DoFn):
    """File path to record batches of usable rows; dead letters, row counts and faults on the side."""

    def __init__(self, plan: InteractionPlan) -> None:
        self._plan = plan

    def process(self, element: str, candidate_ids: pa.Array) -> Iterator[Any]:
        names = [column.name for column in self._plan.columns]
        try:
            for rows in read_batches(self._plan.interactions, element, names):
                good, bad = validate(rows, self._plan, candidate_ids)
                yield beam.pvalue.TaggedOutput(_READ, good.num_rows + bad.num_rows)
                if good.num_rows:
                    yield good
                if bad.num_rows:
                    yield beam.pvalue.TaggedOutput(_BAD, bad)
        except UserError as error:
            yield beam.pvalue.TaggedOutput(_UNREADABLE, str(error))


def _partition(
    batch: pa.RecordBatch, ids: str, distribution: TimeDistribution
) -> Iterator[tuple[int, pa.RecordBatch]]:
    return by_partition(batch, ids, partition_count(distribution))


def _summarise(
    once: tuple[InteractionPlan, tuple[str, ...], int, str],
    rows: int,
    by_reason: dict[str, int],
    distribution: TimeDistribution,
    pieces: Sequence[tuple[str, SplitSummary]],
    unreadable: Sequence[str],
) -> None:
    plan, files, candidates, uri = once
    cuts = cut_points(distribution, plan.split)
    summary = IngestionSummary(
        files=files,
        rows=rows,
        bad=sum(by_reason.values()),
        bad_by_reason=by_reason,
        candidates=candidates,
        eval_from=cuts.eval_from if cuts else None,
        test_from=cuts.test_from if cuts else None,
        splits=combine_pieces(pieces),
        unreadable=tuple(sorted(unreadable)),
    )
    write_ingestion_summary(summary, uri)


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
    if summary.bad > plan.max_bad_fraction * summary.rows:
        # TFX removes a failed step's output directory; what is beside it stays.
        inside, kept = os.path.join(uri, DEAD_LETTERS_FILE), f"{uri.rstrip('/')}.{DEAD_LETTERS_FILE}"
        fileio.copy(inside, kept, overwrite=True)
        log = plan.interactions
        raise too_many_bad_rows(
            read_dead_letters(inside),
            summary.bad_by_reason,
            summary.rows,
            plan.max_bad_fraction,
            kept,
            [log.query_id, log.candidate_id],
        )
    empty = [split for split in SPLITS if split not in summary.splits]
    if empty:
        counts = ", ".join(f"{name} {part.count:,}" for name, part in summary.splits.items())
        raise UserError(
            f"{where}: the time split leaves nothing in {' and '.join(empty)} (found {counts}; column "
            f"{plan.interactions.timestamp.column!r}; interactions of the same second are never divided). "
            "Expected interactions spread over time. Give more interactions, or larger shares for eval and "
            "test under 'split' in domain.yaml; look whether the timestamps are right."
        )
