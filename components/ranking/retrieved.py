"""What the trained towers retrieve for each query: where the hardest negatives are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from components.ingest.declaration import HISTORY, POSITIVE
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

RETRIEVED_ROWS = "retrieved_rows"
"""Feature of interactions: int32 [top] rows the towers retrieve, best first, padded with ``UNKNOWN_ROW``."""
RETRIEVED_POSITIVE = "retrieved_positive"
"""Feature of interactions: bool [top], which of them are the candidates of the query's own positives."""

_BATCH = 256
_ENCODED_AT_A_TIME = 4096


def embedded_catalogue(retrieval: tf.Module, catalogue: int) -> tf.Tensor:
    """float32 [catalogue, width], by row: what a loaded export of the towers makes of all candidates."""
    starts = range(0, catalogue, _ENCODED_AT_A_TIME)
    rows = [tf.range(s, min(s + _ENCODED_AT_A_TIME, catalogue), dtype=tf.int64) for s in starts]
    return tf.concat([retrieval.embed_rows(batch)["embedding"] for batch in rows], axis=0)


def with_retrieved(
    interactions: EncodedInteractions,
    retrieval: tf.Module,
    query_names: Sequence[str],
    catalogue: int,
    top: int,
) -> EncodedInteractions:
    """Adds what is retrieved for each query by exact search, its history left out.

    A query's list follows from what was known when it was made and from the towers, which have seen the train
    split alone: nothing later than an interaction is in it, but for what they learnt of that split. It takes
    5 bytes a place.

    Args:
        interactions: A split.
        retrieval: The loaded export of the towers, see ``ExportedRetrieval``.
        query_names: Features that ``embed_query`` takes.
        catalogue: Number of candidates.
        top: How many to retrieve.

    Returns:
        The split with ``RETRIEVED_ROWS`` and ``RETRIEVED_POSITIVE``.
    """
    candidates = embedded_catalogue(retrieval, catalogue)

    @tf.function(autograph=False)
    def search(queries: dict[str, tf.Tensor]) -> tf.Tensor:
        embedded = retrieval.embed_query({name: queries[name] for name in query_names})["embedding"]
        scores = tf.matmul(embedded, candidates, transpose_b=True)
        held = tf.where(queries[HISTORY] >= 0)
        places = tf.stack([held[:, 0], tf.gather_nd(queries[HISTORY], held)], axis=1)
        scores = tf.tensor_scatter_nd_update(scores, places, tf.fill([tf.shape(places)[0]], -np.inf))
        best, rows = tf.math.top_k(scores, k=min(top, catalogue))
        return tf.where(tf.math.is_inf(best), UNKNOWN_ROW, rows)

    rows = np.concatenate([search(batch).numpy() for batch in interactions.query_batches(_BATCH)])
    query_of = interactions.query_of
    query_of = np.arange(len(interactions)) if query_of is None else query_of.numpy()
    keys = query_of.astype(np.int64) * catalogue + interactions.columns[CANDIDATE_ROW].numpy()
    keys = keys[interactions.columns[POSITIVE].numpy() > 0]
    own = np.isin(np.arange(len(rows))[:, np.newaxis] * catalogue + rows, keys) & (rows >= 0)
    return interactions.with_columns_of_queries(
        {RETRIEVED_ROWS: tf.constant(rows), RETRIEVED_POSITIVE: tf.constant(own)}
    )
