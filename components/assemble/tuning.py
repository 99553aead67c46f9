"""How many leaves an index has to search: as few as find what exact search finds."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex
from components.ingest.strict import Strict

_SCORES_AT_A_TIME = 1 << 24
_QUERIES_AT_A_TIME = 64
_TIMED_QUERIES = 30
_TOLERANCE = 1e-5
"""Relative to the largest score: what the order of summation may change."""


class CurvePoint(Strict):
    """What searching so many leaves comes to."""

    leaves: int
    visited: float
    """Mean share of the candidates that are in them."""
    recall: float
    """Mean share of the exact k best that is found."""
    milliseconds: float
    """Median time of one query alone."""


class Tuning(Strict):
    """An index's curve and what was chosen on it."""

    k: int
    target: float
    queries: int
    leaves: int
    """How many there are."""
    leaves_to_search: int | None
    """The fewest that reach the target; None where none do that cost less than exact search."""
    curve: tuple[CurvePoint, ...]
    """By leaves, ascending."""
    exact_milliseconds: float
    """Median time of one query in exact search."""

    @property
    def chosen(self) -> CurvePoint | None:
        """The point of the leaves to search."""
        return next((point for point in self.curve if point.leaves == self.leaves_to_search), None)


def tune(index: LeafIndex, exact: ExactIndex, queries: np.ndarray, k: int, target: float) -> Tuning:
    """Finds the fewest leaves that reach a recall, and sets the index to search as many.

    The number is doubled until it suffices, then the last interval is halved; recall rises with leaves.
    Numbers whose leaves hold more than ``index.most_visited`` of the candidates are not tried.

    Args:
        index: The index; left as it is where nothing suffices.
        exact: What it is measured against.
        queries: float32 [queries, width] embeddings, at least one, not those of the index's training.
        k: How many candidates to find, at most the catalogue's size.
        target: Mean share of the exact k best that is to be found.
    """
    width = queries.shape[1]
    vectors, number = tf.TensorSpec([None, width], tf.float32), tf.TensorSpec([], tf.int32)
    search = tf.function(index.search_leaves, input_signature=[vectors, number, number])
    score = tf.function(exact.score, input_signature=[vectors, tf.TensorSpec([None, None], tf.int64)])
    exactly = tf.function(exact.search, input_signature=[vectors, number])
    least = _least_scores(exactly, queries, k, exact.size)
    ranked = np.argsort(-(queries @ index.centroids.T), axis=1)
    visited = np.cumsum(index.sizes[ranked], axis=1).mean(axis=0) / exact.size
    most = max(1, int(np.searchsorted(visited, index.most_visited + _TOLERANCE)))
    points: dict[int, CurvePoint] = {}

    def suffices(leaves: int) -> bool:
        recall = _recall(lambda some: search(some, k, leaves), score, queries, least, k)
        points[leaves] = CurvePoint(
            leaves=leaves,
            visited=float(visited[leaves - 1]),
            recall=recall,
            milliseconds=_milliseconds(lambda query: search(query, k, leaves), queries),
        )
        return recall >= target

    too_few, enough = 0, 1
    while not suffices(enough) and enough < most:
        too_few, enough = enough, min(2 * enough, most)
    reached = points[enough].recall >= target
    while reached and enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if suffices(middle) else (middle, enough)
    if reached:
        index.tune(enough, k)
    return Tuning(
        k=k,
        target=target,
        queries=len(queries),
        leaves=index.leaves,
        leaves_to_search=enough if reached else None,
        curve=tuple(points[leaves] for leaves in sorted(points)),
        exact_milliseconds=_milliseconds(lambda query: exactly(query, k), queries),
    )


def _least_scores(search: Callable, queries: np.ndarray, k: int, size: int) -> np.ndarray:
    """The k-th best score of each query, less what rounding may change: float32 [queries, 1]."""
    batch = max(1, _SCORES_AT_A_TIME // size)
    batches = (queries[start : start + batch] for start in range(0, len(queries), batch))
    scores = np.concatenate([search(some, k)[0].numpy() for some in batches])
    return scores[:, -1:] - _TOLERANCE * np.abs(scores).max(axis=1, keepdims=True)


def _recall(search: Callable, score: Callable, queries: np.ndarray, least: np.ndarray, k: int) -> float:
    """Mean share of k that is found with at least those scores: of candidates alike, any will do."""
    found = 0
    for start in range(0, len(queries), _QUERIES_AT_A_TIME):
        some = queries[start : start + _QUERIES_AT_A_TIME]
        scores, rows = search(some)
        good = (score(some, rows).numpy() >= least[start : start + len(some)]) & np.isfinite(scores)
        found += int(good.sum())
    return found / (k * len(queries))


def _milliseconds(search: Callable, queries: np.ndarray) -> float:
    """Median over single queries, after one that is not counted."""
    times = []
    for query in queries[: _TIMED_QUERIES + 1] if len(queries) > 1 else queries[[0, 0]]:
        single = tf.constant(query[np.newaxis])
        start = time.perf_counter()
        search(single)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[1:]))
