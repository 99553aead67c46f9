"""ScaNN's index, for servers that have its ops."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex, filled_up
from components.assemble.leaves import CENTROID_ANISOTROPY, centroid, groups_of

SCANN_MINIMUM = 16
"""ScaNN cannot train its quantiser on fewer candidates."""
_TRAINED_NEIGHBOURS = 100
_DIMENSIONS_PER_BLOCK = 2
_TRAINING_SAMPLE = 250_000


class ScannIndex(LeafIndex):
    """ScaNN: a tree of leaves, anisotropic quantisation inside them, and exact re-scoring of the best.

    Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML 2020.
    """

    reorder_factors = (4, 8, 16, 32)

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
        builder = builder.tree(
            leaves, leaves, training_sample_size=min(size, _TRAINING_SAMPLE), avq=CENTROID_ANISOTROPY
        )
        builder = builder.score_ah(_DIMENSIONS_PER_BLOCK).reorder(self.reorder_factors[0] * neighbours)
        searcher = builder.build().serialize_to_module()
        super().__init__("scann_index", exact, *_leaves_of(searcher, exact.embeddings.numpy()))
        # Leaves without a member too: it does not know them from others before it looks into them.
        self._all_leaves = leaves
        self._searcher = searcher
        self._searcher_from_module = scann_ops.searcher_from_module

    def search_leaves(
        self, queries: tf.Tensor, k: tf.Tensor, leaves: tf.Tensor, reorder: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`LeafIndex.search_leaves`.

        One op whatever the batch: to switch to ScaNN's op for a single query takes longer than that saves.
        """
        searcher = self._searcher_from_module(self._searcher)
        # In ScaNN's own threads, which are as many as there are cores but one.
        rows, scores = searcher.search_batched_parallel(
            queries,
            final_num_neighbors=k,
            # More than a quarter wanted: everything is re-ordered, since no factor is below four.
            pre_reorder_num_neighbors=tf.minimum(reorder * k, self._exact.size),
            leaves_to_search=leaves,
        )
        # As many columns as the luckiest query filled, and NaN where another could not.
        missing = tf.math.is_nan(scores)
        return filled_up(tf.where(missing, -np.inf, scores), tf.where(missing, 0, rows), k)


def _leaves_of(searcher: tf.Module, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each trained leaf's centroid, and how many members it has: ScaNN may have made fewer leaves than asked.

    It keeps its own centroids to itself; these are made of the same members in the same way.
    """
    leaf = searcher.datapoint_to_token.numpy().reshape(-1)[: len(vectors)]
    groups = groups_of(leaf)
    centroids = np.stack([centroid(vectors[group]) for group in groups])
    return centroids, np.array([len(group) for group in groups])
