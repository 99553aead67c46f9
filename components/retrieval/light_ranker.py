"""The light ranker: several embeddings of a query, of which each candidate weighs those that are near it."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import LightRankerConfig
from components.retrieval.features import kernel_initializer


class LightRanker(keras.layers.Layer):
    """Scores candidates by the towers' score and the pooled logits of K further embeddings of the query.

    With s the towers' score of a query q and a candidate v, u_k the query's embeddings and c the candidate's,

        x_k = u_k · c,    score(q, v) = s(q, v) + Σ_k softmax_k(x_k / temperature) x_k.

    One vector a query has to lie between its interests; of several, the one that a candidate is near counts
    for it. The pooling is the label-aware attention of MIND (Li et al., CIKM 2019, section 4.4; also in Cen
    et al., ComiRec, KDD 2020), whose queries and keys are the x_k and whose power is 1 / temperature here;
    unlike there it is also how candidates are scored in serving, so that what is served is what was trained.
    That makes it the mixture of logits of Zhai et al. ("Revisiting Neural Retrieval on Accelerators", KDD
    2023), of one embedding a candidate and with gates that follow from the logits. The towers' score, which
    costs nothing once a candidate is retrieved, is what the pooled logits correct: untrained, the order is
    that of retrieval.

    All embeddings are linear in what the towers' last hidden layers hold, as the towers' own are, so that a
    query costs one more matrix product, and a candidate's is computed once, for the whole catalogue.

    Attributes:
        weight: Of its loss beside the towers'.
    """

    def __init__(self, config: LightRankerConfig, *, seed: int):
        """Makes the two layers.

        Args:
            config: The section ``retrieval.light_ranker``.
            seed: Of the initial weights.
        """
        super().__init__(name="light_ranker")
        self._config = config
        self.weight = config.weight
        width = config.query_embeddings * config.dim
        self._query = keras.layers.Dense(width, kernel_initializer=kernel_initializer(seed), name="query")
        self._candidate = keras.layers.Dense(
            config.dim, kernel_initializer=kernel_initializer(seed + 1), name="candidate"
        )

    def embed_query(self, hidden: tf.Tensor) -> tf.Tensor:
        """Embeds queries.

        Args:
            hidden: float32 [batch, any], of :class:`components.retrieval.towers.Embedded`.

        Returns:
            float32 [batch, query_embeddings, dim].
        """
        flat = self._query(self._of_towers(hidden))
        return tf.reshape(flat, [-1, self._config.query_embeddings, self._config.dim])

    def embed_candidate(self, hidden: tf.Tensor) -> tf.Tensor:
        """Embeds candidates: float32 [batch, any] to float32 [batch, dim]."""
        return self._candidate(self._of_towers(hidden))

    def score_all(self, queries: tf.Tensor, candidates: tf.Tensor, retrieval: tf.Tensor) -> tf.Tensor:
        """Scores all candidates for all queries.

        Args:
            queries: float32 [queries, query_embeddings, dim].
            candidates: float32 [candidates, dim].
            retrieval: float32 [queries, candidates], the towers' scores.

        Returns:
            float32 [queries, candidates]. The logits take ``query_embeddings`` times as much meanwhile.
        """
        return self._score(tf.tensordot(queries, candidates, [[2], [1]]), retrieval)

    def score(self, queries: tf.Tensor, candidates: tf.Tensor, retrieval: tf.Tensor) -> tf.Tensor:
        """Scores each query's own candidates.

        Args:
            queries: float32 [batch, query_embeddings, dim].
            candidates: float32 [batch, any, dim].
            retrieval: float32 [batch, any], the towers' scores.

        Returns:
            float32 [batch, any].
        """
        return self._score(tf.matmul(queries, candidates, transpose_b=True), retrieval)

    def _score(self, logits: tf.Tensor, retrieval: tf.Tensor) -> tf.Tensor:
        return self._of_towers(retrieval) + pooled(logits, self._config.temperature)

    def _of_towers(self, values: tf.Tensor) -> tf.Tensor:
        """What the towers made, with or without a gradient back to them."""
        return tf.stop_gradient(values) if self._config.stop_gradient else values


def pooled(logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """Σ_k softmax_k(x_k / temperature) x_k: between the mean and, at low temperatures, the largest.

    Args:
        logits: float32 [batch, query_embeddings, candidates].
        temperature: Above 0.

    Returns:
        float32 [batch, candidates].
    """
    # Softmax of a dimension that is not the last would transpose twice.
    highest = tf.stop_gradient(tf.reduce_max(logits, axis=1, keepdims=True))
    weights = tf.exp((logits - highest) / temperature)
    return tf.reduce_sum(weights * logits, axis=1) / tf.reduce_sum(weights, axis=1)
