"""TFRS' ``FactorizedTopK`` over the whole catalogue, of a model whose training has ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs

from components.ingest.declaration import HISTORY
from components.retrieval.model import RetrievalModel
from components.retrieval.training import KS, validation_batches, without_history
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

NAME: Final = "factorized_top_k"
INTERACTIONS: Final = f"{NAME}/interactions"
"""Among the measures: how many interactions they are means over."""


class Catalogue(tfrs.layers.factorized_top_k.BruteForce):
    """All candidates, scored by dot product, less those that a query's history holds.

    Where fewer than k are left, what is left out fills the last places with NaN scores, which is how TFRS'
    layers pad, and which its metric never counts as found; so with scores that are not finite.

    Attributes:
        history: int64 [batch, length] rows that the next queries cannot have, negative for padding; None:
            nothing is left out. TFRS' ``query_with_exclusions`` has exclusions as an argument, but the metric
            does not hand any over.
    """

    history: tf.Tensor | None = None

    def _compute_score(self, queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
        scores = super()._compute_score(queries, candidates)
        if self.history is not None:
            scores = without_history(scores, self.history)
        return tf.where(tf.math.is_finite(scores), scores, -np.inf)

    def call(self, queries: tf.Tensor, k: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """Return scores and rows of the k best, [batch, k] each."""
        scores, rows = super().call(queries, k)
        return tf.where(tf.math.is_finite(scores), scores, np.nan), rows


def factorized_top_k(
    model: RetrievalModel, batches: tf.data.Dataset, *, exclude_history: bool
) -> dict[str, float]:
    """Measure a model by TFRS' ``FactorizedTopK``, by ids, over the whole catalogue.

    Args:
        model: The trained model.
        batches: Batched interactions.
        exclude_history: As in :func:`components.retrieval.training.catalogue_recall`.

    Returns:
        ``factorized_top_k/top_K_categorical_accuracy`` for K = 10 and 100, or the catalogue's size where that
        is smaller; and :data:`INTERACTIONS`.
    """
    ks = sorted({min(k, model.candidate_count) for k in KS})
    catalogue = Catalogue(k=ks[-1]).index(
        model.embed_catalogue(), tf.range(model.candidate_count, dtype=tf.int64)
    )
    metric = tfrs.metrics.FactorizedTopK(candidates=catalogue, ks=ks, name=NAME)
    interactions = 0
    for batch in batches:
        rows = batch[CANDIDATE_ROW]
        catalogue.history = batch[HISTORY] if exclude_history else None
        # With ids: without, a candidate that scores as much as the last one of the k counts as found.
        metric.update_state(model.embed_query(batch), model.embed_rows(rows), true_candidate_ids=rows)
        interactions += int(rows.shape[0])
    found = {each.name: float(each.result()) for each in metric.metrics}
    return {**found, INTERACTIONS: float(interactions)}


def measured_by_factorized_top_k(
    model: RetrievalModel,
    validation: EncodedInteractions,
    queries: int,
    *,
    exclude_history: bool,
    log_dir: str,
    history: Mapping[str, list[float]],
) -> dict[str, list[float]]:
    """Measure the best weights of a training once, on what its epochs were validated on.

    Writes the measures to TensorBoard, at the step after the last epoch.

    Args:
        model: The trained model.
        validation: Interactions of the eval split; positive ones count.
        queries: At most how many to look at.
        exclude_history: Whether what a query's history holds cannot be among its best.
        log_dir: TensorBoard's, as in training.
        history: Metrics of every epoch, by name.

    Returns:
        The history with the measures, each a list of one.
    """
    found = factorized_top_k(model, validation_batches(validation, queries), exclude_history=exclude_history)
    epochs = max((len(values) for values in history.values()), default=0)
    with tf.summary.create_file_writer(log_dir).as_default(step=epochs):
        for name, value in found.items():
            tf.summary.scalar(name, value)
    return {**history, **{name: [value] for name, value in found.items()}}
