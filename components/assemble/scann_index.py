"""ScaNN's index, for servers that have its ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex, filled_up

if TYPE_CHECKING:
    from scann.scann_ops.py.scann_ops import ScannSearcher

SCANN_MINIMUM = 16
"""ScaNN cannot train its quantiser on fewer candidates."""
_TRAINED_NEIGHBOURS = 100
_REORDER_FACTOR = 4
_DIMENSIONS_PER_BLOCK = 2
_TRAINING_SAMPLE = 250_000


class ScannIndex(LeafIndex):
    """ScaNN: a tree of leaves, anisotropic quantisation inside them, and exact re-scoring of the best.

    Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML 2020.
    """

    def __init__(self, exact: ExactIndex, leaves: int):
        """Trains the index on the embeddings of the exact one.

        Args:
            exact: The candidates.
            leaves: How many leaves to train.

        Raises:
            ValueError: If there are fewer than ``SCANN_MINIMUM`` candidates.
        """
        # Imported here because it registers ScaNN's ops, which the other kinds do not need.
        from scann import scann_ops

        size = exact.size
        if size < SCANN_MINIMUM:
            raise ValueError(
                f"ScaNN needs at least {SCANN_MINIMUM} candidates, found {size}; use index: exact"
            )
        neighbours = min(_TRAINED_NEIGHBOURS, size)
        builder = scann_ops.builder(exact.embeddings.value(), neighbours, "dot_product")
        builder = builder.tree(leaves, leaves, training_sample_size=min(size, _TRAINING_SAMPLE))
        builder = builder.score_ah(_DIMENSIONS_PER_BLOCK).reorder(_REORDER_FACTOR * neighbours)
        searcher = builder.build().serialize_to_module()
        super().__init__("scann_index", exact, *_leaves_of(searcher, exact.embeddings.numpy()))
        self._searcher = searcher
        self._searcher_from_module = scann_ops.searcher_from_module

    def search_leaves(
        self, queries: tf.Tensor, k: tf.Tensor, leaves: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`LeafIndex.search_leaves`."""
        searcher = self._searcher_from_module(self._searcher)
        wanted = {
            "final_num_neighbors": k,
            "pre_reorder_num_neighbors": _REORDER_FACTOR * k,
            "leaves_to_search": leaves,
        }
        return tf.cond(
            tf.shape(queries)[0] == 1,
            lambda: self._one(searcher, queries[0], wanted),
            lambda: self._many(searcher, queries, wanted),
        )

    @staticmethod
    def _one(
        searcher: ScannSearcher, query: tf.Tensor, wanted: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One query: ScaNN's own way for one takes less than a batch of one."""
        rows, scores = searcher.search(query, **wanted)
        return filled_up(scores[tf.newaxis], rows[tf.newaxis], wanted["final_num_neighbors"])

    @staticmethod
    def _many(
        searcher: ScannSearcher, queries: tf.Tensor, wanted: dict[str, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """A batch: as many columns as the luckiest query filled, and NaN where another could not."""
        rows, scores = searcher.search_batched(queries, **wanted)
        scores = tf.reshape(scores, [tf.shape(queries)[0], -1])
        rows = tf.reshape(rows, tf.shape(scores))
        missing = tf.math.is_nan(scores)
        scores = tf.where(missing, -np.inf, scores)
        rows = tf.where(missing, tf.zeros_like(rows), rows)
        return filled_up(scores, rows, wanted["final_num_neighbors"])


def _leaves_of(searcher: tf.Module, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each trained leaf's members, and their number: ScaNN may have made fewer than asked."""
    leaf = searcher.datapoint_to_token.numpy().reshape(-1)[: len(vectors)]
    order = np.argsort(leaf, kind="stable")
    _, starts, sizes = np.unique(leaf[order], return_index=True, return_counts=True)
    return np.add.reduceat(vectors[order], starts, axis=0) / sizes[:, np.newaxis], sizes
