"""How much of an index has to be searched: as little as finds what exact search finds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import tensorflow as tf

from components.assemble.index import ExactIndex, LeafIndex
from components.ingest.strict import Strict

_SCORES_AT_A_TIME = 1 << 24
_QUERIES_AT_A_TIME = 64
_TIMED_QUERIES = 30
_TURNS = 3
_MORE_LEAVES = 4
"""More times the leaves are not worth half the re-ordering."""
_MOST_REORDERED = 0.5
"""Share of the candidates beyond which exact search costs no more."""
_TOLERANCE = 1e-5
"""Relative to the largest score: what the order of summation may change."""


class CurvePoint(Strict):
    """What searching so many leaves, and re-ordering so many of what is in them, comes to."""

    leaves: int
    reorder: int = 1
    """Candidates scored exactly for each one wanted; 1 where all that are visited are."""
    visited: float
    """Mean share of the candidates that are in the leaves."""
    recall: float
    """Mean share of the exact k best that is found."""
    milliseconds: float
    """Median time of one query alone."""

    def in_words(self, tuning: Tuning) -> str:
        """What is searched and found, for a sentence."""
        reordered = f", {self.reorder * tuning.k:,} scored anew" if self.reorder > 1 else ""
        return (
            f"{self.leaves:,} of {tuning.leaves:,} leaves ({self.visited:.1%} of the candidates{reordered}) "
            f"find {self.recall:.4f} of the exact {tuning.k} best, target {tuning.target:g}"
        )


class Tuning(Strict):
    """An index's curve and what was chosen on it."""

    k: int
    target: float
    queries: int
    leaves: int
    """How many there are."""
    leaves_to_search: int | None
    """Of the quickest point that reaches the target; None if none does at less than exact search costs."""
    reorder: int | None = 1
    """Of the same point."""
    curve: tuple[CurvePoint, ...]
    """By what is re-ordered, then by leaves, ascending."""
    exact_milliseconds: float
    """Median time of one query in exact search."""

    @property
    def chosen(self) -> CurvePoint | None:
        """The point that the index is set to."""
        wanted = (self.leaves_to_search, self.reorder)
        return next((point for point in self.curve if (point.leaves, point.reorder) == wanted), None)

    @property
    def line(self) -> tuple[CurvePoint, ...]:
        """The points that re-order as many as the chosen one, the most where none was: recall by leaves."""
        reorder = (self.chosen or self.curve[-1]).reorder
        return tuple(point for point in self.curve if point.reorder == reorder)


def tune(index: LeafIndex, exact: ExactIndex, queries: np.ndarray, k: int, target: float) -> Tuning:
    """Finds what reaches a recall at the least cost, and sets the index to it.

    Recall rises with the leaves that are searched and, where they are scored by quantised vectors, with the
    candidates that are re-ordered. With the most that may be re-ordered the number of leaves is doubled until
    it suffices, then the last interval is halved. Half as many re-ordered need as many leaves or more: the
    next search begins there, and so on until one would take more than four times the leaves. Of what was
    found the pair that answers all queries soonest is taken, not considering those beside which another needs
    as many leaves and re-orders less.

    Not tried are numbers of leaves that hold more than ``index.most_visited`` of the candidates, and
    re-ordering more than half of them.

    Args:
        index: The index; left as it is where nothing suffices.
        exact: What it is measured against.
        queries: float32 [queries, width] embeddings, at least one, not those of the index's training.
        k: How many candidates to find, at most the catalogue's size.
        target: Mean share of the exact k best that is to be found.
    """
    search = _Search(index, exact, queries, k)
    sufficient: list[CurvePoint] = []
    fewest, most = 1, search.most_leaves
    for reorder in search.reorder_factors:
        point = _fewest_leaves(partial(search.point, reorder=reorder), target, fewest, most)
        if point is None:
            break
        if sufficient and sufficient[-1].leaves == point.leaves:
            # As many leaves and less to re-order is less work, whatever the clock of a busy machine says.
            sufficient.pop()
        sufficient.append(point)
        fewest, most = point.leaves, min(_MORE_LEAVES * point.leaves, search.most_leaves)
    chosen = search.soonest(sufficient) if sufficient else None
    if chosen:
        index.tune(chosen.leaves, chosen.reorder, k)
        # So that its curve begins with one leaf, as the first factor's does.
        for doublings in range((chosen.leaves - 1).bit_length()):
            search.point(2**doublings, chosen.reorder)
    return Tuning(
        k=k,
        target=target,
        queries=len(queries),
        leaves=index.leaves,
        leaves_to_search=chosen.leaves if chosen else None,
        reorder=chosen.reorder if chosen else None,
        curve=search.curve,
        exact_milliseconds=search.exact_milliseconds(),
    )


def _fewest_leaves(
    measure: Callable[[int], CurvePoint], target: float, fewest: int, most: int
) -> CurvePoint | None:
    """The fewest leaves of those numbers that reach the target; None where the most do not."""
    too_few, enough = fewest - 1, fewest
    while measure(enough).recall < target:
        if enough == most:
            return None
        too_few, enough = enough, min(2 * enough, most)
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (too_few, middle) if measure(middle).recall >= target else (middle, enough)
    return measure(enough)


class _Search:
    """The index's searches and what was measured of them."""

    def __init__(self, index: LeafIndex, exact: ExactIndex, queries: np.ndarray, k: int):
        width = queries.shape[1]
        vectors, number = tf.TensorSpec([None, width], tf.float32), tf.TensorSpec([], tf.int32)
        self._search = tf.function(
            index.search_leaves, input_signature=[vectors, number, number, number], autograph=False
        )
        self._score = tf.function(
            exact.score, input_signature=[vectors, tf.TensorSpec([None, None], tf.int64)], autograph=False
        )
        self._exactly = tf.function(exact.search, input_signature=[vectors, number], autograph=False)
        self._queries, self._k = queries, k
        self._least = _least_scores(self._exactly, queries, k, exact.size)
        ranked = np.argsort(-(queries @ index.centroids.T), axis=1)
        self._visited = np.cumsum(index.sizes[ranked], axis=1).mean(axis=0) / exact.size
        self._points: dict[tuple[int, int], CurvePoint] = {}
        self.most_leaves = max(1, int(np.searchsorted(self._visited, index.most_visited + _TOLERANCE)))
        least, *more = index.reorder_factors
        self.reorder_factors = [
            *reversed([factor for factor in more if factor * k <= _MOST_REORDERED * exact.size]),
            least,
        ]

    @property
    def curve(self) -> tuple[CurvePoint, ...]:
        """All points, by what is re-ordered, then by leaves."""
        return tuple(sorted(self._points.values(), key=lambda point: (point.reorder, point.leaves)))

    def point(self, leaves: int, reorder: int) -> CurvePoint:
        """Measures such a search, once."""
        if (leaves, reorder) not in self._points:
            self._points[leaves, reorder] = CurvePoint(
                leaves=leaves,
                reorder=reorder,
                visited=float(self._visited[leaves - 1]),
                recall=self._recall(leaves, reorder),
                milliseconds=_milliseconds(
                    lambda query: self._search(query, self._k, leaves, reorder), self._queries
                ),
            )
        return self._points[leaves, reorder]

    def soonest(self, points: list[CurvePoint]) -> CurvePoint:
        """The one that answers all queries in the least time; they take turns, and the best turn counts."""
        seconds = [[self._seconds(point) for point in points] for _ in range(_TURNS)]
        return points[int(np.min(seconds, axis=0).argmin())]

    def exact_milliseconds(self) -> float:
        """Median time of one query in exact search."""
        return _milliseconds(lambda query: self._exactly(query, self._k), self._queries)

    def _seconds(self, point: CurvePoint) -> float:
        started = time.perf_counter()
        for some in _batches(self._queries, _QUERIES_AT_A_TIME):
            self._search(some, self._k, point.leaves, point.reorder)
        return time.perf_counter() - started

    def _recall(self, leaves: int, reorder: int) -> float:
        """Mean share of k that is found with at least those scores: of candidates alike, any will do."""
        found = 0
        batches = zip(
            _batches(self._queries, _QUERIES_AT_A_TIME),
            _batches(self._least, _QUERIES_AT_A_TIME),
            strict=True,
        )
        for some, least in batches:
            scores, rows = self._search(some, self._k, leaves, reorder)
            good = (self._score(some, rows).numpy() >= least) & np.isfinite(scores)
            found += int(good.sum())
        return found / (self._k * len(self._queries))


def _batches(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (array[start : start + size] for start in range(0, len(array), size))


def _least_scores(search: Callable, queries: np.ndarray, k: int, size: int) -> np.ndarray:
    """The k-th best score of each query, less what rounding may change: float32 [queries, 1]."""
    batches = _batches(queries, max(1, _SCORES_AT_A_TIME // size))
    scores = np.concatenate([search(some, k)[0].numpy() for some in batches])
    return scores[:, -1:] - _TOLERANCE * np.abs(scores).max(axis=1, keepdims=True)


def _milliseconds(search: Callable, queries: np.ndarray) -> float:
    """Median over single queries, after one that is not counted."""
    times = []
    for query in queries[: _TIMED_QUERIES + 1] if len(queries) > 1 else queries[[0, 0]]:
        single = tf.constant(query[np.newaxis])
        start = time.perf_counter()
        search(single)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[1:]))
