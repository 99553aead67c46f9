"""Lists whose candidates differ from each other: maximal marginal relevance."""

from __future__ import annotations

import math

import tensorflow as tf

_LEAST_COSINE = -1.0


def most_relevant_and_different(
    scores: tf.Tensor, vectors: tf.Tensor, k: tf.Tensor, diversity: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Chooses candidates one after the other, each for its score and for being unlike those before it.

    Maximal marginal relevance (Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for
    Reordering Documents and Producing Summaries", SIGIR 1998): the next candidate is

        argmax over c, not yet chosen, of  (1 - diversity) relevance(c) - diversity max over s of cos(c, s)

    with s the candidates chosen before; their 1 - diversity is called lambda there. Relevance is the score,
    brought to 0 (the query's least) to 1 (its best), for scores have no scale of their own. The first is the
    one of the best score. The work is k x candidates x width.

    Args:
        scores: float32 [batch, candidates]; -inf for a place without a candidate.
        vectors: float32 [batch, candidates, width], of any length.
        k: int32 [], how many to choose; at most the number of places.
        diversity: float32 [], in [0, 1).

    Returns:
        float32 scores and int32 places, both [batch, k], in the order chosen; -inf where none is left.
    """
    batch, places = tf.unstack(tf.shape(scores))
    empty = tf.math.is_inf(scores)
    best = tf.reduce_max(scores, axis=1, keepdims=True)
    least = tf.reduce_min(tf.where(empty, best, scores), axis=1, keepdims=True)
    relevance = (1 - diversity) * tf.math.divide_no_nan(scores - least, best - least)
    relevance = tf.where(empty, -math.inf, relevance)
    directions = tf.math.l2_normalize(vectors, axis=2)
    # One gather from all queries' candidates, and a product and a sum: a gather in a batch is a dozen ops,
    # and a batch of matrices times vectors takes ten times as long.
    flat, offsets = tf.reshape(directions, [batch * places, -1]), places * tf.range(batch)

    def choose(
        i: tf.Tensor, relevance: tf.Tensor, closest: tf.Tensor, chosen: tf.TensorArray
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.TensorArray]:
        """Of [batch, places] relevance and similarity to those chosen, the next."""
        place = tf.argmax(relevance - diversity * closest, axis=1, output_type=tf.int32)
        direction = tf.gather(flat, offsets + place)[:, tf.newaxis]
        closest = tf.maximum(closest, tf.reduce_sum(directions * direction, axis=2))
        taken = tf.one_hot(place, places, on_value=True, off_value=False)
        return i + 1, tf.where(taken, -math.inf, relevance), closest, chosen.write(i, place)

    _, _, _, chosen = tf.while_loop(
        lambda i, *_: i < k,
        choose,
        [
            0,
            relevance,
            tf.fill([batch, places], _LEAST_COSINE),
            tf.TensorArray(tf.int32, size=k, element_shape=[None]),
        ],
    )
    order = tf.transpose(chosen.stack())
    # Candidates come first: a place chosen after the last of them is none.
    left = tf.range(k)[tf.newaxis] < tf.reduce_sum(tf.cast(~empty, tf.int32), axis=1, keepdims=True)
    return tf.where(left, tf.gather(scores, order, batch_dims=1), -math.inf), order
