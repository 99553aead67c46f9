"""What the RetrievalTrainer step runs."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import tensorflow as tf
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs

from components.ingest.declaration import HISTORY
from components.retrieval.config import LIGHT_RANKER, RetrievalConfig, TrainerConfig
from components.retrieval.factorized_top_k import measured_by_factorized_top_k
from components.retrieval.light_ranker import LightRanker
from components.retrieval.model import RetrievalModel
from components.retrieval.node import CONFIG_KEY, RESUME_DIR_KEY
from components.retrieval.towers import CandidateTower, QueryTower
from components.retrieval.training import distribution_strategy, fit
from components.retrieval.training_inputs import (
    TrainingInputs,
    encoded_query_signature,
    read_training_inputs,
    write_training_history,
)


def run_fn(fn_args: FnArgs) -> None:
    """Trains the two towers on the train split, its positives or by their labels all of it, and exports them.

    Writes a SavedModel of :class:`ExportedRetrieval`, TensorBoard logs, every epoch's metrics, and
    what TFRS' ``FactorizedTopK`` says of the best epoch's weights.
    """
    config = TrainerConfig.model_validate_json(fn_args.custom_config[CONFIG_KEY])
    # First: workers have to find each other before TensorFlow computes anything.
    strategy = distribution_strategy(config)
    inputs = read_training_inputs(fn_args, positives_only=config.loss.positives_only, debias=config.debias)
    with strategy.scope():
        model = build_model(inputs, config)
        history = fit(
            model,
            inputs.train,
            inputs.validation,
            config,
            fn_args.model_run_dir,
            resume_dir=fn_args.custom_config[RESUME_DIR_KEY],
            exclude_history=not config.repeats,
        )
    if not strategy.extended.should_checkpoint:
        # Of several workers, who all have the same weights now, the chief writes.
        return
    history = measured_by_factorized_top_k(
        model,
        inputs.validation,
        config.validation_queries,
        exclude_history=not config.repeats,
        log_dir=fn_args.model_run_dir,
        history=history,
    )
    write_training_history(fn_args.model_run_dir, history)
    exported = ExportedRetrieval(model, encoded_query_signature(inputs))
    tf.saved_model.save(exported, fn_args.serving_model_dir, signatures=exported.signatures())


def build_model(
    inputs: TrainingInputs, config: RetrievalConfig, make: Callable[..., RetrievalModel] = RetrievalModel
) -> RetrievalModel:
    """An untrained model for the inputs, initialised from the configured seed.

    Args:
        inputs: The data it is for.
        config: The retrieval section.
        make: What makes it of its parts, as :class:`RetrievalModel` does.
    """
    keras.utils.set_random_seed(config.seed)
    counts = inputs.train.candidate_counts(len(inputs.table)).numpy()
    known = int((counts > 0).sum())
    candidate_tower = CandidateTower(inputs.candidate_features, known, config)
    length = inputs.train.signature([HISTORY])[HISTORY].shape[1]
    query_tower = QueryTower(
        *inputs.query_id,
        inputs.query_features,
        known,
        length,
        config,
        candidate_tower.ids,
        history_actions=inputs.history_actions,
    )
    # Batches that are divided among replicas hold interactions, each beside its own copy of the query.
    whole_queries = config.strategy == "one_device"
    per_query = len(inputs.train) / inputs.train.query_count if whole_queries else 1.0
    return make(query_tower, candidate_tower, inputs.table, counts, per_query, config)


def restore_weights(model: RetrievalModel, folder: str, batch: Mapping[str, tf.Tensor]) -> None:
    """Gives a model the weights of an export.

    Args:
        model: Of the configuration and the data that the exported one was built from.
        folder: Where :class:`ExportedRetrieval` was saved.
        batch: Any interactions; builds the model's weights.

    Raises:
        ValueError, AssertionError: If the export is of a model of other weights.
    """
    model.make_weights(batch)
    path = os.path.join(folder, tf.saved_model.VARIABLES_DIRECTORY, tf.saved_model.VARIABLES_FILENAME)
    checkpoint = tf.train.Checkpoint(_weights=_exported_weights(model))
    checkpoint.read(path).assert_existing_objects_matched()


def _exported_weights(model: RetrievalModel) -> list[tf.Module | tf.Variable]:
    weights = [model.query_tower, model.candidate_tower, model.log_temperature]
    return [*weights, model.light_ranker] if model.light_ranker else weights


class ExportedRetrieval(tf.Module):
    """The towers with their trained weights and nothing of the training set-up.

    A training model cannot be saved as it is (its metrics and dataset come along); the Assembler needs
    only these functions of encoded features.

    Attributes:
        embed_query: Encoded query features to ``embedding``, float32 [batch, width], and where there is a
            light ranker to ``light_ranker``, float32 [batch, query_embeddings, light_ranker.dim].
        embed_rows: Rows of the catalogue, int64 [batch], to ``embedding``, float32 [batch, width].
        embed_candidate: Rows, ``UNKNOWN_ROW`` for none, and encoded features, to ``embedding`` likewise.
        light_rank: Only where there is a light ranker. Its embeddings of queries, candidates' rows, int64
            [batch, any], and the towers' scores of these, to its scores, float32 [batch, any].
    """

    def __init__(self, model: RetrievalModel, query_signature: Mapping[str, tf.TensorSpec]):
        """Traces the functions.

        Args:
            model: The trained model.
            query_signature: Specs of an encoded query, history as candidate rows.
        """
        super().__init__(name="retrieval")
        self._weights = _exported_weights(model)
        tables = {
            name: tf.TensorSpec([None, *column.shape[1:]], column.dtype, name=name)
            for name, column in model.candidate_features.items()
        }

        def embed(query: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
            if not model.light_ranker:
                return {"embedding": model.embed_query(query)}
            embedding, several = model.embed_query_for_both(query)
            return {"embedding": embedding, LIGHT_RANKER: several}

        self.embed_query = tf.function(embed, input_signature=[dict(query_signature)], autograph=False)
        if model.light_ranker:
            self._export_light_ranker(model.light_ranker, model.embed_catalogue_for_light_ranker())
        self.embed_rows = tf.function(
            lambda rows: {"embedding": model.embed_rows(rows)},
            input_signature=[tf.TensorSpec([None], tf.int64, name="rows")],
            autograph=False,
        )
        self.embed_candidate = tf.function(
            lambda rows, features: {"embedding": model.embed_candidates(rows, features)},
            input_signature=[tf.TensorSpec([None], tf.int64, name="rows"), tables],
            autograph=False,
        )

    def _export_light_ranker(self, ranker: LightRanker, catalogue: tf.Tensor) -> None:
        """Adds the light ranker, with its embeddings of the whole catalogue, float32 [candidates, dim]."""
        table = tf.Variable(catalogue, trainable=False, name="light_ranker_candidates")
        self._light_ranker_candidates = table
        several = self.embed_query.get_concrete_function().structured_outputs[LIGHT_RANKER]
        self.light_rank = tf.function(
            lambda queries, rows, retrieval: ranker.score(queries, tf.gather(table, rows), retrieval),
            input_signature=[
                tf.TensorSpec([None, *several.shape[1:]], name="queries"),
                tf.TensorSpec([None, None], tf.int64, name="rows"),
                tf.TensorSpec([None, None], name="retrieval"),
            ],
            autograph=False,
        )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The functions as SavedModel signatures, by name."""
        return {
            "embed_query": self.embed_query.get_concrete_function(),
            "embed_rows": self.embed_rows.get_concrete_function(),
        }
