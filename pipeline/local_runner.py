"""TFX' local runner that tells about each step; and the process ``westwork run`` runs a domain in."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.dsl.compiler import constants
from tfx.orchestration import metadata
from tfx.orchestration.local import local_dag_runner, runner_utils
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.orchestration.portable.mlmd import context_lib, execution_lib
from tfx.proto.orchestration import pipeline_pb2
from tfx.types import standard_artifacts

from pipeline import beam_internals
from pipeline.failures import explain
from pipeline.run_events import (
    EndState,
    Event,
    EventWriter,
    Failed,
    Planned,
    StepEnded,
    StepStarted,
    Summarised,
)
from pipeline.run_process import add_child_arguments, die_with_parent

if TYPE_CHECKING:
    from pipeline.domain import Domain

Artifacts = Mapping[str, Sequence[metadata_store_pb2.Artifact]]
"""A step's outputs by key."""
Send = Callable[[Event], None]

REPORT_STEP = "Report"
"""What the summary page is called among the steps; it is no node of the pipeline."""

_BLESSED = "blessed"
_END_STATES: Mapping[int, EndState] = {
    metadata_store_pb2.Execution.COMPLETE: "done",
    metadata_store_pb2.Execution.CACHED: "cached",
}


class StepFailed(Exception):
    """A step failed. Its cause is the exception, or there is none where TFX only recorded the failure.

    Attributes:
        step: Node id.
        seconds: How long the step had run.
    """

    def __init__(self, step: str, message: str, seconds: float) -> None:
        """Keep what :class:`~pipeline.run_events.Failed` needs."""
        super().__init__(message)
        self.step = step
        self.seconds = seconds


@dataclass(frozen=True)
class _Outcome:
    state: int
    error: str
    artifacts: Artifacts
    blessed: bool | None


class ReportingDagRunner(local_dag_runner.LocalDagRunner):
    """LocalDagRunner that sends an event when a step starts and when it ends.

    Each node is run by LocalDagRunner itself, as a pipeline of one node within the same pipeline run.

    Attributes:
        outputs: After a run, each step's output artifacts.
    """

    def __init__(self, send: Send, later_steps: Sequence[str] = ()) -> None:
        """Prepare a runner.

        Args:
            send: Called for each event.
            later_steps: Announced after the nodes, though the caller runs them.
        """
        super().__init__()
        beam_internals.remember()
        self._send = send
        self._later_steps = tuple(later_steps)
        self.outputs: dict[str, Artifacts] = {}

    def run_with_ir(
        self, pipeline: pipeline_pb2.Pipeline, run_options: pipeline_pb2.RunOptions | None = None
    ) -> None:
        """Run a compiled pipeline.

        Args:
            pipeline: The pipeline; its nodes are in topological order.
            run_options: Not supported: caching takes the place of partial runs here.

        Raises:
            ValueError: If there are run options.
            StepFailed: If a step fails; later ones are not run.
        """
        if run_options is not None:
            raise ValueError("partial runs are not supported; unchanged steps are cached instead")
        runtime_parameter_utils.substitute_runtime_parameter(
            pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: datetime.now().isoformat()}
        )
        deployment = runner_utils.extract_local_deployment_config(pipeline).metadata_connection_config
        connection = getattr(deployment, deployment.WhichOneof("connection_config"))
        _cancel_abandoned_executions(connection)
        _forget_refused_checks(connection)
        steps = tuple(node.pipeline_node.node_info.id for node in pipeline.nodes)
        self._send(Planned(steps=steps + self._later_steps))
        for step in steps:
            self._run_step(pipeline, step, connection)

    def _run_step(
        self, pipeline: pipeline_pb2.Pipeline, step: str, connection: metadata_store_pb2.ConnectionConfig
    ) -> None:
        alone = pipeline_pb2.Pipeline()
        alone.CopyFrom(pipeline)
        del alone.nodes[:]
        alone.nodes.extend(node for node in pipeline.nodes if node.pipeline_node.node_info.id == step)
        self._send(StepStarted(step=step))
        started = time.monotonic()
        try:
            super().run_with_ir(alone)
        except Exception as error:
            raise StepFailed(step, str(error), time.monotonic() - started) from error
        seconds = time.monotonic() - started
        outcome = _outcome(connection, alone.nodes[0].pipeline_node)
        if outcome is None:
            self._send(StepEnded(step=step, state="skipped", seconds=seconds))
            return
        # The launcher records a failure to resolve inputs, and returns as if nothing had happened.
        if outcome.state not in _END_STATES:
            raise StepFailed(step, outcome.error, seconds)
        self.outputs[step] = outcome.artifacts
        self._send(
            StepEnded(step=step, state=_END_STATES[outcome.state], seconds=seconds, blessed=outcome.blessed)
        )


def _cancel_abandoned_executions(connection: metadata_store_pb2.ConnectionConfig) -> None:
    """Record that executions which a killed run left as running are over; the root's lock says they are."""
    with metadata.Metadata(connection) as handle:
        abandoned = [e for e in handle.store.get_executions() if execution_lib.is_execution_active(e)]
        for execution in abandoned:
            execution.last_known_state = metadata_store_pb2.Execution.CANCELED
        if abandoned:
            handle.store.put_executions(abandoned)


def _forget_refused_checks(connection: metadata_store_pb2.ConnectionConfig) -> None:
    """Have models that were found not servable be checked again: a busy machine may have been the reason.

    Outputs that are not live are not reused. What the Evaluator refuses it refuses every time.
    """
    with metadata.Metadata(connection) as handle:
        blessings = handle.store.get_artifacts_by_type(standard_artifacts.InfraBlessing.TYPE_NAME)
        refused = [artifact for artifact in blessings if not artifact.custom_properties[_BLESSED].int_value]
        for artifact in refused:
            artifact.state = metadata_store_pb2.Artifact.DELETED
        if refused:
            handle.store.put_artifacts(refused)


def _outcome(
    connection: metadata_store_pb2.ConnectionConfig, node: pipeline_pb2.PipelineNode
) -> _Outcome | None:
    """What ML Metadata knows of a node in this pipeline run; None where it was not executed."""
    with metadata.Metadata(connection) as handle:
        contexts = context_lib.prepare_contexts(metadata_handle=handle, node_contexts=node.contexts)
        executions = execution_lib.get_executions_associated_with_all_contexts(handle, contexts)
        if not executions:
            return None
        (execution,) = executions
        artifacts = execution_lib.get_output_artifacts(handle, execution.id)
        result = execution.custom_properties["__execution_result__"].string_value
        return _Outcome(
            state=execution.last_known_state,
            error=result or metadata_store_pb2.Execution.State.Name(execution.last_known_state),
            artifacts={key: [item.mlmd_artifact for item in items] for key, items in artifacts.items()},
            blessed=_decision(item for items in artifacts.values() for item in items),
        )


def _decision(artifacts: Iterable[types.Artifact]) -> bool | None:
    """What a step decided of the model; None where it decided nothing."""
    blessings = (standard_artifacts.ModelBlessing.TYPE_NAME, standard_artifacts.InfraBlessing.TYPE_NAME)
    decided = [
        artifact.get_int_custom_property(_BLESSED) == 1
        for artifact in artifacts
        # An Evaluator without bounds leaves its blessing without a decision.
        if artifact.type_name in blessings and artifact.has_custom_property(_BLESSED)
    ]
    return all(decided) if decided else None


def tell_failure(error: BaseException, send: Send) -> None:
    """Log an error with its traceback and send it as an event."""
    traceback.print_exception(error)
    if isinstance(error, StepFailed):
        message, is_users = explain(error.__cause__ or error)
        if error.__cause__ is None and not is_users:
            message = str(error)
        send(Failed(step=error.step, message=message, user_error=is_users))
    else:
        message, is_users = explain(error)
        send(Failed(step=None, message=message, user_error=is_users))


def run_as_child(arguments: argparse.Namespace, run: Callable[[Send], None]) -> int:
    """Be the child of :func:`pipeline.run_process.follow`.

    Args:
        arguments: Parsed, with those of :func:`pipeline.run_process.add_child_arguments`.
        run: Does the work; sends events.

    Returns:
        The process's exit code: 1 if ``run`` raised, which has been told then.
    """
    die_with_parent(arguments.parent_pid)
    with EventWriter(arguments.events_fd) as events:
        try:
            run(events.send)
        except Exception as error:
            tell_failure(error, events.send)
            return 1
    return 0


def run_domain(name: str, overrides: Sequence[str], root: Path, use_cache: bool, send: Send) -> None:
    """Run a domain's pipeline, write the report, and send the summary.

    Args:
        name: The domain, as :func:`pipeline.domain.load_domain` takes it.
        overrides: ``key=value`` settings.
        root: Root of the run; holds the data already.
        use_cache: Whether unchanged steps are reused.
        send: Called for each event.

    Raises:
        UserError: If the domain is wrong.
        StepFailed: If a step fails, the report among them.
    """
    from pipeline.domain import load_domain
    from pipeline.graph import create_pipeline, local_places
    from pipeline.outcome import collect_summary
    from pipeline.run_root import RunRoot

    domain, places = load_domain(name, overrides), RunRoot(root)
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(places.metadata))
    pipeline = create_pipeline(domain, local_places(root), metadata=connection, enable_cache=use_cache)
    runner = ReportingDagRunner(send, later_steps=[REPORT_STEP])
    runner.run(pipeline)
    summary = collect_summary(runner.outputs)
    send(StepStarted(step=REPORT_STEP))
    started = time.monotonic()
    try:
        report = _write_report(root, domain)
    except Exception as error:
        # The run's result stands without its report.
        send(Summarised(summary=summary))
        raise StepFailed(REPORT_STEP, str(error), time.monotonic() - started) from error
    send(StepEnded(step=REPORT_STEP, state="done", seconds=time.monotonic() - started))
    send(Summarised(summary=summary.model_copy(update={"report": str(report)})))


def _write_report(root: Path, domain: Domain) -> Path:
    from pipeline.report import write_report

    return write_report(root, domain)


def main(argv: Sequence[str] | None = None) -> int:
    """The child process of ``westwork run``."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.local_runner", description=__doc__)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--no-cache", action="store_true")
    add_child_arguments(parser)
    given = parser.parse_args(argv)

    def run(send: Send) -> None:
        run_domain(given.domain, given.overrides, given.root, not given.no_cache, send)

    return run_as_child(given, run)


if __name__ == "__main__":
    sys.exit(main())
