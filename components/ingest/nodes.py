"""The two ingestion steps as TFX nodes."""

from __future__ import annotations

from tfx.components import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.v1 import proto

from components.ingest import candidates, interactions
from components.ingest.custom_config import pack
from components.ingest.declaration import Declaration, Table
from components.ingest.plan import CANDIDATES, INTERACTIONS, QUERIES, CandidatePlan, InteractionPlan
from components.ingest.tables import absolute_directory


def interaction_gen(declaration: Declaration, data_dir: str) -> FileBasedExampleGen:
    """Returns the node ``InteractionGen``.

    It runs again when a file of the log, the catalogue or the queries table changes, or what the
    declaration says of how to read them. Output ``examples`` has the splits train, eval and test.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
    """
    tables: dict[str, Table] = {
        INTERACTIONS: declaration.interactions,
        CANDIDATES: declaration.candidates,
    }
    if declaration.queries is not None:
        tables[QUERIES] = declaration.queries
    return FileBasedExampleGen(
        input_base=absolute_directory(data_dir),
        input_config=_input_config(tables),
        # The executor knows the splits; TFX would divide by hash, or copy the input's.
        output_config=proto.Output(),
        custom_config=pack(InteractionPlan.of(declaration)),
        custom_executor_spec=executor_spec.BeamExecutorSpec(interactions.Executor),
    ).with_id("InteractionGen")


def candidate_gen(declaration: Declaration, data_dir: str) -> FileBasedExampleGen:
    """Returns the node ``CandidateGen``; its output ``examples`` has the one split ``catalogue``.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
    """
    return FileBasedExampleGen(
        input_base=absolute_directory(data_dir),
        input_config=_input_config({CANDIDATES: declaration.candidates}),
        output_config=proto.Output(),
        custom_config=pack(CandidatePlan.of(declaration)),
        custom_executor_spec=executor_spec.BeamExecutorSpec(candidates.Executor),
    ).with_id("CandidateGen")


def _input_config(tables: dict[str, Table]) -> proto.Input:
    """An input split a table. An absolute pattern stays itself when joined to the input base."""
    return proto.Input(
        splits=[proto.Input.Split(name=name, pattern=table.files) for name, table in tables.items()]
    )
