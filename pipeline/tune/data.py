"""What trials train on: the pipeline's own data, as its Transform steps leave them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tfx.components.trainer.fn_args_utils import FnArgs

from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.retrieval.config import Debias
from components.retrieval.node import CANDIDATE_FILES_KEY, CANDIDATE_GRAPH_KEY
from components.retrieval.training_inputs import TrainingInputs, read_training_inputs
from components.transform.interactions import DECLARATION_KEY
from pipeline.domain import Domain
from pipeline.local_runner import Send
from pipeline.partial_run import run_up_to

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
    outputs = run_up_to(_LAST_STEPS, domain, root, send)

    def uri(step: str, output: str) -> str:
        (artifact,) = outputs[step][output]
        return artifact.uri

    interactions, candidates = _LAST_STEPS
    return TransformedData(
        declaration=domain.declaration,
        interactions=uri(interactions, "transformed_examples"),
        interaction_graph=uri(interactions, "transform_graph"),
        candidates=uri(candidates, "transformed_examples"),
        candidate_graph=uri(candidates, "transform_graph"),
    )
