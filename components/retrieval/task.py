"""TFRS' retrieval task: the softmax over a batch's own candidates."""

from __future__ import annotations

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.retrieval.config import RetrievalConfig
from components.retrieval.losses import places_of_positives
from components.retrieval.negatives import NegativePool

SMALLEST_PROBABILITY = 1e-6
"""The task raises every sampling probability to at least this, which would change the loss."""
MOST_PER_QUERY = 2.0
"""Interactions a query, in the mean, up to which the task is as quick as the losses beside it: it scores the
batch's candidates for each interaction, they for each query."""


def retrieval_task(
    config: RetrievalConfig, pool: NegativePool, interactions_per_query: float
) -> tfrs.tasks.Retrieval | None:
    """Return the task that computes the loss of a batch, or None where no task can express it.

    The task computes the sampled softmax over the batch's candidates and evenly drawn ones, with or without
    the logQ correction, hard negatives and a temperature. It cannot leave the batch's candidates out, take
    the correction off negatives only (``positive_not_sampled``), give the scores to a light ranker, or
    correct by a probability below ``SMALLEST_PROBABILITY`` of the greatest one. Where queries have more than
    ``MOST_PER_QUERY`` interactions, as baskets do, it could, and takes many times as long.

    Args:
        config: The retrieval section.
        pool: The negatives of a batch.
        interactions_per_query: The mean over the training data, as batches hold them.
    """
    loss = config.loss
    expressed = loss.kind == "sampled_softmax" and loss.in_batch and loss.correction != "positive_not_sampled"
    if not expressed or config.light_ranker or interactions_per_query > MOST_PER_QUERY:
        return None
    if loss.correction == "logq" and pool.least_relative_probability < SMALLEST_PROBABILITY:
        return None
    return tfrs.tasks.Retrieval(
        # One loss an interaction: the model takes the mean, and of replicas their share of it.
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, reduction=keras.losses.Reduction.NONE),
        # A temperature that is learnt is no constant: queries are divided by it before.
        temperature=None if config.learn_temperature else config.temperature,
        num_hard_negatives=loss.hard_negatives,
        remove_accidental_hits=True,
    )


def positives_masked(negatives: tf.Tensor, positives: tf.Tensor, query_of: tf.Tensor) -> tf.Tensor:
    """Return the task's ``score_mask`` for interactions of which several belong to one query.

    The task itself leaves out candidates equal to an interaction's own; this leaves out those of the query's
    other interactions too.

    Args:
        negatives: int64 [negatives] candidate rows, the positives' own first.
        positives: int64 [positives] candidate rows.
        query_of: int64 [positives] queries of the positives, ascending from 0.

    Returns:
        bool [positives, negatives], false where a candidate is no negative of the interaction; true for its
        own.
    """
    queries = tf.reduce_max(query_of) + 1
    shape = tf.stack([queries, tf.size(negatives, out_type=tf.int64)])
    places = places_of_positives(negatives, positives, query_of)
    counted = tf.tensor_scatter_nd_update(tf.fill(shape, True), places, tf.fill([tf.shape(places)[0]], False))
    return tf.linalg.set_diag(tf.gather(counted, query_of), tf.fill([tf.size(positives)], True))
