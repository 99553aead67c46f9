"""What trials train on: the pipeline's own data, as its Transform steps leave them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tfx import v1 as tfx
from tfx.components.trainer.fn_args_utils import FnArgs
from tfx.dsl.compiler import compiler
from tfx.proto.orchestration import pipeline_pb2

from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.retrieval.config import Debias
from components.retrieval.node import CANDIDATE_FILES_KEY, CANDIDATE_GRAPH_KEY
from components.retrieval.training_inputs import TrainingInputs, read_training_inputs
from components.transform.interactions import DECLARATION_KEY
from pipeline.domain import Domain
from pipeline.graph import create_pipeline, local_places
from pipeline.local_runner import ReportingDagRunner, Send
from pipeline.run_root import RunRoot

_LAST_STEPS = ("InteractionTransform", "CandidateTransform")


@dataclass(frozen=True)
class TransformedData:
    """Where the transformed data of a domain are.

    Attributes:
        declaration: What the domain declares about them.
        interactions: URI of the interaction examples, a folder a split.
        interaction_graph: URI of their transform graph.
        candidates: URI of the candidate examples.
        candidate_graph: URI of theirs.
    """

    declaration: Declaration
    interactions: str
    interaction_graph: str
    candidates: str
    candidate_graph: str

    def read(self, *, positives_only: bool, debias: Debias | None) -> TrainingInputs:
        """Reads what the RetrievalTrainer would be given; the test split is not looked at.

        Raises:
            UserError: If the train or the eval split has no such interaction.
        """
        train, validation = (
            os.path.join(self.interactions, f"Split-{split}", "*.gz") for split in ("train", "eval")
        )
        catalogue = os.path.join(self.candidates, f"Split-{CATALOGUE_SPLIT}", "*.gz")
        custom_config = {
            DECLARATION_KEY: self.declaration.model_dump_json(),
            CANDIDATE_FILES_KEY: catalogue,
            CANDIDATE_GRAPH_KEY: self.candidate_graph,
        }
        fn_args = FnArgs(
            train_files=[train],
            eval_files=[validation],
            transform_graph_path=self.interaction_graph,
            custom_config=custom_config,
        )
        return read_training_inputs(fn_args, positives_only=positives_only, debias=debias)


def transformed_data(domain: Domain, root: Path, send: Send) -> TransformedData:
    """Runs a domain's pipeline up to its Transform steps; what a run has done already is reused.

    Args:
        domain: The domain.
        root: Root of the run; holds the data already.
        send: Called for each event.

    Raises:
        StepFailed: If a step fails.
    """
    connection = tfx.orchestration.metadata.sqlite_metadata_connection_config(str(RunRoot(root).metadata))
    pipeline = compiler.Compiler().compile(
        create_pipeline(domain, local_places(domain, root), metadata=connection)
    )
    _keep_only(pipeline, _LAST_STEPS)
    runner = ReportingDagRunner(send)
    runner.run_with_ir(pipeline)

    def uri(step: str, output: str) -> str:
        (artifact,) = runner.outputs[step][output]
        return artifact.uri

    interactions, candidates = _LAST_STEPS
    return TransformedData(
        declaration=domain.declaration,
        interactions=uri(interactions, "transformed_examples"),
        interaction_graph=uri(interactions, "transform_graph"),
        candidates=uri(candidates, "transformed_examples"),
        candidate_graph=uri(candidates, "transform_graph"),
    )


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
