"""What every index over the candidate embeddings does, and the one that scores them all."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import tensorflow as tf

_ROUNDING = 1e-6


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

    @property
    def size(self) -> int:
        """Number of candidates."""
        return int(self.embeddings.shape[0])

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`CandidateIndex.search`."""
        scores, rows = tf.math.top_k(self.score_all(queries), k=k)
        return scores, tf.cast(rows, tf.int64)

    def score_all(self, queries: tf.Tensor) -> tf.Tensor:
        """Dot products of queries, float32 [batch, width], with all candidates: float32 [batch, size]."""
        return tf.matmul(queries, self.embeddings, transpose_b=True)

    def score(self, queries: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Dot products with given candidates.

        Args:
            queries: float32 [batch, width] embeddings.
            rows: int64 [batch, any], none negative.

        Returns:
            float32 of the shape of rows.
        """
        return tf.linalg.matvec(tf.gather(self.embeddings, rows), queries)


class LeafIndex(tf.Module):
    """An approximate index that parts the candidates into leaves and looks only into the best of them.

    A request for more than a quarter of the catalogue searches all leaves, and is answered exactly: fewer may
    not hold so many, and scoring everything is then no slower.

    Attributes:
        centroids: float32 [leaves, width], what a query ranks the leaves by, or about that.
        sizes: int64 [leaves], the number of its members.
        leaves_to_search: How many leaves a request for ``tuned_k`` or fewer looks into; one for more looks
            into more in proportion.
        tuned_k: See there.
        reorder: How many candidates a request scores exactly for each one it wants.
        most_visited: Share of the candidates beyond which exact search costs no more.
        reorder_factors: What ``reorder`` may be, ascending; 1 alone where all that is visited is scored
            exactly.
    """

    most_visited = 1.0
    reorder_factors: tuple[int, ...] = (1,)

    def __init__(self, name: str, exact: ExactIndex, centroids: np.ndarray, sizes: np.ndarray):
        """Takes the leaves; a search looks into all and re-orders the most that may be, until :meth:`tune`.

        Args:
            name: Of the module.
            exact: The candidates.
            centroids: See the attributes.
            sizes: See the attributes.
        """
        super().__init__(name=name)
        self._exact = exact
        self.centroids, self.sizes = centroids, sizes
        self._largest_k = max(1, exact.size // 4)
        self._all_leaves = len(sizes)
        self.tune(len(sizes), self.reorder_factors[-1], 1)

    @property
    def leaves(self) -> int:
        """How many there are."""
        return len(self.sizes)

    def tune(self, leaves: int, reorder: int, k: int) -> None:
        """Sets ``leaves_to_search``, ``reorder``, ``tuned_k``, for searches that are traced from now on."""
        self.leaves_to_search, self.reorder, self.tuned_k = leaves, reorder, k

    def search(self, queries: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """See :meth:`CandidateIndex.search`."""
        # In floats: leaves x k may be over int32. A little less, so that rounding adds no leaf.
        grown = tf.cast(k, tf.float32) * (self.leaves_to_search / self.tuned_k * (1 - _ROUNDING))
        leaves = tf.clip_by_value(tf.math.ceil(grown), self.leaves_to_search, self.leaves)
        leaves = tf.where(k > self._largest_k, self._all_leaves, tf.cast(leaves, tf.int32))
        return self.search_leaves(queries, k, leaves, tf.constant(self.reorder))

    def search_leaves(
        self, queries: tf.Tensor, k: tf.Tensor, leaves: tf.Tensor, reorder: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Like :meth:`search`, with so many leaves and so many re-ordered for each one wanted, int32 []."""
        raise NotImplementedError


def filled_up(scores: tf.Tensor, rows: tf.Tensor, k: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Scores and rows, [batch, at most k], as [batch, k]: places without a candidate score -inf.

    Args:
        scores: float32, best first.
        rows: Whole numbers of the same shape.
        k: int32 [].

    Returns:
        float32 scores and int64 rows, see :meth:`CandidateIndex.search`.
    """
    # [[0, 0], [0, k - columns]], in few ops: each costs a single query about a microsecond.
    unfilled = tf.constant([[0, 0], [0, 1]]) * (k - tf.shape(scores))
    padded = tf.pad(scores, unfilled, constant_values=-np.inf)
    return padded, tf.pad(tf.cast(rows, tf.int64), unfilled)
