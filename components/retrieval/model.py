"""The two-tower retrieval model: towers over the candidate table, and the loss that trains them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ingest.declaration import HISTORY, POSITIVE, WEIGHT
from components.retrieval.config import RetrievalConfig
from components.retrieval.history import UNKNOWN_ID
from components.retrieval.light_ranker import LightRanker
from components.retrieval.losses import (
    binary_cross_entropy,
    exclude_positives,
    hardest,
    log_partition,
    mean_softplus,
    positive_not_sampled_cross_entropy,
    softmax_cross_entropy,
)
from components.retrieval.negatives import NegativePool
from components.retrieval.task import positives_masked, retrieval_task
from components.retrieval.towers import CandidateTower, Embedded, QueryTower
from components.transform.candidate_table import CandidateTable
from components.transform.interaction_dataset import CANDIDATE_ROW, QUERY_OF


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


def inverse_propensities(counts: np.ndarray, power: float) -> np.ndarray:
    """What an interaction with each candidate weighs: the popular are seen more often than they are liked.

    The chance that a liked candidate is seen is taken to grow with a power of its count, and interactions
    weigh the inverse: Saito et al., "Unbiased Recommender Learning from Missing-Not-At-Random Implicit
    Feedback", WSDM 2020, section 5 (power 0.5); here scaled so that training interactions weigh 1 in the
    mean.

    Args:
        counts: [candidates] training interactions per candidate row.
        power: 0: all weigh 1; 1: all candidates together weigh the same.

    Returns:
        float32 [candidates].
    """
    seen = np.maximum(counts, 1).astype(np.float64)
    weights = seen**-power
    return (weights * seen.sum() / (seen * weights).sum()).astype(np.float32)


class RetrievalModel(tfrs.Model):
    """Two towers whose similarity is high for a query and the candidate of its positive interaction.

    The softmax over a batch's candidates is that of TFRS' retrieval task wherever the task can express it
    (see :func:`components.retrieval.task.retrieval_task`); the other losses are those of
    :mod:`components.retrieval.losses`. Negatives come from the batch, from the catalogue, or are all of it.
    Where a drawn one is a positive of its query it does not count.

    Attributes:
        query_tower: Embeds queries.
        candidate_tower: Embeds candidates.
        light_ranker: Scores what is retrieved; learns by the same loss, over the same negatives. None where
            there is to be none.
        candidate_ids: [candidates] bytes, by row.
        candidate_features: Encoded features of the catalogue, [candidates, ...] each.
        task: Computes the loss of a batch; None where it cannot express the configured one.
    """

    def __init__(
        self,
        query_tower: QueryTower,
        candidate_tower: CandidateTower,
        table: CandidateTable,
        counts: np.ndarray,
        interactions_per_query: float,
        config: RetrievalConfig,
    ):
        """Puts the towers over the candidate table.

        Args:
            query_tower: Embeds queries.
            candidate_tower: Embeds candidates.
            table: The catalogue after Transform.
            counts: int64 [candidates] training interactions per row of the table.
            interactions_per_query: How many a query of a training batch has, in the mean.
            config: The retrieval section.
        """
        super().__init__()
        self.query_tower = query_tower
        self.candidate_tower = candidate_tower
        light = config.light_ranker
        self.light_ranker = LightRanker(light, seed=config.seed + 600) if light else None
        self._config = config
        self._id_indices = tf.constant(id_embedding_indices(counts))
        self.candidate_ids = table.ids
        self.candidate_features = {name: tf.constant(column) for name, column in table.features.items()}
        loss = config.loss
        self._weights_of_rows = tf.constant(inverse_propensities(counts, loss.inverse_propensity))
        self._pool = NegativePool(counts, in_batch=loss.in_batch, uniform=loss.uniform_negatives)
        self.task = retrieval_task(config, self._pool, interactions_per_query)
        self.log_temperature = tf.Variable(
            math.log(config.temperature), trainable=config.learn_temperature, name="log_temperature"
        )
        # tfrs.Model reports the last batch's loss; a curve needs the epoch's.
        self._epoch_loss = keras.metrics.Mean(name="epoch_loss")
        self._light_loss: Any = keras.metrics.Mean(name="light_ranker_loss") if light else None
        # Of several replicas' logs Keras would make a sum, also of their means.
        self.distribute_reduction_method = "first"

    @property
    def candidate_count(self) -> int:
        """Rows of the candidate table."""
        return int(self._id_indices.shape[0])

    @property
    def temperature(self) -> tf.Tensor:
        """What similarities are divided by in the loss: float32 scalar."""
        return tf.exp(self.log_temperature)

    def embed_query(self, query: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Embeds encoded queries.

        Args:
            query: Encoded query features, and ``history`` as int64 [batch, length] candidate rows,
                negative for padding.
            training: Whether dropout is on.

        Returns:
            float32 [batch, width] embeddings over the temperature: their dot products with candidates' are
            what the loss makes of similarities, logarithms of a probability but for a constant of the query.
        """
        return self._over_temperature(self._raw_query(query, training).embedding)

    def embed_query_for_both(self, query: Mapping[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Embeds encoded queries for retrieval and for the light ranker, of which there has to be one.

        Args:
            query: As for :meth:`embed_query`.

        Returns:
            What :meth:`embed_query` does, and float32 [batch, query_embeddings, light_ranker.dim].
        """
        assert self.light_ranker
        raw = self._raw_query(query, training=False)
        return self._over_temperature(raw.embedding), self.light_ranker.embed_query(raw.hidden)

    def make_weights(self, batch: Mapping[str, tf.Tensor]) -> None:
        """Makes those weights that wait for their inputs' widths, of any batch of interactions."""
        self.embed_query(batch)
        self.embed_rows(batch[CANDIDATE_ROW])
        if self.light_ranker:
            self.embed_query_for_both(batch)
            self.light_ranker.embed_candidate(self._raw_rows(batch[CANDIDATE_ROW], training=False).hidden)

    def embed_rows(self, rows: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Embeds candidates of the table by row (int64 [batch]) as float32 [batch, width]."""
        return self._finished(self._raw_rows(rows, training).embedding)

    def embed_candidates(
        self, rows: tf.Tensor, features: Mapping[str, tf.Tensor], training: bool = False
    ) -> tf.Tensor:
        """Embeds candidates by their encoded features, in the table or not.

        Args:
            rows: int64 [batch] rows, ``UNKNOWN_ROW`` for a candidate not in the table.
            features: Encoded features, each [batch, ...].
            training: Whether dropout is on.

        Returns:
            float32 [batch, width] embeddings, for cosine similarity of unit length but for the bias.
        """
        made = self.candidate_tower(self._id_index(rows), features, training=training)
        return self._finished(made.embedding)

    def _raw_query(self, query: Mapping[str, tf.Tensor], training: bool) -> Embedded:
        """The query tower's output, of any length."""
        return self.query_tower({**query, HISTORY: self._id_index(query[HISTORY])}, training=training)

    def _raw_rows(self, rows: tf.Tensor, training: bool) -> Embedded:
        """The candidate tower's output for rows of the table, of any length."""
        features = {name: tf.gather(column, rows) for name, column in self.candidate_features.items()}
        return self.candidate_tower(self._id_index(rows), features, training=training)

    def _finished(self, raw: tf.Tensor) -> tf.Tensor:
        """What similarities are the dot products of."""
        if self._config.similarity == "dot":
            return raw
        dim = self._config.dim
        return tf.concat([tf.math.l2_normalize(raw[:, :dim], axis=1), raw[:, dim:]], axis=1)

    def _over_temperature(self, raw_queries: tf.Tensor) -> tf.Tensor:
        return self._finished(raw_queries) / self.temperature

    def _id_index(self, rows: tf.Tensor) -> tf.Tensor:
        """Index of the id embedding of each row; ``UNKNOWN_ID`` for padding and ids not in the table."""
        return tf.where(rows >= 0, tf.gather(self._id_indices, tf.maximum(rows, 0)), UNKNOWN_ID)

    def embed_catalogue(self, batch_size: int = 4096) -> tf.Tensor:
        """Embeds every candidate, in the order of rows: float32 [candidates, width]."""
        return self._of_catalogue(self.embed_rows, batch_size)

    def embed_catalogue_for_light_ranker(self, batch_size: int = 4096) -> tf.Tensor:
        """Embeds every candidate as the light ranker does: float32 [candidates, light_ranker.dim]."""
        assert self.light_ranker
        embed = self.light_ranker.embed_candidate
        return self._of_catalogue(lambda rows: embed(self._raw_rows(rows, training=False).hidden), batch_size)

    def _of_catalogue(self, embed: Callable[[tf.Tensor], tf.Tensor], batch_size: int) -> tf.Tensor:
        """What is made of all rows, so many at a time: float32 [candidates, any]."""
        starts = range(0, self.candidate_count, batch_size)
        stops = [min(start + batch_size, self.candidate_count) for start in starts]
        parts = [
            embed(tf.range(start, stop, dtype=tf.int64)) for start, stop in zip(starts, stops, strict=True)
        ]
        return tf.concat(parts, axis=0)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Loss of a batch of interactions: the weighted mean over them, and the regularisation (scalar).

        The light ranker's is added, times its own weight.
        Of a batch that is one of several replicas' it is the part that the replicas' losses add up from.

        Args:
            inputs: A batch of interactions or of whole queries (see ``EncodedInteractions``); all positive
                but for binary cross-entropy.
            training: Whether dropout is on.
        """
        rows, query_of = inputs[CANDIDATE_ROW], _query_of(inputs)
        weights = inputs[WEIGHT] * tf.gather(self._weights_of_rows, rows)
        query = self._raw_query(inputs, training)
        lengths = tf.gather(_squared_lengths(query.embedding), query_of)
        if self._config.loss.kind.startswith("full_"):
            candidates = self._raw_rows(tf.range(self.candidate_count, dtype=tf.int64), training)
            losses = [weights * losses for losses in self._full_losses(query, candidates, inputs)]
            squares = _squared_lengths(candidates.embedding)
            if self._config.loss.kind == "full_binary_cross_entropy":
                # Of pairs, each of which is regularised by its weight: the negatives are pairs too.
                negatives = self._config.loss.negative_weight * inputs[POSITIVE]
                lengths += negatives * (lengths + tf.reduce_mean(squares))
            lengths += tf.gather(squares, rows)
        else:
            positives = self._raw_rows(rows, training)
            losses = self._sampled_losses(query, positives, inputs, weights, training)
            lengths += _squared_lengths(positives.embedding)
        loss = _mean(losses[0])
        if self.light_ranker:
            of_light_ranker = _mean(losses[1])
            self._light_loss.update_state(of_light_ranker)
            loss += self.light_ranker.weight * of_light_ranker
        if self._config.l2:
            loss += self._config.l2 * _mean(lengths)
        self._epoch_loss.update_state(loss)
        # Keras adds up what the replicas return, and their gradients.
        return loss / tf.distribute.get_strategy().num_replicas_in_sync

    def _full_losses(
        self, query: Embedded, candidates: Embedded, inputs: Mapping[str, tf.Tensor]
    ) -> list[tf.Tensor]:
        """Losses against the whole catalogue, positives included.

        Returns:
            float32 [interactions] of the towers and, if there is one, of the light ranker.
        """
        rows, query_of, loss = inputs[CANDIDATE_ROW], _query_of(inputs), self._config.loss
        queries, catalogue = self._over_temperature(query.embedding), self._finished(candidates.embedding)
        if loss.kind == "full_softmax" and not self.light_ranker:
            own = _own_scores(queries, query_of, tf.gather(catalogue, rows))
            return [tf.gather(log_partition(queries, catalogue), query_of) - own]

        def losses_of(scores: tf.Tensor) -> tf.Tensor:
            own = tf.gather_nd(scores, tf.stack([query_of, rows], axis=1))
            if loss.kind == "full_softmax":
                return tf.gather(tf.reduce_logsumexp(scores, axis=1), query_of) - own
            beside = tf.gather(mean_softplus(scores), query_of)
            return binary_cross_entropy(own, inputs[POSITIVE], beside, loss.negative_weight)

        scores = tf.matmul(queries, catalogue, transpose_b=True)
        if not self.light_ranker:
            return [losses_of(scores)]
        several = self.light_ranker.embed_query(query.hidden)
        light = self.light_ranker.score_all(
            several, self.light_ranker.embed_candidate(candidates.hidden), scores
        )
        return [losses_of(scores), losses_of(light)]

    def _sampled_losses(
        self,
        query: Embedded,
        positives: Embedded,
        inputs: Mapping[str, tf.Tensor],
        weights: tf.Tensor,
        training: bool,
    ) -> list[tf.Tensor]:
        """Return losses against a pool of negatives.

        Args:
            query: The batch's queries.
            positives: The interactions' candidates.
            inputs: The batch.
            weights: float32 [interactions].
            training: Whether dropout is on.

        Returns:
            float32 [interactions], weighted, of the towers and, if there is one, of the light ranker.
        """
        rows, query_of = inputs[CANDIDATE_ROW], _query_of(inputs)
        queries = self._over_temperature(query.embedding)
        own = _own_scores(queries, query_of, self._finished(positives.embedding))
        of_batch = slice(None) if self._config.loss.in_batch else slice(0)
        negatives, pool = rows[of_batch], Embedded(*(part[of_batch] for part in positives))
        drawn = self._pool.draw_uniform()
        if drawn is not None:
            negatives = tf.concat([negatives, drawn], axis=0)
            parts = zip(pool, self._raw_rows(drawn, training), strict=True)
            pool = Embedded(*(tf.concat(part, axis=0) for part in parts))
        if self._task_applies(inputs):
            return [self._task_losses(query.embedding, pool.embedding, negatives, inputs, weights)]
        scores = tf.matmul(queries, self._finished(pool.embedding), transpose_b=True)
        losses = [self._pool_losses(own, scores, negatives, inputs)]
        if self.light_ranker:
            light = self.light_ranker
            several = light.embed_query(query.hidden)
            own_candidates = light.embed_candidate(positives.hidden)[:, tf.newaxis]
            own = light.score(tf.gather(several, query_of), own_candidates, own[:, tf.newaxis])[:, 0]
            scores = light.score_all(several, light.embed_candidate(pool.hidden), scores)
            losses.append(self._pool_losses(own, scores, negatives, inputs))
        return [weights * values for values in losses]

    def _task_applies(self, inputs: Mapping[str, tf.Tensor]) -> bool:
        """Return whether TFRS' task computes the loss of this batch.

        Of whole queries beside evenly drawn candidates it cannot: the share of the batch's candidates in the
        mixture differs from query to query, and the task takes one probability a candidate.
        """
        return self.task is not None and not (QUERY_OF in inputs and self._config.loss.uniform_negatives)

    def _task_losses(
        self,
        raw_queries: tf.Tensor,
        raw_candidates: tf.Tensor,
        negatives: tf.Tensor,
        inputs: Mapping[str, tf.Tensor],
        weights: tf.Tensor,
    ) -> tf.Tensor:
        """Return the losses of TFRS' task.

        Args:
            raw_queries: float32 [queries, width].
            raw_candidates: float32 [negatives, width], the interactions' own candidates first.
            negatives: int64 [negatives] candidate rows.
            inputs: The batch.
            weights: float32 [interactions].

        Returns:
            float32 [interactions], weighted.
        """
        task, rows = self.task, inputs[CANDIDATE_ROW]
        assert task
        learnt = self._config.learn_temperature
        queries = self._over_temperature(raw_queries) if learnt else self._finished(raw_queries)
        candidates, mask, probabilities = self._finished(raw_candidates), None, None
        if QUERY_OF in inputs:
            queries = tf.gather(queries, inputs[QUERY_OF])
            mask = positives_masked(negatives, rows, inputs[QUERY_OF])
        if self._config.loss.correction == "logq":
            others = tf.cast(tf.size(rows), tf.float32) - 1.0
            probabilities = self._pool.relative_probabilities(negatives, others)

        def computed() -> tf.Tensor:
            return task(
                queries,
                candidates,
                sample_weight=weights,
                candidate_sampling_probability=probabilities,
                candidate_ids=negatives,
                score_mask=mask,
            )

        # Of an epoch's last batch a replica may get nothing, which the task does not accept.
        return tf.cond(tf.size(rows) > 0, computed, lambda: tf.zeros_like(weights))

    def _pool_losses(
        self, own: tf.Tensor, scores: tf.Tensor, negatives: tf.Tensor, inputs: Mapping[str, tf.Tensor]
    ) -> tf.Tensor:
        """Losses of scores against a pool of negatives.

        Args:
            own: float32 [interactions], scores of their candidates for their own queries.
            scores: float32 [queries, negatives].
            negatives: int64 [negatives] candidate rows.
            inputs: The batch.

        Returns:
            float32 [interactions].
        """
        loss, rows, query_of = self._config.loss, inputs[CANDIDATE_ROW], _query_of(inputs)
        if not (loss.in_batch or loss.uniform_negatives):
            return binary_cross_entropy(own, inputs[POSITIVE], tf.zeros_like(own), loss.negative_weight)
        if loss.kind == "sampled_softmax" and loss.correction != "none":
            batch = tf.shape(scores, query_of.dtype)[0]
            sizes = tf.math.bincount(query_of, minlength=batch, dtype=tf.float32)
            others = tf.cast(tf.size(rows), tf.float32) - sizes
            scores -= self._pool.log_expected_counts(negatives[tf.newaxis, :], others[:, tf.newaxis])
            if loss.correction == "logq":
                own -= self._pool.log_expected_counts(rows, tf.gather(others, query_of))
        scores = exclude_positives(scores, negatives, rows, query_of)
        if loss.hard_negatives:
            scores = hardest(scores, loss.hard_negatives)
        if loss.kind == "binary_cross_entropy":
            beside = tf.gather(mean_softplus(scores), query_of)
            return binary_cross_entropy(own, inputs[POSITIVE], beside, loss.negative_weight)
        beside = tf.gather(tf.reduce_logsumexp(scores, axis=1), query_of)
        if loss.correction == "positive_not_sampled":
            return positive_not_sampled_cross_entropy(own, beside)
        return softmax_cross_entropy(own, beside)


def _own_scores(queries: tf.Tensor, query_of: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """float32 [interactions]: scores of their candidates, [interactions, width], for their own queries."""
    return tf.reduce_sum(tf.gather(queries, query_of) * positives, axis=1)


def _squared_lengths(embeddings: tf.Tensor) -> tf.Tensor:
    """float32 [any] of embeddings, float32 [any, width]."""
    return tf.reduce_sum(embeddings**2, axis=1)


def _query_of(inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """int64 [interactions]: the place of each one's query in the batch."""
    each = tf.range(tf.size(inputs[CANDIDATE_ROW], out_type=tf.int64))
    return inputs.get(QUERY_OF, each)


def _mean(values: tf.Tensor) -> tf.Tensor:
    """The mean, 0 of nothing: of an epoch's last batch a replica may get nothing."""
    return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))
