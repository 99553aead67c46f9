"""An inverted file made of stock TensorFlow ops, for servers without ScaNN's."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex, filled_up
from components.assemble.leaves import train_leaves

_SEED = 20_26
_GATHERED_BYTES = 8 << 20
"""Of members' vectors that one turn gathers: many more leave the processor's cache before they are scored."""


class IvfIndex(LeafIndex):
    """Leaves by k-means; a query scores their centroids, then all members of the best leaves exactly.

    The inverted file of Sivic and Zisserman, "Video Google", ICCV 2003, and of Jégou et al., "Product
    Quantization for Nearest Neighbor Search", PAMI 2011, there with quantisation, here without: what is found
    has its exact score. Members of a leaf lie side by side in memory, so that gathering them reads ahead. See
    :func:`components.assemble.leaves.train_leaves` for why the leaves serve dot products.
    """

    # It scores what it visits as exact search does, and gathers it first.
    most_visited = 0.5

    def __init__(self, exact: ExactIndex, leaves: int):
        """Trains the leaves on the embeddings of the exact one.

        Args:
            exact: The candidates.
            leaves: How many leaves to train; there may be some more or fewer, see ``train_leaves``.
        """
        vectors = exact.embeddings.numpy()
        trained = train_leaves(vectors, leaves, _SEED)
        super().__init__("ivf_index", exact, trained.centroids, trained.sizes)
        ends = np.cumsum(trained.sizes)
        self._bytes_a_leaf = vectors.nbytes / len(ends)
        self._centroids = tf.Variable(trained.centroids, trainable=False, name="centroids")
        self._starts = tf.Variable(ends - trained.sizes, dtype=tf.int32, trainable=False, name="starts")
        self._ends = tf.Variable(ends, dtype=tf.int32, trainable=False, name="ends")
        self._rows = tf.Variable(trained.members, dtype=tf.int32, trainable=False, name="rows")
        self._vectors = tf.Variable(vectors[trained.members], trainable=False, name="vectors")

    def search_leaves(
        self, queries: tf.Tensor, k: tf.Tensor, leaves: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`LeafIndex.search_leaves`."""
        _, best = tf.math.top_k(tf.matmul(queries, self._centroids, transpose_b=True), leaves, sorted=False)
        return tf.cond(
            tf.shape(queries)[0] == 1,
            lambda: self._one(queries[0], best[0], k),
            lambda: self._many(queries, best, k),
        )

    def _places(self, leaves: tf.Tensor) -> tf.RaggedTensor:
        """Places of the members of leaves, int32 [any]: ragged int32 [any, members]."""
        return tf.ragged.range(tf.gather(self._starts, leaves), tf.gather(self._ends, leaves))

    def _one(self, query: tf.Tensor, best: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best members of one query's leaves, int32 [any]: there is nothing to pad."""
        places = self._places(best).flat_values
        scores = tf.linalg.matvec(tf.gather(self._vectors, places), query)
        scores, chosen = tf.math.top_k(scores, tf.minimum(k, tf.size(scores)))
        rows = tf.gather(self._rows, tf.gather(places, chosen))
        return filled_up(scores[tf.newaxis], rows[tf.newaxis], k)

    def _some(self, queries: tf.Tensor, best: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best members of each query's leaves, int32 [batch, any]."""
        members = self._places(tf.reshape(best, [-1]))
        # All members of the first query's leaves, then of the second's, ...
        splits = members.row_splits[:: tf.shape(best)[1]]
        places = tf.RaggedTensor.from_row_splits(members.flat_values, splits, validate=False).to_tensor(-1)
        vectors = tf.gather(self._vectors, tf.maximum(places, 0))
        scores = tf.where(places < 0, -np.inf, tf.linalg.matvec(vectors, queries))
        scores, chosen = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
        rows = tf.gather(self._rows, tf.maximum(tf.gather(places, chosen, batch_dims=1), 0))
        return filled_up(scores, rows, k)

    def _many(self, queries: tf.Tensor, best: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """:meth:`_some`, in turns if all at once would be gigabytes."""
        # In floats: the bytes of all leaves of a large catalogue are over int32.
        bytes_a_query = self._bytes_a_leaf * tf.cast(tf.shape(best)[1], tf.float32)
        at_once = tf.maximum(1, tf.cast(_GATHERED_BYTES / bytes_a_query, tf.int32))
        return tf.cond(
            tf.shape(queries)[0] <= at_once,
            lambda: self._some(queries, best, k),
            lambda: self._in_turns(queries, best, k, at_once),
        )

    def _in_turns(
        self, queries: tf.Tensor, best: tf.Tensor, k: tf.Tensor, at_once: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """:meth:`_some`, so many queries a turn."""
        turns = -(-tf.shape(queries)[0] // at_once)
        results = [
            tf.TensorArray(dtype, turns, infer_shape=False, element_shape=[None, None])
            for dtype in (tf.float32, tf.int64)
        ]

        def turn(i: tf.Tensor, scores: tf.TensorArray, rows: tf.TensorArray) -> tuple:
            here = slice(i * at_once, (i + 1) * at_once)
            some_scores, some_rows = self._some(queries[here], best[here], k)
            return i + 1, scores.write(i, some_scores), rows.write(i, some_rows)

        _, scores, rows = tf.while_loop(lambda i, *_: i < turns, turn, [0, *results])
        return scores.concat(), rows.concat()
