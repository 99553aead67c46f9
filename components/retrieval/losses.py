"""What scores of a positive and of negatives cost: softmax and binary cross-entropy losses.

All take the score of each query's positive, float32 [batch], and of its negatives, float32
[batch, negatives], ``EXCLUDED`` where a negative does not count for that query, and return float32 [batch].
"""

from __future__ import annotations

import tensorflow as tf

EXCLUDED = -1e9
"""The score of a negative that does not count: nothing in a softmax or under a sigmoid."""


def exclude_accidental_hits(scores: tf.Tensor, rows: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """Excludes negatives that are the query's own positive.

    Args:
        scores: float32 [batch, negatives].
        rows: int64 [negatives] candidate rows of the negatives.
        positives: int64 [batch] candidate rows of the positives.

    Returns:
        float32 [batch, negatives].
    """
    return tf.where(rows[tf.newaxis, :] == positives[:, tf.newaxis], EXCLUDED, scores)


def hardest(scores: tf.Tensor, count: int) -> tf.Tensor:
    """The highest ``count`` scores of each row, or all where there are fewer.

    Args:
        scores: float32 [batch, negatives].
        count: How many to keep.

    Returns:
        float32 [batch, min(count, negatives)].
    """
    return tf.math.top_k(scores, k=tf.minimum(count, tf.shape(scores)[1]), sorted=False).values


def softmax_cross_entropy(positive: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
    """Minus the logarithm of the positive's softmax probability among itself and the negatives.

    With scores less the logarithm of how often each candidate is expected in the sample, this is the sampled
    softmax of Yi et al., "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations",
    RecSys 2019, eq. 3.
    """
    logits = tf.concat([positive[:, tf.newaxis], negatives], axis=1)
    first = tf.zeros(tf.shape(positive), tf.int32)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=first, logits=logits)


def positive_not_sampled_cross_entropy(positive: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
    """The sampled softmax of Khrylchenko et al., "Correcting the LogQ Correction", RecSys 2025 (2507.09331).

    The gradient of the full softmax is that of minus the positive's score f(p) plus the mean of all scores
    under the softmax P. Splitting off p, which is there with certainty and is not a draw,

        ∇L = (1 − P(p)) · (−∇f(p) + Σ_{d ≠ p} P(d) / (1 − P(p)) · ∇f(d)),

    and the second factor is what draws among the other candidates estimate, self-normalised:

        L = sg(1 − P(p)) · (log Σ_i exp(f(d_i) − log E(d_i)) − f(p)),

    with P(p) = exp f(p) / (exp f(p) + Σ_i exp(f(d_i) − log E(d_i))) estimated from the same draws; E(d) is
    how often d is expected among them, sg stops the gradient.

    Args:
        positive: float32 [batch] scores f(p), uncorrected.
        negatives: float32 [batch, negatives] scores less log E.
    """
    others = tf.reduce_logsumexp(negatives, axis=1)
    return tf.stop_gradient(tf.math.sigmoid(others - positive)) * (others - positive)


def binary_cross_entropy(
    positive: tf.Tensor, negatives: tf.Tensor, labels: tf.Tensor, negative_weight: float
) -> tf.Tensor:
    """Binary cross-entropy of a labelled pair, and beside a positive one of drawn negatives.

    Args:
        positive: float32 [batch] scores of the logged pairs.
        negatives: float32 [batch, negatives]; there may be none.
        labels: float32 [batch], 1 for a positive pair, 0 for a negative one.
        negative_weight: What a pair's drawn negatives weigh together.
    """
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels, positive)
    counted = tf.cast(negatives > EXCLUDED, tf.float32)
    mean = tf.math.divide_no_nan(
        tf.reduce_sum(tf.nn.softplus(negatives) * counted, axis=1), tf.reduce_sum(counted, axis=1)
    )
    return loss + negative_weight * labels * mean
