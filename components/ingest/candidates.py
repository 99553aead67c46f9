"""CandidateGen's executor: the catalogue becomes candidate examples, ordered by id.

Runs in one place, without a Beam graph: the order is global and ids are unique over all files, and a
catalogue is small beside its event log.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from absl import logging
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_component_specs

from components.ingest.custom_config import unpack
from components.ingest.declaration import CATALOGUE_SPLIT
from components.ingest.examples import ENCODED_ROWS, encode_examples
from components.ingest.files.file_patterns import newest_spans
from components.ingest.files.tables import read_columns
from components.ingest.interactions import input_files, log_files, set_splits
from components.ingest.log_catalogue import catalogue_of_log
from components.ingest.plan import CANDIDATES, CandidatePlan
from components.ingest.reference_tables import stub_ids
from components.ingest.tfrecord import write_shard

ROWS_PER_SHARD = 1 << 18
"""Candidates a file holds; the files' names sort like the ids in them."""


class Executor(base_beam_executor.BaseBeamExecutor):
    """Writes the one split ``catalogue``, every candidate once, ascending by id, bytewise."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step.

        Raises:
            UserError: If a file is missing, unreadable or lacks a column, a cell is of the wrong type, an
                id is missing or comes twice, or no row of a log that is to be the catalogue can be used.
        """
        plan = unpack(CandidatePlan, exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        found = input_files(exec_properties)
        catalogue = _read_catalogue(plan, found)
        examples = artifact_utils.get_single_instance(output_dict[standard_component_specs.EXAMPLES_KEY])
        directory = os.path.join(examples.uri, f"Split-{CATALOGUE_SPLIT}")
        shards = -(-catalogue.num_rows // ROWS_PER_SHARD)
        for shard in range(shards):
            rows = catalogue.slice(shard * ROWS_PER_SHARD, ROWS_PER_SHARD)
            chunks = (_encode(rows.slice(at, ENCODED_ROWS)) for at in range(0, rows.num_rows, ENCODED_ROWS))
            write_shard(directory, shard, shards, chunks)
        set_splits(examples, [CATALOGUE_SPLIT], exec_properties)


def _read_catalogue(plan: CandidatePlan, found: Mapping[str, Sequence[str]]) -> pa.Table:
    """The candidates, by id.

    Args:
        plan: What to read.
        found: The files by input split.
    """
    log = {}
    if plan.log is not None:
        log = dict(enumerate(part.files for part in log_files(plan.log, found)))
    if plan.candidates.made_from:
        return catalogue_of_log(plan, log)
    files = newest_spans(plan.candidates.files, found[CANDIDATES], 1).files
    key = plan.candidates.id
    catalogue = read_columns(plan.candidates, files, plan.columns, key, logging.warning)
    if plan.log is not None:
        stubs = stub_ids(plan.log, log, catalogue[key].combine_chunks())
        catalogue = _with_stubs(catalogue, stubs, key)
    return catalogue


def _encode(rows: pa.Table) -> pa.Array:
    # take copies: the encoder looks at a column's buffers, which a slice shares with its neighbours.
    copied = rows.take(pa.array(range(rows.num_rows)))
    return encode_examples({name: copied[name].combine_chunks() for name in copied.column_names})


def _with_stubs(catalogue: pa.Table, stubs: pa.Array, key: str) -> pa.Table:
    """The catalogue with a row for each stub, which has an id and nothing else."""
    rows = [stubs if field.name == key else pa.nulls(len(stubs), field.type) for field in catalogue.schema]
    whole = pa.concat_tables([catalogue, pa.table(rows, schema=catalogue.schema)])
    return whole.sort_by(key).combine_chunks()
