"""Runs the first steps of a domain's pipeline, for what needs no more of it than their outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from tfx import v1 as tfx
from tfx.dsl.compiler import compiler
from tfx.proto.orchestration import pipeline_pb2

from pipeline.domain import Domain
from pipeline.graph import create_pipeline, local_places
from pipeline.local_runner import Artifacts, ReportingDagRunner, Send
from pipeline.run_root import RunRoot


def run_up_to(steps: Iterable[str], domain: Domain, root: Path, send: Send) -> Mapping[str, Artifacts]:
    """Runs some steps of a domain's pipeline and those they need; what a run has done already is reused.

    Args:
        steps: Node ids.
        domain: The domain.
        root: Root of the run; holds the data already.
        send: Called for each event.

    Returns:
        Step to its outputs, of all that were run or reused.

    Raises:
        StepFailed: If a step fails.
    """
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(RunRoot(root).metadata))
    pipeline = compiler.Compiler().compile(create_pipeline(domain, local_places(root), metadata=connection))
    _keep_only(pipeline, steps)
    runner = ReportingDagRunner(send)
    runner.run_with_ir(pipeline)
    return runner.outputs


def _keep_only(pipeline: pipeline_pb2.Pipeline, steps: Iterable[str]) -> None:
    """Removes all nodes from a compiled pipeline but some and those they need."""
    needed = set(steps)
    # They are in topological order.
    for node in reversed(pipeline.nodes):
        if node.pipeline_node.node_info.id in needed:
            needed.update(node.pipeline_node.upstream_nodes)
    kept = [node for node in pipeline.nodes if node.pipeline_node.node_info.id in needed]
    copies = [type(node).FromString(node.SerializeToString()) for node in kept]
    del pipeline.nodes[:]
    pipeline.nodes.extend(copies)
