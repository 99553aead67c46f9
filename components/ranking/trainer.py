"""What the RankingTrainer step runs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tfx.components.trainer.fn_args_utils import FnArgs

from components.ingest.errors import UserError
from components.ingest.learnable import no_positions
from components.ranking.config import RankingConfig
from components.ranking.model import RankingModel
from components.ranking.position import position_counts
from components.ranking.propensity import InversePropensity
from components.ranking.retrieved import with_retrieved
from components.ranking.statistics import training_statistics
from components.ranking.training import fit
from components.retrieval.node import CONFIG_KEY, RETRIEVAL_MODEL_KEY
from components.retrieval.training_inputs import (
    TrainingInputs,
    encoded_query_signature,
    read_training_inputs,
    write_training_history,
)
from components.transform.interaction_dataset import UNKNOWN_POSITION

_ENCODED_AT_A_TIME = 4096


def run_fn(fn_args: FnArgs) -> None:
    """Trains the ranker on all interactions of the train split and exports it.

    Writes a SavedModel of :class:`ExportedRanking`, TensorBoard logs, every epoch's losses, and what was
    learnt of positions.
    """
    config = RankingConfig.model_validate_json(fn_args.custom_config[CONFIG_KEY])
    inputs = read_training_inputs(fn_args, positives_only=False)
    model = build_model(inputs, config)
    train, validation = inputs.train, inputs.validation
    if config.negatives and RETRIEVAL_MODEL_KEY in fn_args.custom_config:
        retrieval = tf.saved_model.load(fn_args.custom_config[RETRIEVAL_MODEL_KEY])
        names, top = list(encoded_query_signature(inputs)), config.negatives.retrieved_from
        train, validation = (
            with_retrieved(split, retrieval, names, len(inputs.table), top) for split in (train, validation)
        )
    history = fit(model, train, validation, config, fn_args.model_run_dir)
    write_training_history(fn_args.model_run_dir, history | model.learnt_of_positions())
    exported = ExportedRanking(model, encoded_query_signature(inputs), len(inputs.table))
    tf.saved_model.save(
        exported, fn_args.serving_model_dir, signatures=exported.score.get_concrete_function()
    )


def build_model(inputs: TrainingInputs, config: RankingConfig) -> RankingModel:
    """An untrained model for the inputs, initialised from the configured seed.

    Raises:
        UserError: If every interaction is positive and no negatives are to be drawn, or a correction for how
            candidates were shown finds nothing of it in the train split.
    """
    keras.utils.set_random_seed(config.seed)
    log = inputs.declaration.interactions
    if not (log.has_negatives or config.resolved_negatives(has_negatives=False).total):
        raise UserError(
            "ranking.negatives draws none, but every interaction of the log is positive: there is nothing to "
            "tell apart. Leave the key out, or set its popular or uniform above 0."
        )
    rating = log.rating.column if log.rating else None
    positions = None
    if config.position and log.position:
        positions = position_counts(inputs.train.columns[log.position].numpy(), config.position.maximum)
        if not positions[UNKNOWN_POSITION + 1 :].any():
            raise UserError(no_positions(log.position, "ranking.position"))
    weighed = config.inverse_propensity
    return RankingModel(
        inputs.query_id,
        inputs.query_features,
        inputs.candidate_features,
        inputs.table,
        training_statistics(inputs.train, len(inputs.table), rating),
        log,
        config,
        positions,
        InversePropensity(inputs.train, log, weighed) if weighed else None,
    )


class ExportedRanking(tf.Module):
    """The ranker with its trained weights and nothing of the training set-up.

    It holds the catalogue encoded, float32 [candidates, width]: ``score`` gathers a row for each candidate,
    where encoding their features at each request costs more than all of the layers after it.
    """

    def __init__(self, model: RankingModel, query_signature: Mapping[str, tf.TensorSpec], catalogue: int):
        """Encodes the catalogue and traces ``score``.

        Args:
            model: The trained model.
            query_signature: Specs of an encoded query, history as candidate rows.
            catalogue: Number of candidates.
        """
        super().__init__(name="ranking")
        self._layers = model.layers
        encode = tf.function(
            model.encode_candidates, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False
        )
        batches = np.split(np.arange(catalogue), range(_ENCODED_AT_A_TIME, catalogue, _ENCODED_AT_A_TIME))
        encoded = np.concatenate([encode(rows).numpy() for rows in batches])
        self._candidates = tf.Variable(encoded, trainable=False, name="encoded_candidates")
        self.score = tf.function(
            lambda query, rows: model.score_encoded(
                query, rows, lambda rows: tf.gather(self._candidates, rows)
            ),
            input_signature=[dict(query_signature), tf.TensorSpec([None, None], tf.int64, name="rows")],
            autograph=False,
        )
