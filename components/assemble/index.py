"""Indexes over the candidate embeddings: exact, and ScaNN."""

from __future__ import annotations

import math
from typing import Protocol

import tensorflow as tf

from components.assemble.config import AssembleConfig

SCANN_MINIMUM = 16
"""ScaNN cannot train its quantiser on fewer candidates."""
_TRAINED_NEIGHBOURS = 100
_REORDER_FACTOR = 4
_DIMENSIONS_PER_BLOCK = 2


class CandidateIndex(Protocol):
    """Finds the candidates with the largest dot products."""

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Searches.

        Args:
            queries: float32 [batch, width] embeddings.
            k: int32 [], at most the catalogue's size.

        Returns:
            float32 scores and int64 rows, both [batch, k], best first. An approximate index that finds
            fewer fills up with a score of -inf.
        """


class ExactIndex(tf.Module):
    """Scores every candidate."""

    def __init__(self, embeddings: tf.Tensor):
        """Holds float32 [candidates, width] embeddings."""
        super().__init__(name="exact_index")
        self.embeddings = tf.Variable(embeddings, trainable=False, name="embeddings")

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`CandidateIndex.search`."""
        scores, rows = tf.math.top_k(tf.matmul(queries, self.embeddings, transpose_b=True), k=k)
        return scores, tf.cast(rows, tf.int64)

    def score(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Dot products with given candidates.

        Args:
            queries: float32 [batch, width] embeddings.
            rows: int64 [batch, any], none negative.

        Returns:
            float32 of the shape of rows.
        """
        return tf.linalg.matvec(tf.gather(self.embeddings, rows), queries)


class ScannIndex(tf.Module):
    """ScaNN: a tree of leaves, anisotropic quantisation inside them, and exact re-scoring of the best.

    Guo et al., "Accelerating Large-Scale Inference with Anisotropic Vector Quantization", ICML 2020.
    A request for more than a quarter of the catalogue is answered exactly: the searched leaves may not
    hold so many, and scoring everything is then no slower.
    """

    def __init__(self, exact: ExactIndex, config: AssembleConfig):
        """Trains the index on the embeddings of the exact one, which also answers the large requests.

        Raises:
            ValueError: If there are fewer than ``SCANN_MINIMUM`` candidates.
        """
        super().__init__(name="scann_index")
        # Imported here because it registers ScaNN's ops, which an exact model does not need.
        from scann import scann_ops

        size = int(exact.embeddings.shape[0])
        if size < SCANN_MINIMUM:
            raise ValueError(
                f"ScaNN needs at least {SCANN_MINIMUM} candidates, found {size}; use index: exact"
            )
        self.leaves = min(config.leaves or round(math.sqrt(size)), size)
        self.leaves_to_search = max(1, math.ceil(self.leaves * config.search_share))
        self._exact = exact
        self._largest_k = tf.constant(max(1, size // 4), tf.int32)
        neighbours = min(_TRAINED_NEIGHBOURS, size)
        builder = scann_ops.builder(exact.embeddings.value(), neighbours, "dot_product")
        builder = builder.tree(self.leaves, self.leaves_to_search, training_sample_size=min(size, 250_000))
        builder = builder.score_ah(_DIMENSIONS_PER_BLOCK).reorder(_REORDER_FACTOR * neighbours)
        self._searcher = builder.build().serialize_to_module()
        self._searcher_from_module = scann_ops.searcher_from_module

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`CandidateIndex.search`."""
        return tf.cond(
            k > self._largest_k,
            lambda: self._exact.search(queries, k),
            lambda: self._approximate(queries, k),
        )

    def _approximate(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        searcher = self._searcher_from_module(self._searcher)
        found = searcher.search_batched(
            queries,
            final_num_neighbors=k,
            pre_reorder_num_neighbors=_REORDER_FACTOR * k,
            leaves_to_search=self.leaves_to_search,
        )
        # ScaNN returns as many columns as the luckiest query filled, and NaN where another could not.
        scores = tf.reshape(found.distances, [tf.shape(queries)[0], -1])
        rows = tf.reshape(tf.cast(found.indices, tf.int64), tf.shape(scores))
        missing = tf.math.is_nan(scores)
        unfilled = [[0, 0], [0, k - tf.shape(scores)[1]]]
        return (
            tf.pad(tf.where(missing, -math.inf, scores), unfilled, constant_values=-math.inf),
            tf.pad(tf.where(missing, tf.zeros_like(rows), rows), unfilled),
        )


def build_index(embeddings: tf.Tensor, config: AssembleConfig) -> tuple[ExactIndex, CandidateIndex]:
    """The exact index, and the configured one (the same for a catalogue too small for ScaNN).

    Args:
        embeddings: float32 [candidates, width].
        config: The assemble section.
    """
    exact = ExactIndex(embeddings)
    if config.index == "exact" or embeddings.shape[0] < SCANN_MINIMUM:
        return exact, exact
    return exact, ScannIndex(exact, config)
