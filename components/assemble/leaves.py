"""Leaves of an inverted file: k-means over candidate embeddings, no leaf much larger than the mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_SAMPLE_PER_LEAF = 64
_ITERATIONS = 8
_SCORES_AT_A_TIME = 1 << 24
CENTROID_ANISOTROPY = 2.5
"""How many times as much an error along a member counts as one across it, where a centroid stands for it."""
_LARGEST_LEAF = 4.0
"""No leaf holds more than this times the mean."""


@dataclass(frozen=True)
class Leaves:
    """A partition of the candidates.

    Attributes:
        centroids: float32 [leaves, width], see :func:`centroid`.
        sizes: int64 [leaves], the number of its members.
        members: int64 [candidates], rows: those of the first leaf, then of the second, ...
    """

    centroids: np.ndarray
    sizes: np.ndarray
    members: np.ndarray


def train_leaves(vectors: np.ndarray, count: int, seed: int) -> Leaves:
    """Partitions vectors for search by dot product.

    Clusters minimise the squared distance of the vectors as they are: candidates of one length and direction
    meet in a leaf, so the dot product of the query and what stands for them says much about the best of
    them. That is how ScaNN partitions for dot products (Guo et al., "Accelerating Large-Scale Inference with
    Anisotropic Vector Quantization", ICML 2020; SquaredL2 for the leaves and the dot product for the query
    in its configuration). Leaves of more than four times the mean are then split in the same way: what many
    queries look into should not be a large part of everything.

    Args:
        vectors: float32 [candidates, width].
        count: How many leaves to train; splitting makes more, empty ones are left out.
        seed: Of the sample and of the first centroids; the same gives the same leaves.
    """
    random = np.random.default_rng(seed)
    assigned = _clusters(vectors, count, random)
    most = max(1, int(_LARGEST_LEAF * len(vectors) / count))
    groups = [part for group in groups_of(assigned) for part in _split(vectors, group, most, random)]
    centroids = np.stack([centroid(vectors[group]) for group in groups])
    return Leaves(centroids, np.array([len(group) for group in groups]), np.concatenate(groups))


def centroid(members: np.ndarray) -> np.ndarray:
    """What stands for a leaf's members, float32 [any, width], when a query ranks leaves: float32 [width].

    The codeword that minimises the score-aware loss, sum of h1 |r1|^2 + h2 |r2|^2, r1 and r2 the parts of a
    member's residual along it and across it: (I sum h2 + sum (h1 - h2) x x' / |x|^2)^-1 sum h1 x, Guo et al.,
    section 4.1. Its weights are h2 = |x|^2, since of a leaf it is the longest members that are found, and
    ``CENTROID_ANISOTROPY`` times that for h1. Of members of one length and direction it is their mean.
    """
    squares = np.square(members).sum(axis=1)
    if not squares.any():
        return np.zeros(members.shape[1], np.float32)
    matrix = squares.sum() * np.eye(members.shape[1]) + (CENTROID_ANISOTROPY - 1) * members.T @ members
    return np.linalg.solve(matrix, CENTROID_ANISOTROPY * squares @ members).astype(np.float32)


def _clusters(vectors: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
    """Lloyd's algorithm on a sample, then the nearest centroid of every vector: int64 [vectors]."""
    size = min(len(vectors), count * _SAMPLE_PER_LEAF)
    sample = vectors[np.sort(random.choice(len(vectors), size, replace=False))]
    centroids = sample[random.choice(size, min(count, size), replace=False)]
    for _ in range(_ITERATIONS):
        nearest = _nearest(sample, centroids)
        order = np.argsort(nearest, kind="stable")
        found, starts, sizes = np.unique(nearest[order], return_index=True, return_counts=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        centroids[found] = sums / sizes[:, np.newaxis]
        empty = np.setdiff1d(np.arange(len(centroids)), found)
        centroids[empty] = sample[random.choice(size, len(empty), replace=False)]
    return _nearest(vectors, centroids)


def _nearest(vectors: np.ndarray, centroids: np.ndarray) -> np.ndarray:
    """The nearest centroid of each vector: |v - c|^2 = |v|^2 - 2 (v.c - |c|^2 / 2)."""
    half = np.square(centroids).sum(axis=1) / 2
    transposed = np.ascontiguousarray(centroids.T)
    rows = max(1, _SCORES_AT_A_TIME // len(centroids))
    # Scores are as many as candidates times leaves: never all of them at a time.
    starts = range(0, len(vectors), rows)
    return np.concatenate([(vectors[s : s + rows] @ transposed - half).argmax(axis=1) for s in starts])


def groups_of(assigned: np.ndarray) -> list[np.ndarray]:
    """The places of each number that occurs."""
    order = np.argsort(assigned, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(assigned[order])) + 1)


def _split(
    vectors: np.ndarray, group: np.ndarray, most: int, random: np.random.Generator
) -> Iterator[np.ndarray]:
    """A group in parts of at most so many; vectors that are all alike are parted by their order."""
    waiting = [group]
    while waiting:
        group = waiting.pop()
        if len(group) <= most:
            yield group
            continue
        parts = groups_of(_clusters(vectors[group], -(-len(group) // most), random))
        if len(parts) == 1:
            yield from np.array_split(group, -(-len(group) // most))
        else:
            waiting.extend(group[part] for part in parts)
