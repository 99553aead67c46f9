"""What ML Metadata knows: the last run's steps, and which executions and artifacts a model came from."""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as mlmd

from components.ingest.errors import UserError
from pipeline.metadata_file import check_metadata
from pipeline.run_root import RunRoot

State = Literal["done", "reused", "failed", "running", "canceled", "unknown"]

_STATES: Mapping[int, State] = {
    mlmd.Execution.NEW: "running",
    mlmd.Execution.RUNNING: "running",
    mlmd.Execution.COMPLETE: "done",
    mlmd.Execution.CACHED: "reused",
    mlmd.Execution.FAILED: "failed",
    mlmd.Execution.CANCELED: "canceled",
}
_OUTPUT_EVENTS = (mlmd.Event.OUTPUT, mlmd.Event.DECLARED_OUTPUT, mlmd.Event.INTERNAL_OUTPUT)
_INPUT_EVENTS = (mlmd.Event.INPUT, mlmd.Event.DECLARED_INPUT, mlmd.Event.INTERNAL_INPUT)
_RESULT = "__execution_result__"
_FINGERPRINT = "input_fingerprint"


@dataclasses.dataclass(frozen=True)
class Artifact:
    """An artifact.

    Attributes:
        id: In ML Metadata.
        type: As in ``Examples``.
        uri: Where it was written.
        properties: Its own and custom ones that are numbers or strings.
    """

    id: int
    type: str
    uri: str
    properties: Mapping[str, int | float | str]


@dataclasses.dataclass(frozen=True)
class Execution:
    """A step, once.

    Attributes:
        id: In ML Metadata.
        step: Node id.
        state: How it ended; ``reused``: an earlier execution's outputs were taken.
        started: Seconds since 1970 UTC.
        seconds: How long it took; None where it has not ended by itself.
        inputs: Input key and artifact.
        outputs: Output key and artifact.
        settings: Execution properties that are numbers or strings.
        error: What it failed of, as far as recorded.
    """

    id: int
    step: str
    state: State
    started: float
    seconds: float | None
    inputs: tuple[tuple[str, Artifact], ...]
    outputs: tuple[tuple[str, Artifact], ...]
    settings: Mapping[str, int | float | str]
    error: str

    def output(self, key: str) -> Artifact | None:
        """The first artifact of an output; None without one."""
        return next((artifact for name, artifact in self.outputs if name == key), None)


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """Which files an ingestion step read, as TFX recorded them: count, bytes and times of change.

    Attributes:
        table: Name of the input split.
        files: Their number.
        size: Bytes together.
        checksum: TFX' ``xor_checksum`` and ``sum_checksum`` of the files' times of last change.
    """

    table: str
    files: int
    size: int
    checksum: str


@dataclasses.dataclass(frozen=True)
class Record:
    """The last run of a pipeline and what came before it.

    Attributes:
        pipeline: The pipeline's name.
        run_id: The last run's.
        steps: The last run's executions, one a step, in order.
        history: All executions of the pipeline, oldest first.
    """

    pipeline: str
    run_id: str
    steps: Mapping[str, Execution]
    history: tuple[Execution, ...]

    def output(self, step: str, key: str) -> Artifact | None:
        """An output of a step in the last run, made by it or reused; None without one."""
        execution = self.steps.get(step)
        return execution.output(key) if execution and execution.state in ("done", "reused") else None

    def origin(self, artifact: Artifact) -> Execution | None:
        """The execution that made an artifact; None where ML Metadata does not say."""
        makers = [e for e in self.history if any(a.id == artifact.id for _, a in e.outputs)]
        return next((e for e in makers if e.state != "reused"), None)

    def ancestry(self, last: Execution) -> tuple[Execution, ...]:
        """The executions that an execution depends on through artifacts, and itself; oldest first."""
        found: dict[int, Execution] = {}
        waiting = [self._first(last)]
        while waiting:
            execution = waiting.pop()
            if execution.id not in found:
                found[execution.id] = execution
                waiting += [
                    maker for _, artifact in execution.inputs if (maker := self.origin(artifact)) is not None
                ]
        return tuple(sorted(found.values(), key=lambda execution: execution.id))

    def _first(self, execution: Execution) -> Execution:
        """The execution that did the work where this one reused it."""
        makers = (self.origin(artifact) for _, artifact in execution.outputs)
        return next((maker for maker in makers if maker is not None), execution)


def read_record(root: RunRoot) -> Record:
    """Reads a run root's ML Metadata, without changing it.

    Raises:
        UserError: If there is no run in it, or the file is no ML Metadata store.
    """
    if not os.path.lexists(root.metadata):
        raise _no_run(root)
    check_metadata(root)
    connection = mlmd.ConnectionConfig()
    connection.sqlite.filename_uri = str(root.metadata)
    connection.sqlite.connection_mode = mlmd.SqliteMetadataSourceConfig.READONLY
    try:
        store = metadata_store.MetadataStore(connection)
        runs = _contexts(store, "pipeline_run")
        if not runs:
            raise _no_run(root)
        return _last_run(store, runs)
    except (errors.StatusError, RuntimeError) as error:  # The latter from opening a file that is no database.
        raise UserError(
            f"{root.metadata} cannot be read as ML Metadata: {error}. Expected the store a run has left. "
            "Name another --root, or move the file away and run `westwork run` first."
        ) from error


def read_fingerprints(execution: Execution) -> list[Fingerprint]:
    """What an ingestion step recorded of its input files; empty for other steps."""
    found = []
    for line in str(execution.settings.get(_FINGERPRINT, "")).splitlines():
        parts = dict(part.partition(":")[::2] for part in line.split(","))
        found.append(
            Fingerprint(
                table=parts.get("split", ""),
                files=int(parts.get("num_files", 0)),
                size=int(parts.get("total_bytes", 0)),
                checksum=f"{parts.get('xor_checksum', '')} / {parts.get('sum_checksum', '')}",
            )
        )
    return found


def locate(uri: str, root: RunRoot) -> Path | None:
    """Where an artifact is now, also where the whole root has been moved; None where it is gone."""
    written = Path(uri)
    # TFX lays artifacts out as <step>/<output>/<execution> under the pipeline's root.
    moved = root.path.joinpath("artifacts", *written.parts[-3:])
    return next((path for path in (written, moved) if path.exists()), None)


def _no_run(root: RunRoot) -> UserError:
    return UserError(
        f"found no run in {root.path}, expected one to report on: run `westwork run` first, "
        "or name the --root of one."
    )


def _contexts(store: metadata_store.MetadataStore, kind: str) -> list[mlmd.Context]:
    try:
        return sorted(store.get_contexts_by_type(kind), key=lambda context: context.id)
    except errors.NotFoundError:
        return []


def _last_run(store: metadata_store.MetadataStore, runs: Sequence[mlmd.Context]) -> Record:
    last = runs[-1]
    members = {execution.id for execution in store.get_executions_by_context(last.id)}
    names = {context.name for id_ in members for context in _pipelines(store, id_)}
    pipeline = min(names, default="")
    steps_of = _steps(store, pipeline)
    history = _executions(store, steps_of)
    latest = {e.step: e for e in history if e.id in members}
    return Record(pipeline, last.name, latest, history)


def _pipelines(store: metadata_store.MetadataStore, execution_id: int) -> list[mlmd.Context]:
    contexts = store.get_contexts_by_execution(execution_id)
    return [context for context in contexts if context.type == "pipeline"]


def _steps(store: metadata_store.MetadataStore, pipeline: str) -> dict[int, tuple[str, mlmd.Execution]]:
    """Execution id to step and execution, of all runs of a pipeline."""
    prefix = f"{pipeline}."
    return {
        execution.id: (node.name.removeprefix(prefix), execution)
        for node in _contexts(store, "node")
        if node.name.startswith(prefix)
        for execution in store.get_executions_by_context(node.id)
    }


def _executions(
    store: metadata_store.MetadataStore, steps: Mapping[int, tuple[str, mlmd.Execution]]
) -> tuple[Execution, ...]:
    events = store.get_events_by_execution_ids(list(steps)) if steps else []
    ids = sorted({event.artifact_id for event in events})
    artifacts = {a.id: _artifact(a) for a in store.get_artifacts_by_id(ids)} if ids else {}
    ends: dict[tuple[int, bool], list[tuple[str, Artifact]]] = defaultdict(list)
    for event in events:
        if event.type in _OUTPUT_EVENTS or event.type in _INPUT_EVENTS:
            key = next((step.key for step in event.path.steps if step.HasField("key")), "")
            ends[event.execution_id, event.type in _OUTPUT_EVENTS].append((key, artifacts[event.artifact_id]))
    return tuple(
        _execution(execution, step, _ordered(ends[id_, False]), _ordered(ends[id_, True]))
        for id_, (step, execution) in sorted(steps.items())
    )


def _ordered(ends: Iterable[tuple[str, Artifact]]) -> tuple[tuple[str, Artifact], ...]:
    return tuple(sorted(ends, key=lambda end: (end[0], end[1].id)))


def _execution(
    execution: mlmd.Execution,
    step: str,
    inputs: tuple[tuple[str, Artifact], ...],
    outputs: tuple[tuple[str, Artifact], ...],
) -> Execution:
    state = _STATES.get(execution.last_known_state, "unknown")
    took = (execution.last_update_time_since_epoch - execution.create_time_since_epoch) / 1000
    return Execution(
        id=execution.id,
        step=step,
        state=state,
        started=execution.create_time_since_epoch / 1000,
        # A killed execution is marked as canceled by the next run, whenever that may be.
        seconds=took if state in ("done", "reused", "failed") else None,
        inputs=inputs,
        outputs=outputs,
        settings=_plain(execution.properties) | _plain(execution.custom_properties),
        error=execution.custom_properties[_RESULT].string_value
        if _RESULT in execution.custom_properties
        else "",
    )


def _artifact(artifact: mlmd.Artifact) -> Artifact:
    properties = _plain(artifact.properties) | _plain(artifact.custom_properties)
    return Artifact(artifact.id, artifact.type, artifact.uri, properties)


def _plain(properties: Mapping[str, mlmd.Value]) -> dict[str, int | float | str]:
    plain = {}
    for name, value in properties.items():
        kind = value.WhichOneof("value")
        if kind in ("int_value", "double_value", "string_value"):
            plain[name] = getattr(value, kind)
    return plain
