"""faiss: a navigable small-world graph, and an inverted file with quantised members and re-ranking."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import faiss
import numpy as np

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Ladder, Setting
from benchmarks.neighbours.problem import K, Problem

_FILE = "index.faiss"
_LINKS = 32
_MOST_EXPLORED = 4096
_LEAVES_PER_ROOT = 4
_TRAINED_PER_LEAF = 64
_DIMENSIONS_PER_CODE = 2
_REORDERED = (4, 8, 16)
"""Candidates scored exactly for each one wanted."""


class _Faiss(Contender):
    def open(self, problem: Problem, folder: Path) -> None:
        """Reads it."""
        self._index = faiss.read_index(str(folder / _FILE))


class FaissHnsw(_Faiss):
    """HNSW with 32 links and as many explored in construction as by default."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Adds all candidates and writes it."""
        index = faiss.IndexHNSWFlat(problem.vectors.shape[1], _LINKS, faiss.METRIC_INNER_PRODUCT)
        index.add(problem.vectors)
        faiss.write_index(index, str(folder / _FILE))

    def ladders(self, problem: Problem) -> Sequence[Ladder]:
        """How many it explores."""
        return [Ladder("efSearch", K, min(_MOST_EXPLORED, len(problem.vectors)))]

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Searches, in a thread a core."""
        self._index.hnsw.efSearch = setting["efSearch"]
        return self._index.search(queries, K)[1]


class FaissIvfPq(_Faiss):
    """An inverted file, members in 4-bit codes of two dimensions, fast scan, and exact re-ranking."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Trains it, adds all candidates and writes it."""
        dim = problem.vectors.shape[1]
        what = f"IVF{_leaves(problem)},PQ{dim // _DIMENSIONS_PER_CODE}x4fs,RFlat"
        index = faiss.index_factory(dim, what, faiss.METRIC_INNER_PRODUCT)
        faiss.extract_index_ivf(index).cp.max_points_per_centroid = _TRAINED_PER_LEAF
        index.train(problem.vectors)
        index.add(problem.vectors)
        faiss.write_index(index, str(folder / _FILE))

    def open(self, problem: Problem, folder: Path) -> None:
        """Reads it."""
        super().open(problem, folder)
        self._lists = faiss.extract_index_ivf(self._index)

    def ladders(self, problem: Problem) -> Sequence[Ladder]:
        """Leaves, for each number of candidates re-ranked."""
        limit = _leaves(problem)
        return [Ladder("nprobe", 1, limit, (("re-ordered", factor * K),)) for factor in _REORDERED]

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Searches, in a thread a core."""
        self._lists.nprobe = setting["nprobe"]
        self._index.k_factor = setting["re-ordered"] / K
        return self._index.search(queries, K)[1]


def _leaves(problem: Problem) -> int:
    return round(_LEAVES_PER_ROOT * math.sqrt(len(problem.vectors)))
