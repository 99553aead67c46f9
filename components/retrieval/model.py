"""The two-tower retrieval model: towers over the candidate table, and its in-batch softmax loss."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ingest.declaration import HISTORY, WEIGHT
from components.retrieval.config import RetrievalConfig
from components.retrieval.towers import UNKNOWN_ID, CandidateTower, QueryTower
from components.transform.candidate_table import CandidateTable
from components.transform.interaction_dataset import CANDIDATE_ROW


def sampling_probabilities(counts: np.ndarray) -> np.ndarray:
    """Probability of each candidate to stand in a batch: its share of the training interactions.

    Args:
        counts: [candidates] training interactions per candidate row.

    Returns:
        float32 [candidates]; a candidate never seen gets the share of half an interaction, so that its
        logarithm is finite.
    """
    smoothed = np.maximum(counts.astype(np.float64), 0.5)
    return (smoothed / max(counts.sum(), 1)).astype(np.float32)


def id_embedding_indices(counts: np.ndarray, least: int = 1) -> np.ndarray:
    """Index of the id embedding of every candidate row.

    A candidate without a training interaction shares ``UNKNOWN_ID``: a random embedding that no gradient
    ever touched would only add noise to what its features say.

    Args:
        counts: [candidates] training interactions per candidate row.
        least: How many of them it takes to have an embedding of one's own.

    Returns:
        int64 [candidates], 1, 2, ... for those with enough interactions, ``UNKNOWN_ID`` for the others.
    """
    known = counts >= least
    return np.where(known, np.cumsum(known), UNKNOWN_ID).astype(np.int64)


class RetrievalModel(tfrs.Model):
    """Two towers trained by sampled softmax over the batch's candidates.

    The loss is that of ``tfrs.tasks.Retrieval``: softmax cross-entropy of each query against all
    candidates of the batch, minus log sampling probability in each logit (logQ correction; Yi et al.,
    "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations", RecSys 2019, eq. 3),
    with other occurrences of the query's own candidate masked out. ``uniform_negatives`` of the catalogue
    join the batch's candidates (mixed negative sampling: Yang et al., WWW 2020), and the probability is
    then that of the mixture.
    """

    def __init__(
        self,
        query_tower: QueryTower,
        candidate_tower: CandidateTower,
        table: CandidateTable,
        counts: np.ndarray,
        config: RetrievalConfig,
    ):
        """Puts the towers over the candidate table.

        Args:
            query_tower: Embeds queries.
            candidate_tower: Embeds candidates.
            table: The catalogue after Transform.
            counts: int64 [candidates] positive training interactions per row of the table.
            config: The retrieval section.
        """
        super().__init__()
        self.query_tower = query_tower
        self.candidate_tower = candidate_tower
        self._config = config
        self._id_indices = tf.constant(id_embedding_indices(counts))
        self.candidate_features = {name: tf.constant(column) for name, column in table.features.items()}
        self._sampling_probabilities = tf.constant(sampling_probabilities(counts))
        # tfrs.Model reports the last batch's loss; a curve needs the epoch's.
        self._epoch_loss = keras.metrics.Mean(name="epoch_loss")
        self._task = tfrs.tasks.Retrieval(
            loss=keras.losses.CategoricalCrossentropy(
                from_logits=True, reduction=keras.losses.Reduction.SUM_OVER_BATCH_SIZE
            ),
            remove_accidental_hits=True,
            temperature=config.temperature,
        )

    @property
    def candidate_count(self) -> int:
        """Rows of the candidate table."""
        return int(self._id_indices.shape[0])

    def embed_query(self, query: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Embeds encoded queries.

        Args:
            query: Encoded query features, and ``history`` as int64 [batch, length] candidate rows,
                negative for padding.
            training: Whether dropout is on.

        Returns:
            float32 [batch, width] embeddings.
        """
        return self.query_tower({**query, HISTORY: self._id_index(query[HISTORY])}, training=training)

    def embed_rows(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds candidates of the table by row (int64 [batch]) as float32 [batch, width]."""
        features = {name: tf.gather(column, rows) for name, column in self.candidate_features.items()}
        return self.embed_candidates(rows, features, training=training)

    def embed_candidates(
        self, rows: tf.Tensor, features: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Embeds candidates by their encoded features, in the table or not.

        Args:
            rows: int64 [batch] rows, ``UNKNOWN_ROW`` for a candidate not in the table.
            features: Encoded features, each [batch, ...].
            training: Whether dropout is on.

        Returns:
            float32 [batch, width] embeddings.
        """
        return self.candidate_tower(self._id_index(rows), features, training=training)

    def _id_index(self, rows: tf.Tensor) -> tf.Tensor:
        """Index of the id embedding of each row; ``UNKNOWN_ID`` for padding and ids not in the table."""
        return tf.where(rows >= 0, tf.gather(self._id_indices, tf.maximum(rows, 0)), UNKNOWN_ID)

    def embed_catalogue(self, batch_size: int = 4096) -> tf.Tensor:
        """Embeds every candidate, in the order of rows: float32 [candidates, width]."""
        starts = range(0, self.candidate_count, batch_size)
        stops = [min(start + batch_size, self.candidate_count) for start in starts]
        return tf.concat(
            [
                self.embed_rows(tf.range(start, stop, dtype=tf.int64))
                for start, stop in zip(starts, stops, strict=True)
            ],
            axis=0,
        )

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Sampled softmax loss of a batch of positive interactions, weighted (scalar)."""
        queries = self.embed_query(inputs, training=training)
        rows, probabilities = self._with_uniform_negatives(inputs[CANDIDATE_ROW])
        loss = self._task(
            queries,
            self.embed_rows(rows, training=training),
            sample_weight=inputs[WEIGHT],
            candidate_sampling_probability=probabilities,
            candidate_ids=rows,
            compute_metrics=False,
            compute_batch_metrics=False,
        )
        self._epoch_loss.update_state(loss)
        return loss

    def _with_uniform_negatives(self, rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The batch's candidates and the drawn ones, and the probability of each to stand there."""
        uniform = self._config.uniform_negatives
        if not uniform:
            return rows, tf.gather(self._sampling_probabilities, rows)
        batch = tf.cast(tf.shape(rows)[0], tf.float32)
        drawn = tf.random.uniform([uniform], maxval=self.candidate_count, dtype=tf.int64)
        rows = tf.concat([rows, drawn], axis=0)
        expected = batch * tf.gather(self._sampling_probabilities, rows) + uniform / self.candidate_count
        return rows, expected / (batch + uniform)
