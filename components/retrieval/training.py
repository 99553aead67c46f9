"""Fitting the retrieval model: batches, validation over the whole catalogue, best weights."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from components.ingest.declaration import HISTORY
from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig
from components.retrieval.finite import (
    StopOnDivergence,
    features_by_side,
    refuse_candidates,
    refuse_queries,
)
from components.retrieval.model import RetrievalModel
from components.retrieval.optimizers import make_optimizer
from components.retrieval.progress import Progress
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

MONITOR = "val_recall@100"
"""The validation metric that early stopping and the choice of weights go by, unless told otherwise."""
KS = (10, 100)
"""How many of the best of the catalogue validation looks at."""
_VALIDATION_BATCH = 1024


class CatalogueRecall(keras.callbacks.Callback):
    """Recall@k over the whole catalogue, at the end of each epoch and on a bounded sample.

    Never inside the train step: scoring the catalogue there is what makes two-tower training slow.
    Adds ``val_recall@k`` to the epoch's logs, for early stopping, TensorBoard and the report.
    """

    def __init__(self, validation: EncodedInteractions, queries: int, *, exclude_history: bool):
        """Prepares to look at the positive ones of the validation interactions.

        Args:
            validation: The interactions.
            queries: At most how many to look at.
            exclude_history: As in :func:`catalogue_recall`.

        Raises:
            UserError: If none is positive.
        """
        super().__init__()
        self._batches = validation_batches(validation, queries)
        self._exclude_history = exclude_history

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Scores the sample against the catalogue as embedded now.

        Raises:
            UserError: If an embedding is not finite: nothing may be measured of it.
        """
        if logs is not None:
            found = catalogue_recall(self.model, self._batches, exclude_history=self._exclude_history)
            logs.update(found)


def validation_batches(validation: EncodedInteractions, queries: int) -> tf.data.Dataset:
    """Return the positive interactions that a model is validated on, in batches.

    Args:
        validation: Interactions of the eval split.
        queries: At most how many, spread evenly over all.

    Raises:
        UserError: If none is positive.
    """
    positives = validation.positives()
    if not len(positives):
        raise UserError(
            "the eval split has no positive interaction: nothing tells when to stop training. Expected at"
            " least one; give more data, or a larger eval split"
        )
    return positives.spread(queries).batches(_VALIDATION_BATCH)


def catalogue_recall(
    model: RetrievalModel, batches: tf.data.Dataset, *, exclude_history: bool
) -> dict[str, float]:
    """Share of interactions whose candidate is among the k best of the whole catalogue.

    Args:
        model: The model to validate.
        batches: Batched interactions.
        exclude_history: Whether what a query's history holds cannot be among its best.

    Returns:
        ``val_recall@k`` for k = 10 and 100, or the catalogue's size where that is smaller.

    Raises:
        UserError: If an embedding is not finite: of such a model nothing is measured.
    """
    catalogue = model.embed_catalogue()
    refuse_candidates(catalogue, model.candidate_ids, model.candidate_features)
    # Counted here, by rank: the same as TFRS' FactorizedTopK at a fraction of its time, see
    # docs/decisions/0001-factorized-top-k-off-the-train-step.md. That one keeps its state in variables, too,
    # which callbacks cannot write where training is distributed.
    places = []
    for batch in batches:
        queries = model.embed_query(batch)
        refuse_queries(queries, batch)
        scores = tf.matmul(queries, catalogue, transpose_b=True)
        if exclude_history:
            scores = without_history(scores, batch[HISTORY])
        places.append(_places(scores, batch[CANDIDATE_ROW]))
    found = tf.concat(places, axis=0).numpy()
    return {f"val_recall@{k}": float((found < k).mean()) for k in KS}


def _places(scores: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Each interaction's place among the candidates: 0 for the best.

    What scores alike stands in the order of rows, as ``tf.math.top_k`` has it, at a quarter of its time.

    Args:
        scores: float32 [interactions, candidates].
        rows: int64 [interactions], each one's own candidate.

    Returns:
        int64 [interactions]; behind the last where the score is not finite, as of what is left out.
    """
    own = tf.gather(scores, rows, batch_dims=1)[:, tf.newaxis]
    earlier = tf.range(tf.shape(scores)[1]) < tf.cast(rows, tf.int32)[:, tf.newaxis]
    # Negated, since nothing compares with what is no number.
    places = tf.math.count_nonzero(tf.where(earlier, ~(scores < own), ~(scores <= own)), axis=1)
    return tf.where(tf.math.is_finite(own[:, 0]), places, tf.int64.max)


def without_history(scores: tf.Tensor, history: tf.Tensor) -> tf.Tensor:
    """Scores, float32 [batch, candidates], minus infinity for the rows in history, int64 [batch, length]."""
    places = tf.where(history >= 0)
    hits = tf.stack([places[:, 0], tf.gather_nd(history, places)], axis=1)
    return tf.tensor_scatter_nd_update(scores, hits, tf.fill([tf.shape(hits)[0]], -math.inf))


def distribution_strategy(config: RetrievalConfig) -> tf.distribute.Strategy:
    """The configured strategy; model and optimiser have to be made in its scope."""
    match config.strategy:
        case "mirrored":
            return tf.distribute.MirroredStrategy()
        case "multi_worker":
            return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.get_strategy()


def fit(
    model: RetrievalModel,
    train: EncodedInteractions,
    validation: EncodedInteractions,
    config: RetrievalConfig,
    log_dir: str,
    resume_dir: str | None = None,
    *,
    exclude_history: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    validations: Sequence[keras.callbacks.Callback] = (),
    monitor: str = MONITOR,
    section: str = "retrieval",
) -> dict[str, list[float]]:
    """Trains until a validation metric stops rising, and leaves the best weights in the model.

    Args:
        model: The model to train.
        train: Interactions, positive ones but for binary cross-entropy.
        validation: Interactions to stop by; positive ones count.
        config: The retrieval section.
        log_dir: Where TensorBoard logs go.
        resume_dir: Where every epoch leaves what it takes to go on after an interruption; what is there is
            gone on with, and removed when training has ended. None: an interrupted training is lost.
        exclude_history: Whether validation leaves out what a query's history holds.
        callbacks: Called at the end of each epoch with its validation; may stop the training.
        validations: Called before that; may add to the epoch's logs.
        monitor: The metric in those logs to stop and to choose weights by; higher is better.
        section: Of the domain file, whose optimizer trains; for messages.

    Returns:
        What the logs of every epoch hold, by name: loss, validation recall and what was added.

    Raises:
        UserError: If the loss or an embedding becomes other than finite, with where and the likely cause.
    """
    if config.strategy == "one_device":
        steps, batches = train.query_steps(config.batch_size), train.shuffled_query_batches
    else:
        # A batch is divided among the replicas row by row, and queries would lose their interactions.
        steps, batches = train.steps(config.batch_size), train.shuffled_batches
    model.compile(optimizer=make_optimizer(config.optimizer, steps * config.epochs))
    progress = Progress(model, monitor, patience=config.patience, directory=resume_dir)
    first = progress.restore(next(iter(train.batches(config.batch_size))))
    if first < config.epochs and not progress.ended:
        model.fit(
            batches(config.batch_size, config.seed, range(first, config.epochs)),
            initial_epoch=first,
            epochs=config.epochs,
            steps_per_epoch=steps,
            verbose=2,
            callbacks=[
                _stop_on_divergence(model, train, config, section),
                CatalogueRecall(validation, config.validation_queries, exclude_history=exclude_history),
                *validations,
                progress,
                *callbacks,
                keras.callbacks.TensorBoard(log_dir, write_graph=False),
            ],
        )
    progress.finish()
    return progress.history


def _stop_on_divergence(
    model: RetrievalModel, train: EncodedInteractions, config: RetrievalConfig, section: str
) -> StopOnDivergence:
    names = [*train.columns, *train.queries]
    remedy = (
        f"lower {section}.optimizer.learning_rate (now {config.optimizer.learning_rate:g}) or raise"
        f" retrieval.temperature (now {config.temperature:g})"
    )
    return StopOnDivergence(features_by_side(train, names, model.candidate_features), remedy)
