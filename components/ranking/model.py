"""The ranking model: DCN-v2 over a query and a candidate, with one head per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ingest.declaration import HISTORY, POSITIVE, WEIGHT
from components.ranking.config import RankingConfig
from components.retrieval.model import id_embedding_indices
from components.retrieval.towers import UNKNOWN_ID, FeatureEncoder, drop_ids, masked_mean
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import CANDIDATE_ROW

RATING = "rating"
"""Name of the head that predicts the rating, whatever the user's column is called."""
_PER_EXAMPLE_MEAN = keras.losses.Reduction.SUM_OVER_BATCH_SIZE


@dataclass(frozen=True)
class RatingStatistics:
    """What the train split says of ratings, before any model.

    Attributes:
        mean: Mean of all training ratings.
        offsets: float32 [candidates]; each candidate's mean minus ``mean``, shrunk towards 0 where few
            interactions back it.
        counts: int64 [candidates] training interactions.
    """

    mean: float
    offsets: np.ndarray
    counts: np.ndarray


def rating_statistics(rows: np.ndarray, ratings: np.ndarray, candidates: int) -> RatingStatistics:
    """Counts the train split's ratings per candidate.

    The shrunk offset of a candidate with n ratings is ``sum(rating - mean) / (n + 5)``: the damped
    baseline predictor of Koren, "Factorization Meets the Neighborhood", KDD 2008, section 2.1.

    Args:
        rows: int64 [interactions] candidate rows.
        ratings: float32 [interactions].
        candidates: Size of the catalogue.
    """
    counts = np.bincount(rows, minlength=candidates)
    mean = float(ratings.mean()) if len(ratings) else 0.0
    sums = np.bincount(rows, weights=ratings - mean, minlength=candidates)
    return RatingStatistics(mean, (sums / (counts + 5.0)).astype(np.float32), counts)


class RankingModel(tfrs.Model):
    """DCN-v2 with a regression head for the rating and a classification head for *positive*.

    Cross layers: R. Wang et al., "DCN V2", WWW 2021, eq. 3 (low rank), by ``tfrs.layers.dcn.Cross``,
    stacked before the deep layers. The rating head starts from the candidate's damped mean and learns
    what to add to it.
    """

    def __init__(
        self,
        query_id: tuple[str, int],
        query_features: Sequence[EncodedFeature],
        candidate_features: Sequence[EncodedFeature],
        table: CandidateTable,
        statistics: RatingStatistics,
        rating_name: str,
        config: RankingConfig,
    ):
        """Makes the model.

        Args:
            query_id: Name of the query id and the number of integers it can be; the last is unknown.
            query_features: Shapes of context and attributes.
            candidate_features: Shapes of the catalogue's features.
            table: The catalogue after Transform.
            statistics: Ratings of the train split.
            rating_name: Name of the rating among the labels.
            config: The ranking section.
        """
        super().__init__()
        self._config, self._rating_name = config, rating_name
        self._query_id, id_size = query_id
        self._unknown_query = id_size - 1
        self._id_indices = tf.constant(id_embedding_indices(statistics.counts))
        self._table = {name: tf.constant(column) for name, column in table.features.items()}
        self._offsets = tf.constant(statistics.offsets)
        self._mean = tf.constant(statistics.mean, tf.float32)
        known = int((statistics.counts > 0).sum())
        dim, seed = config.feature_dim, config.seed
        self._query_ids = _embedding(id_size, dim, seed + 1, "embed_query_id")
        self._candidate_ids = _embedding(known + 1, dim, seed + 2, "embed_candidate_id")
        self._query_encoder = FeatureEncoder(query_features, dim, seed=seed + 100)
        self._candidate_encoder = FeatureEncoder(candidate_features, dim, seed=seed + 200)
        self._crosses = [
            tfrs.layers.dcn.Cross(
                projection_dim=config.cross_rank,
                kernel_initializer=keras.initializers.TruncatedNormal(seed=seed + 300 + i),
            )
            for i in range(config.cross_layers)
        ]
        self._hidden = [
            keras.layers.Dense(
                width,
                activation="relu",
                kernel_initializer=keras.initializers.GlorotUniform(seed=seed + 400 + i),
            )
            for i, width in enumerate(config.layers)
        ]
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed)
        # Zero kernels: training starts at the damped means, not at noise around them.
        self._rating_head = keras.layers.Dense(1, kernel_initializer="zeros", name="rating")
        self._positive_head = keras.layers.Dense(1, kernel_initializer="zeros", name="positive")
        # tfrs.Model reports the last batch's loss; a curve needs the epoch's.
        self._epoch_loss = keras.metrics.Mean(name="epoch_loss")
        self._rating_task = tfrs.tasks.Ranking(
            loss=keras.losses.MeanSquaredError(reduction=_PER_EXAMPLE_MEAN)
        )
        self._positive_task = tfrs.tasks.Ranking(
            loss=keras.losses.BinaryCrossentropy(reduction=_PER_EXAMPLE_MEAN)
        )

    def score(
        self, query: Mapping[str, tf.Tensor], rows: tf.Tensor, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Scores several candidates for each query; the query's own part is computed once.

        Args:
            query: Encoded query id (int64 [batch]) and features, and ``history`` as int64
                [batch, length] candidate rows, negative for padding.
            rows: int64 [batch, candidates] rows in the candidate table.
            training: Whether dropout is on.

        Returns:
            float32 [batch, candidates] each: ``rating``, and ``positive``, a probability.
        """
        shape = tf.shape(rows)
        flat = tf.reshape(rows, [-1])
        repeated = tf.repeat(self._query_inputs(query, training), shape[1], axis=0)
        x = tf.concat([repeated, self._candidate_inputs(flat)], axis=1)
        first = x
        for cross in self._crosses:
            x = cross(first, x)
        for layer in self._hidden:
            x = self._dropout(layer(x), training=training)
        rating = self._mean + tf.gather(self._offsets, flat) + self._rating_head(x)[:, 0]
        positive = tf.math.sigmoid(self._positive_head(x)[:, 0])
        return {RATING: tf.reshape(rating, shape), POSITIVE: tf.reshape(positive, shape)}

    def _query_inputs(self, query: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        """What the cross layers see of the queries: float32 [batch, width]."""
        ids = query[self._query_id]
        if training:
            ids = drop_ids(ids, self._config.id_dropout, unknown=self._unknown_query)
        history = query[HISTORY]
        indices = tf.where(history >= 0, tf.gather(self._id_indices, tf.maximum(history, 0)), UNKNOWN_ID)
        pooled = masked_mean(self._candidate_ids(indices), indices > UNKNOWN_ID)
        return tf.concat([self._query_ids(ids), *self._query_encoder(query), pooled], axis=1)

    def _candidate_inputs(self, rows: tf.Tensor) -> tf.Tensor:
        """What the cross layers see of the candidates: float32 [rows, width]."""
        features = {name: tf.gather(column, rows) for name, column in self._table.items()}
        identity = self._candidate_ids(tf.gather(self._id_indices, rows))
        offset = tf.gather(self._offsets, rows)[:, tf.newaxis]
        return tf.concat([identity, *self._candidate_encoder(features), offset], axis=1)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Weighted sum of both heads' losses over a batch of interactions (scalar)."""
        scores = self.score(inputs, inputs[CANDIDATE_ROW][:, tf.newaxis], training=training)
        rating, positive = (
            task(inputs[label][:, tf.newaxis], scores[head], sample_weight=inputs[WEIGHT])
            for label, head, task in (
                (self._rating_name, RATING, self._rating_task),
                (POSITIVE, POSITIVE, self._positive_task),
            )
        )
        loss = self._config.rating_weight * rating + self._config.positive_weight * positive
        self._epoch_loss.update_state(loss)
        return loss


def _embedding(size: int, dim: int, seed: int, name: str) -> keras.layers.Embedding:
    initializer = keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)
    return keras.layers.Embedding(size, dim, embeddings_initializer=initializer, name=name)
