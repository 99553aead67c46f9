"""What is searched, for what, and what should be found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

K = 100
"""How many candidates a query asks for."""
SETS = {
    "clustered": "clusters of like size and vectors of like length",
    "uneven": "cluster sizes by Zipf's law with exponent 1.1, lengths times a log-normal of sigma 0.3",
}
_VECTORS_PER_CLUSTER = 500
_SPREAD = 0.5
_ZIPF = 1.1
_SIGMA = 0.3
_SCORES_AT_A_TIME = 1 << 26


@dataclass(frozen=True)
class Problem:
    """Candidates and queries.

    Attributes:
        vectors: float32 [size, dim] candidates.
        tuning: float32 [queries, dim] queries that an index is tuned on.
        tuning_best: int64 [queries, K], rows of the exact best for each, in no order.
        queries: float32 [queries, dim], others, that it is measured on.
        queries_best: The same for these.
    """

    vectors: np.ndarray
    tuning: np.ndarray
    tuning_best: np.ndarray
    queries: np.ndarray
    queries_best: np.ndarray

    def save(self, folder: Path) -> None:
        """Writes an array a file."""
        for name, array in vars(self).items():
            np.save(folder / f"{name}.npy", array)

    @classmethod
    def load(cls, folder: Path) -> Problem:
        """Reads what :meth:`save` wrote."""
        return cls(**{name: np.load(folder / f"{name}.npy") for name in cls.__dataclass_fields__})


def make(kind: str, size: int, dim: int, queries: int, seed: int) -> Problem:
    """Draws candidates and queries alike from a mixture of Gaussians.

    A cluster for every 500 candidates; the clusters' centres have deviation 1 in every dimension, what is in
    them half of it.

    Args:
        kind: One of ``SETS``.
        size: Number of candidates, at least K.
        dim: Their dimension.
        queries: How many, each for tuning and for measuring.
        seed: Of the draws.
    """
    random = np.random.default_rng(seed)
    clusters = max(1, size // _VECTORS_PER_CLUSTER)
    centres = random.normal(size=(clusters, dim)).astype(np.float32)
    shares = 1 / np.arange(1, clusters + 1) ** (_ZIPF if kind == "uneven" else 0)

    def draw(count: int) -> np.ndarray:
        drawn = centres[random.choice(clusters, count, p=shares / shares.sum())]
        drawn += np.float32(_SPREAD) * random.standard_normal((count, dim), np.float32)
        if kind == "uneven":
            drawn *= random.lognormal(sigma=_SIGMA, size=(count, 1)).astype(np.float32)
        return drawn

    vectors, tuning, measuring = draw(size), draw(queries), draw(queries)
    return Problem(vectors, tuning, best(vectors, tuning), measuring, best(vectors, measuring))


def best(vectors: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Rows of the K vectors of the largest dot products with each query, int64 [queries, K], unordered."""
    batch = max(1, _SCORES_AT_A_TIME // len(vectors))
    starts = range(0, len(queries), batch)
    return np.concatenate(
        [np.argpartition(queries[s : s + batch] @ vectors.T, -K, axis=1)[:, -K:] for s in starts]
    )


def scann_leaves(problem: Problem) -> int:
    """Leaves of the tree that ScaNN's binding asks, as many as the product's: ways to it are compared."""
    return round(2 * math.sqrt(len(problem.vectors)))


def recall(found: np.ndarray, expected: np.ndarray) -> float:
    """Mean share of each row's expected numbers, [queries, K], that is among the found, [queries, any]."""
    return float(np.mean([np.isin(e, f).mean() for f, e in zip(found, expected, strict=True)]))
