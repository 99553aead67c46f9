"""The ranking model: DCN-v2 over a query and a candidate, with one head per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, WEIGHT
from components.ranking.config import RankingConfig
from components.ranking.heads import RATING
from components.ranking.negatives import NEGATIVE_ROWS, NegativeSampler
from components.ranking.repeats import repeat_features
from components.ranking.statistics import TrainingStatistics
from components.retrieval.features import FeatureEncoder, mean_embedding
from components.retrieval.history import UNKNOWN_ID
from components.retrieval.model import id_embedding_indices
from components.retrieval.towers import drop_ids
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import CANDIDATE_ROW


class RankingModel(tfrs.Model):
    """DCN-v2 with a classification head for *positive* and, where interactions are rated, a regression head.

    Cross layers: R. Wang et al., "DCN V2", WWW 2021, eq. 3 (low rank), by ``tfrs.layers.dcn.Cross``,
    stacked before the deep layers. The rating head starts from the candidate's damped mean, the positive
    head on drawn negatives from the candidate's share of positives; each learns what to add.
    """

    def __init__(
        self,
        query_id: tuple[str, int],
        query_features: Sequence[EncodedFeature],
        candidate_features: Sequence[EncodedFeature],
        table: CandidateTable,
        statistics: TrainingStatistics,
        config: RankingConfig,
        *,
        has_negatives: bool,
    ):
        """Makes the model.

        Args:
            query_id: Name of the query id and the number of integers it can be; the last is unknown.
            query_features: Shapes of context and attributes.
            candidate_features: Shapes of the catalogue's features.
            table: The catalogue after Transform.
            statistics: What the train split says of each candidate.
            config: The ranking section.
            has_negatives: Whether the log itself holds negatives.
        """
        super().__init__()
        self._config = config
        self._query_id, id_size = query_id
        self._unknown_query = id_size - 1
        self._table = {name: tf.constant(column) for name, column in table.features.items()}
        self._rating = statistics.rating
        if self._rating:
            self._mean = tf.constant(self._rating.mean, tf.float32)
            self._offsets = tf.constant(self._rating.offsets)
        negatives = config.resolved_negatives(has_negatives=has_negatives)
        self.sampler = NegativeSampler(negatives, statistics.positives) if negatives.total else None
        self._log_odds = tf.constant(statistics.positive_log_odds())
        self._log_odds_without_own = tf.constant(statistics.positive_log_odds(without=1))
        # Of one interaction, an embedding beside drawn negatives learns by heart that train holds it.
        indices = id_embedding_indices(statistics.counts, least=2 if self.sampler else 1)
        self._id_indices = tf.constant(indices)
        self._sees_repeats = bool(negatives.total) if config.repeats is None else config.repeats
        dim, seed = config.feature_dim, config.seed
        self._query_ids = _embedding(id_size, dim, seed + 1, "embed_query_id")
        self._candidate_ids = _embedding(int(indices.max()) + 1, dim, seed + 2, "embed_candidate_id")
        self._candidate_ids.build(None)
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
        # Zero kernels: training starts at what the train split says of a candidate, not at noise around it.
        self._positive_head = keras.layers.Dense(1, kernel_initializer="zeros", name="positive")
        # tfrs.Model reports the last batch's loss; a curve needs the epoch's.
        self._epoch_loss = keras.metrics.Mean(name="epoch_loss")
        self._positive_task = tfrs.tasks.Ranking(
            loss=keras.losses.BinaryCrossentropy(from_logits=True, reduction=keras.losses.Reduction.SUM)
        )
        if self._rating:
            self._rating_head = keras.layers.Dense(1, kernel_initializer="zeros", name="rating")
            self._rating_task = tfrs.tasks.Ranking(
                loss=keras.losses.MeanSquaredError(reduction=keras.losses.Reduction.SUM)
            )

    def score(
        self, query: Mapping[str, tf.Tensor], rows: tf.Tensor, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Scores several candidates for each query; the query's own part is computed once.

        Args:
            query: Encoded query id (int64 [batch]) and features, ``history`` as int64 [batch, length]
                candidate rows, negative for padding, and ``history_age``, float32 [batch, length] seconds.
            rows: int64 [batch, candidates] rows in the candidate table.
            training: Whether dropout is on.

        Returns:
            float32 [batch, candidates] each: ``positive``, a probability, and ``rating`` where interactions
            are rated.
        """
        return self.score_encoded(query, rows, self.encode_candidates(tf.reshape(rows, [-1])), training)

    def score_encoded(
        self,
        query: Mapping[str, tf.Tensor],
        rows: tf.Tensor,
        candidates: tf.Tensor,
        training: bool = False,
    ) -> dict[str, tf.Tensor]:
        """As :meth:`score`, given what :meth:`encode_candidates` makes of the rows.

        Args:
            query: As for :meth:`score`.
            rows: int64 [batch, candidates] rows in the candidate table.
            candidates: float32 [batch x candidates, width], the rows' encoding.
            training: Whether dropout is on.
        """
        heads = self._heads(query, rows, candidates, tf.gather(self._log_odds, rows), training)
        return {**heads, POSITIVE: tf.math.sigmoid(heads[POSITIVE])}

    def _heads(
        self,
        query: Mapping[str, tf.Tensor],
        rows: tf.Tensor,
        candidates: tf.Tensor,
        log_odds: tf.Tensor,
        training: bool,
    ) -> dict[str, tf.Tensor]:
        """As :meth:`score_encoded`, but of *positive* the logit, given each candidate's share as log odds."""
        shape = tf.shape(rows)
        flat = tf.reshape(rows, [-1])
        repeated = tf.repeat(self._query_inputs(query, training), shape[1], axis=0)
        inputs = [repeated, candidates]
        if self.sampler:
            inputs.append(tf.reshape(log_odds, [-1, 1]))
        if self._sees_repeats:
            repeats = repeat_features(query[HISTORY], query[HISTORY_AGE], rows)
            inputs.append(tf.reshape(repeats, [-1, repeats.shape[2]]))
        x = tf.concat(inputs, axis=1)
        first = x
        for cross in self._crosses:
            x = cross(first, x)
        for layer in self._hidden:
            x = self._dropout(layer(x), training=training)
        positive = self._positive_head(x)[:, 0]
        if self.sampler:
            positive += tf.reshape(log_odds, [-1])
        heads = {POSITIVE: tf.reshape(positive, shape)}
        if self._rating:
            rating = self._mean + tf.gather(self._offsets, flat) + self._rating_head(x)[:, 0]
            heads[RATING] = tf.reshape(rating, shape)
        return heads

    def _query_inputs(self, query: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        """What the cross layers see of the queries: float32 [batch, width]."""
        ids = query[self._query_id]
        if training:
            ids = drop_ids(ids, self._config.id_dropout, unknown=self._unknown_query)
        history = query[HISTORY]
        indices = tf.where(history >= 0, tf.gather(self._id_indices, tf.maximum(history, 0)), UNKNOWN_ID)
        pooled = mean_embedding(self._candidate_ids, indices, indices > UNKNOWN_ID)
        return tf.concat([self._query_ids(ids), *self._query_encoder(query), pooled], axis=1)

    def encode_candidates(self, rows: tf.Tensor) -> tf.Tensor:
        """What the cross layers see of candidates, int64 [rows]: float32 [rows, width]."""
        features = {name: tf.gather(column, rows) for name, column in self._table.items()}
        identity = self._candidate_ids(tf.gather(self._id_indices, rows))
        parts = [identity, *self._candidate_encoder(features)]
        if self._rating:
            parts.append(tf.gather(self._offsets, rows)[:, tf.newaxis])
        return tf.concat(parts, axis=1)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Weighted sum of the heads' losses over a batch of interactions (scalar).

        Each loss is a mean over interactions, times their weights. Negatives drawn for a positive
        (``NEGATIVE_ROWS``) each count as much as the positive.
        """
        own = inputs[CANDIDATE_ROW][:, tf.newaxis]
        rows, labels, weights = own, inputs[POSITIVE][:, tf.newaxis], inputs[WEIGHT][:, tf.newaxis]
        if self.sampler:
            drawn = inputs[NEGATIVE_ROWS]
            counted = tf.where(drawn >= 0, labels * weights, 0.0)
            rows = tf.concat([own, tf.maximum(drawn, 0)], axis=1)
            labels = tf.concat([labels, tf.zeros_like(counted)], axis=1)
            weights = tf.concat([weights, counted], axis=1)
        candidates = self.encode_candidates(tf.reshape(rows, [-1]))
        log_odds = self._training_log_odds(rows, labels, training)
        heads = self._heads(inputs, rows, candidates, log_odds, training)
        logits = heads[POSITIVE]
        if self.sampler:
            logits -= self.sampler.log_expected(inputs[HISTORY], rows)
        interactions = tf.cast(tf.shape(own)[0], tf.float32)
        positive = self._positive_task(
            labels[..., tf.newaxis], logits[..., tf.newaxis], sample_weight=weights
        )
        loss = self._config.head_weights.get(POSITIVE, 1.0) * positive / interactions
        if self._rating:
            ratings = inputs[self._rating.column][:, tf.newaxis]
            rating = self._rating_task(ratings, heads[RATING][:, :1], sample_weight=inputs[WEIGHT])
            loss += self._config.head_weights.get(RATING, 1.0) * rating / interactions
        self._epoch_loss.update_state(loss)
        return loss

    def _training_log_odds(self, rows: tf.Tensor, labels: tf.Tensor, training: bool) -> tf.Tensor:
        """Log odds of candidates' shares; in training, a positive's without that positive itself.

        A candidate chosen n times is then seen as chosen n - 1 times where it is chosen, and n times where it
        is drawn, so that the model learns of those chosen v times what Good-Turing estimates of them
        (I. J. Good, Biometrika 40, 1953): (v + 1) N(v + 1) / N(v) chances, N(v) being their number. Counted
        in, a candidate of one positive would always be chosen once met, as only the train split knows.
        """
        log_odds = tf.gather(self._log_odds, rows)
        if not training:
            return log_odds
        return tf.where(labels > 0, tf.gather(self._log_odds_without_own, rows), log_odds)


def _embedding(size: int, dim: int, seed: int, name: str) -> keras.layers.Embedding:
    initializer = keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)
    return keras.layers.Embedding(size, dim, embeddings_initializer=initializer, name=name)
