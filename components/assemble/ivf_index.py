"""An inverted file made of stock TensorFlow ops, for servers without ScaNN's."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex, filled_up
from components.assemble.leaves import train_leaves

_SEED = 20_26
_GATHERED_BYTES = 8 << 20
"""Of members' vectors that one turn gathers: many more leave the processor's cache before they are scored."""
_BLOCKS_PER_LEAF = 8
_LARGEST_BLOCK = 32
_GROUP = 16


class IvfIndex(LeafIndex):
    """Leaves by k-means; a query scores their centroids, then all members of the best leaves exactly.

    The inverted file of Sivic and Zisserman, "Video Google", ICCV 2003, and of Jégou et al., "Product
    Quantization for Nearest Neighbor Search", PAMI 2011, there with quantisation, here without: what is found
    has its exact score. A leaf's members lie in blocks of the same length, the last one filled up: one number
    names many vectors that lie side by side in memory. See
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
        places, counts = _blocks(trained.sizes)
        # The last block is empty: what a shorter list of blocks is filled up with.
        rows = np.where(places < 0, -1, trained.members[places])
        self._bytes_a_leaf = vectors[0].nbytes * places.size / len(counts)
        self._centroids = tf.Variable(trained.centroids, trainable=False, name="centroids")
        self._counts = tf.Variable(counts, dtype=tf.int32, trainable=False, name="counts")
        self._ends = tf.Variable(np.cumsum(counts), dtype=tf.int32, trainable=False, name="ends")
        self._rows = tf.Variable(rows, dtype=tf.int32, trainable=False, name="rows")
        self._vectors = tf.Variable(vectors[rows], trainable=False, name="vectors")

    def search_leaves(
        self, queries: tf.Tensor, k: tf.Tensor, leaves: tf.Tensor, reorder: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`LeafIndex.search_leaves`; what is visited is scored exactly, nothing is re-ordered."""
        # The best leaf first: the best of its members are then seldom beaten by those that follow, and each
        # that is costs time.
        best = _best(tf.matmul(queries, self._centroids, transpose_b=True), leaves)
        # In floats: the bytes of all leaves of a large catalogue are over int32.
        bytes_a_query = self._bytes_a_leaf * tf.cast(leaves, tf.float32)
        at_once = tf.maximum(1, tf.cast(_GATHERED_BYTES / bytes_a_query, tf.int32))
        in_turns = tf.cast(tf.shape(queries)[0] > at_once, tf.int32)
        return tf.switch_case(
            tf.where(leaves == self.leaves, 2, in_turns),
            [
                lambda: self._some(queries, best, k),
                _apart(lambda: self._in_turns(queries, best, k, at_once)),
                # All leaves hold everything, and nothing has to be gathered.
                _apart(lambda: self._exact.search(queries, k)),
            ],
        )

    def _some(self, queries: tf.Tensor, best: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The k best members of each query's leaves, int32 [batch, any]."""
        blocks = self._blocks_of(best)
        block, width = self._vectors.shape[1:]
        batch, members = tf.shape(blocks)[0], tf.shape(blocks)[1] * block
        vectors = tf.reshape(tf.gather(self._vectors, blocks), [batch, members, width])
        rows = tf.reshape(tf.gather(self._rows, blocks), [batch, members])
        scores = tf.where(rows < 0, -np.inf, tf.linalg.matvec(vectors, queries))
        scores, chosen = tf.math.top_k(scores, tf.minimum(k, members))
        rows = tf.maximum(tf.gather(rows, chosen, batch_dims=1), 0)
        return filled_up(scores, rows, k)

    def _in_turns(
        self, queries: tf.Tensor, best: tf.Tensor, k: tf.Tensor, at_once: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """:meth:`_some`, so many queries a turn: all at once may be gigabytes."""
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

    def _blocks_of(self, leaves: tf.Tensor) -> tf.Tensor:
        """The blocks of leaves, int32 [batch, any], filled up with the empty one: int32 [batch, any]."""
        each = tf.reshape(leaves, [-1])
        ends = tf.gather(self._ends, each)
        blocks = tf.ragged.range(ends - tf.gather(self._counts, each), ends)
        # All blocks of the first query's leaves, then of the second's, ...
        splits = blocks.row_splits[:: tf.shape(leaves)[1]]
        by_query = tf.RaggedTensor.from_row_splits(blocks.flat_values, splits, validate=False)
        return by_query.to_tensor(self._vectors.shape[0] - 1)


def _best(scores: tf.Tensor, k: tf.Tensor) -> tf.Tensor:
    """Columns of the k largest of float32 [batch, size], best first, int32 [batch, k].

    In two steps, since the maximum of a group is found much sooner than what is larger than the k-th so far:
    the k best are among the k groups whose maxima are largest.
    """
    size = scores.shape[1]
    padded = tf.pad(scores, [[0, 0], [0, -size % _GROUP]], constant_values=-np.inf)
    grouped = tf.reshape(padded, [-1, -(-size // _GROUP), _GROUP])
    some = tf.minimum(k, grouped.shape[1])
    _, groups = tf.math.top_k(tf.reduce_max(grouped, axis=2), some)
    candidates = tf.reshape(tf.gather(grouped, groups, batch_dims=1), [-1, some * _GROUP])
    _, places = tf.math.top_k(candidates, k)
    return tf.gather(groups, places // _GROUP, batch_dims=1) * _GROUP + places % _GROUP


def _apart(way: Callable[[], tuple[tf.Tensor, tf.Tensor]]) -> Callable[[], tuple[tf.Tensor, tf.Tensor]]:
    """The same as a function of the graph: a single op where it is not taken.

    A graph passes through the ops of every branch, taken or not; a loop's take as long as one query's search.
    """
    return tf.function(way, autograph=False, experimental_attributes={"_noinline": True})


def _blocks(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Parts leaves, whose members lie one after another, into blocks.

    Args:
        sizes: int64 [leaves], the number of their members.

    Returns:
        int64 [blocks + 1, length]: the members' places, -1 where a block is not full; the last one is empty.
        int64 [leaves]: how many blocks each leaf has.
    """
    # A power of two; about one in sixteen places stays empty.
    length = 2 ** int(np.clip(np.log2(sizes.mean() / _BLOCKS_PER_LEAF), 0, np.log2(_LARGEST_BLOCK)))
    counts = -(-sizes // length)
    leaf = np.repeat(np.arange(len(sizes)), counts)
    number = np.arange(len(leaf)) - (np.cumsum(counts) - counts)[leaf]
    inside = number[:, np.newaxis] * length + np.arange(length)
    places = np.where(
        inside < sizes[leaf, np.newaxis], inside + (np.cumsum(sizes) - sizes)[leaf, np.newaxis], -1
    )
    return np.concatenate([places, np.full((1, length), -1)]), counts
