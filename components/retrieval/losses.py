"""What scores of a positive and of negatives cost: softmax and binary cross-entropy losses.

A query may have several positives, and all of them share its negatives. So scores of negatives, float32
[queries, negatives] with ``EXCLUDED`` where one does not count, are first made one number a query; losses
take that of each positive's query beside the positive's own score, float32 [positives], and return as many.
"""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

EXCLUDED = -1e9
"""The score of a negative that does not count: nothing in a softmax or under a sigmoid."""


def exclude_positives(
    scores: tf.Tensor, rows: tf.Tensor, positives: tf.Tensor, query_of: tf.Tensor
) -> tf.Tensor:
    """Excludes negatives that are a positive of the query itself.

    Args:
        scores: float32 [queries, negatives].
        rows: int64 [negatives] candidate rows of the negatives.
        positives: int64 [positives] candidate rows of the positives.
        query_of: int64 [positives] queries of the positives.

    Returns:
        float32 [queries, negatives].
    """
    places = places_of_positives(rows, positives, query_of)
    return tf.tensor_scatter_nd_update(scores, places, tf.fill([tf.shape(places)[0]], EXCLUDED))


def places_of_positives(rows: tf.Tensor, positives: tf.Tensor, query_of: tf.Tensor) -> tf.Tensor:
    """Return where negatives are a positive of the query itself.

    Args:
        rows: int64 [negatives] candidate rows of the negatives.
        positives: int64 [positives] candidate rows of the positives.
        query_of: int64 [positives] queries of the positives.

    Returns:
        int64 [any, 2], pairs of a query and the place of a negative.
    """
    order = tf.argsort(rows)
    ordered = tf.gather(rows, order)
    first = tf.searchsorted(ordered, positives, side="left")
    last = tf.searchsorted(ordered, positives, side="right")
    # A negative drawn twice is there twice: every place between first and last.
    hits = tf.ragged.range(first, last)
    columns = tf.gather(order, hits.flat_values)
    queries = tf.gather(query_of, hits.value_rowids())
    return tf.stack([queries, tf.cast(columns, tf.int64)], axis=1)


def hardest(scores: tf.Tensor, count: int) -> tf.Tensor:
    """The highest ``count`` scores of each row, or all where there are fewer.

    Args:
        scores: float32 [queries, negatives].
        count: How many to keep.

    Returns:
        float32 [queries, min(count, negatives)].
    """
    return tf.math.top_k(scores, k=tf.minimum(count, tf.shape(scores)[1]), sorted=False).values


@tf.custom_gradient
def log_partition(
    queries: tf.Tensor, candidates: tf.Tensor
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]]:
    """What a softmax over all candidates divides by: log Σ_d exp(q·d) of each query q, float32 [queries].

    Equal to ``tf.reduce_logsumexp`` of the scores, gradient included, in half the time: of arrays as large as
    queries times candidates there is one in memory, and what the gradient is scaled by is put on embeddings.

    Args:
        queries: float32 [queries, width].
        candidates: float32 [candidates, width].
    """
    scores = tf.matmul(queries, candidates, transpose_b=True)
    highest = tf.reduce_max(scores, axis=1, keepdims=True)
    exponentials = tf.exp(scores - highest)
    total = tf.reduce_sum(exponentials, axis=1, keepdims=True)

    def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        scale = tf.convert_to_tensor(upstream)[:, tf.newaxis] / total
        of_queries = scale * tf.matmul(exponentials, candidates)
        return of_queries, tf.matmul(exponentials, scale * queries, transpose_a=True)

    return (tf.math.log(total) + highest)[:, 0], gradient


def softmax_cross_entropy(positive: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """Minus the logarithm of the positive's softmax probability among itself and its query's negatives.

    With scores less the logarithm of how often each candidate is expected in the sample, this is the sampled
    softmax of Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations",
    RecSys 2019, eq. 3.

    Args:
        positive: float32 [positives] scores.
        others: float32 [positives], log Σ exp of the negatives' scores.
    """
    return tf.nn.softplus(others - positive)


def positive_not_sampled_cross_entropy(positive: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
    """The sampled softmax of Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025 (2507.09331).

    The gradient of the full softmax is that of minus the positive's score f(p) plus the mean of all scores
    under the softmax P. Splitting off p, which is there with certainty and is not a draw,

        ∇L = (1 − P(p)) · (−∇f(p) + Σ_{d ≠ p} P(d) / (1 − P(p)) · ∇f(d)),

    and the second factor is what draws among the other candidates estimate, self-normalised:

        L = sg(1 − P(p)) · (log Σ_i exp(f(d_i) − log E(d_i)) − f(p)),

    with P(p) = exp f(p) / (exp f(p) + Σ_i exp(f(d_i) − log E(d_i))) estimated from the same draws; E(d) is
    how often d is expected among them, sg stops the gradient.

    Args:
        positive: float32 [positives] scores f(p), uncorrected.
        others: float32 [positives], log Σ exp of the negatives' scores less log E.
    """
    return tf.stop_gradient(tf.math.sigmoid(others - positive)) * (others - positive)


def mean_softplus(scores: tf.Tensor) -> tf.Tensor:
    """What drawn negatives cost in binary cross-entropy, a mean: 0 without any.

    Args:
        scores: float32 [queries, negatives].

    Returns:
        float32 [queries].
    """
    counted = tf.cast(scores > EXCLUDED, tf.float32)
    total = tf.reduce_sum(tf.nn.softplus(scores) * counted, axis=1)
    return tf.math.divide_no_nan(total, tf.reduce_sum(counted, axis=1))


def binary_cross_entropy(
    score: tf.Tensor, labels: tf.Tensor, negatives: tf.Tensor, negative_weight: float
) -> tf.Tensor:
    """Binary cross-entropy of a labelled pair, and beside a positive one of drawn negatives.

    Args:
        score: float32 [pairs] scores of the logged pairs.
        labels: float32 [pairs], 1 for a positive pair, 0 for a negative one.
        negatives: float32 [pairs], :func:`mean_softplus` of the pair's query.
        negative_weight: What a pair's drawn negatives weigh together.
    """
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels, score)
    return loss + negative_weight * labels * negatives
