"""What both trainers read before they build their model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

import tensorflow as tf
import tensorflow_transform as tft
from tfx.components.trainer.fn_args_utils import FnArgs

from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, Declaration
from components.ingest.errors import UserError
from components.ingest.learnable import nothing_in
from components.retrieval.config import TRAINING_HISTORY_FILE, Debias
from components.retrieval.debiasing import debiased
from components.retrieval.finite import refuse_encoded_candidates, refuse_encoded_interactions
from components.retrieval.node import CANDIDATE_FILES_KEY, CANDIDATE_GRAPH_KEY
from components.transform.candidate_table import CandidateTable, read_candidate_table
from components.transform.encoding import EncodedFeature, encoded_features, vocabulary_size
from components.transform.interaction_dataset import EncodedInteractions, read_interactions
from components.transform.interactions import DECLARATION_KEY


@dataclass(frozen=True)
class TrainingInputs:
    """The data of a training run and the shapes of its features.

    Attributes:
        declaration: What the domain declares about its data.
        table: The catalogue.
        train: Interactions of the train split.
        validation: Interactions of the eval split.
        query_id: Name of the query id and the number of integers it can be.
        query_features: Shapes of context and attributes.
        candidate_features: Shapes of the catalogue's features.
    """

    declaration: Declaration
    table: CandidateTable
    train: EncodedInteractions
    validation: EncodedInteractions
    query_id: tuple[str, int]
    query_features: list[EncodedFeature]
    candidate_features: list[EncodedFeature]

    @property
    def history_actions(self) -> int:
        """How many actions ``history_action`` tells apart, numbered from 1; 0 without that feature."""
        return len(self.declaration.history_actions)


def read_training_inputs(
    fn_args: FnArgs, *, positives_only: bool, debias: Debias | None = None
) -> TrainingInputs:
    """Reads what a :class:`~components.retrieval.node.CatalogueTrainer` was given.

    Args:
        fn_args: The Trainer's arguments.
        positives_only: Whether only positive interactions are wanted.
        debias: What to take off the weights of the train split's interactions, if anything.

    Raises:
        UserError: If a split has no such interaction: nothing could be learnt or validated; or a feature is
            not finite.
    """
    config = fn_args.custom_config
    declaration = Declaration.model_validate_json(config[DECLARATION_KEY])
    queries = tft.TFTransformOutput(fn_args.transform_graph_path)
    candidates = tft.TFTransformOutput(config[CANDIDATE_GRAPH_KEY])
    table = read_candidate_table(
        tf.io.gfile.glob(config[CANDIDATE_FILES_KEY]), declaration.candidates.id, candidates
    )
    refuse_encoded_candidates(table.ids, table.features)
    lookup = table.row_lookup()
    train, validation = (
        read_interactions(files, declaration, queries, lookup, positives_only=positives_only and not debias)
        for files in (fn_args.train_files, fn_args.eval_files)
    )
    id_name = declaration.interactions.query_id
    if debias:
        train = debiased(train, debias, id_name, declaration.interactions.position)
        if positives_only:
            train, validation = train.positives(), validation.positives()
    for name, interactions in (("train", train), ("eval", validation)):
        if not len(interactions):
            raise UserError(nothing_in(name, declaration, positives_only=positives_only))
        refuse_encoded_interactions(name, interactions, [*declaration.query_features, HISTORY_AGE])
    return TrainingInputs(
        declaration=declaration,
        table=table,
        train=train,
        validation=validation,
        query_id=(id_name, vocabulary_size(queries, "query", id_name)),
        query_features=encoded_features(declaration.query_features, "query", queries),
        candidate_features=encoded_features(declaration.candidates.features, "candidate", candidates),
    )


def write_training_history(model_run_dir: str, history: Mapping[str, list[float]]) -> None:
    """Leaves every epoch's metrics, by name, in a ModelRun artifact for the report."""
    with tf.io.gfile.GFile(os.path.join(model_run_dir, TRAINING_HISTORY_FILE), "w") as file:
        json.dump(history, file)


def encoded_query_signature(inputs: TrainingInputs) -> dict[str, tf.TensorSpec]:
    """Specs of an encoded query as both exported models take it: the dataset's own, less the labels."""
    history = [HISTORY, HISTORY_AGE, *([HISTORY_ACTION] if inputs.history_actions else [])]
    return inputs.train.signature(
        [inputs.query_id[0], *history, *(feature.name for feature in inputs.query_features)]
    )
