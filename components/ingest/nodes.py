"""The two ingestion steps as TFX nodes."""

from __future__ import annotations

from tfx.components import FileBasedExampleGen
from tfx.dsl.components.base import executor_spec
from tfx.v1 import proto

from components.ingest import candidates, interactions
from components.ingest.custom_config import pack
from components.ingest.declaration import Declaration, Table
from components.ingest.files.file_patterns import as_glob
from components.ingest.files.tables import absolute_directory
from components.ingest.plan import CANDIDATES, QUERIES, CandidatePlan, InteractionPlan, source_split


def interaction_gen(declaration: Declaration, data_dir: str) -> FileBasedExampleGen:
    """Returns the node ``InteractionGen``.

    It runs again when a file of the log, the catalogue or the queries table changes, or what the
    declaration says of how to read them. Output ``examples`` has the splits train, eval and test.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
    """
    tables = {**_log(declaration), **_catalogue(declaration)}
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
    plan = CandidatePlan.of(declaration)
    log = _log(declaration) if plan.log else {}
    return FileBasedExampleGen(
        input_base=absolute_directory(data_dir),
        input_config=_input_config({**log, **_catalogue(declaration)}),
        output_config=proto.Output(),
        custom_config=pack(plan),
        custom_executor_spec=executor_spec.BeamExecutorSpec(candidates.Executor),
    ).with_id("CandidateGen")


def _log(declaration: Declaration) -> dict[str, Table]:
    """The event log's sources by input split."""
    return {source_split(number): source for number, source in enumerate(declaration.interactions.sources)}


def _catalogue(declaration: Declaration) -> dict[str, Table]:
    """The catalogue by input split; nothing where it is made of the log."""
    return {} if declaration.candidates.made_from else {CANDIDATES: declaration.candidates}


def _input_config(tables: dict[str, Table]) -> proto.Input:
    """An input split a table. An absolute pattern stays itself when joined to the input base.

    Spans are the executor's to tell apart: TFX' driver would take the newest alone, the same of every
    table, where a log is the newest few of them and a catalogue may have none.
    """
    return proto.Input(
        splits=[proto.Input.Split(name=name, pattern=as_glob(table.files)) for name, table in tables.items()]
    )
