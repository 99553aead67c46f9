"""The two ingestion steps as TFX nodes."""

from __future__ import annotations

from tfx.dsl.components.base import executor_spec
from tfx.v1 import proto

from components.ingest import candidates, interactions
from components.ingest.custom_config import pack
from components.ingest.declaration import Declaration, Table
from components.ingest.files.file_patterns import as_glob
from components.ingest.files.tables import directory_glob, joined
from components.ingest.plan import CANDIDATES, QUERIES, CandidatePlan, InteractionPlan, source_split
from components.ingest.table_gen import TableGen


def interaction_gen(declaration: Declaration, data_dir: str) -> TableGen:
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
    input_base, input_config = _inputs(tables, data_dir)
    return TableGen(
        input_base=input_base,
        input_config=input_config,
        # The executor knows the splits; TFX would divide by hash, or copy the input's.
        output_config=proto.Output(),
        custom_config=pack(InteractionPlan.of(declaration)),
        custom_executor_spec=executor_spec.BeamExecutorSpec(interactions.Executor),
    ).with_id("InteractionGen")


def candidate_gen(declaration: Declaration, data_dir: str) -> TableGen:
    """Returns the node ``CandidateGen``; its output ``examples`` has the one split ``catalogue``.

    Args:
        declaration: The data half of the domain file.
        data_dir: Directory that relative file patterns start from.
    """
    plan = CandidatePlan.of(declaration)
    log = _log(declaration) if plan.log else {}
    input_base, input_config = _inputs({**log, **_catalogue(declaration)}, data_dir)
    return TableGen(
        input_base=input_base,
        input_config=input_config,
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


def _inputs(tables: dict[str, Table], data_dir: str) -> tuple[str, proto.Input]:
    """The glob of the data directory, and an input split a table.

    TFX joins both as paths: an absolute pattern stays itself then, but a URI would not. Where one is named,
    all patterns are made whole, and the base is empty.

    Spans are the executor's to tell apart: TFX' driver would take the newest alone, the same of every
    table, where a log is the newest few of them and a catalogue may have none.
    """
    base = directory_glob(data_dir)
    patterns = {name: as_glob(table.files) for name, table in tables.items()}
    if any("://" in pattern for pattern in patterns.values()):
        patterns = {name: joined(base, pattern) for name, pattern in patterns.items()}
        base = ""
    splits = [proto.Input.Split(name=name, pattern=pattern) for name, pattern in patterns.items()]
    return base, proto.Input(splits=splits)
