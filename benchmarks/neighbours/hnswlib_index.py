"""hnswlib, the navigable small-world graph's own library."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hnswlib
import numpy as np

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Ladder, Setting
from benchmarks.neighbours.problem import K, Problem

_FILE = "index.hnsw"
_LINKS = 16
_EXPLORED_IN_CONSTRUCTION = 200
_MOST_EXPLORED = 4096
_SEED = 100


class Hnswlib(Contender):
    """HNSW with the library's own defaults: M 16, ef_construction 200."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Adds all candidates, in a thread a core, and writes it."""
        count, dim = problem.vectors.shape
        index = hnswlib.Index("ip", dim)
        index.init_index(count, _LINKS, _EXPLORED_IN_CONSTRUCTION, _SEED)
        index.add_items(problem.vectors)
        index.save_index(str(folder / _FILE))

    def open(self, problem: Problem, folder: Path) -> None:
        """Reads it."""
        self._index = hnswlib.Index("ip", problem.vectors.shape[1])
        self._index.load_index(str(folder / _FILE))

    def ladders(self, problem: Problem) -> Sequence[Ladder]:
        """How many it explores."""
        return [Ladder("ef", K, min(_MOST_EXPLORED, len(problem.vectors)))]

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Searches, in a thread a core; finds nothing where the graph does not lead to as many as wanted."""
        self._index.set_ef(setting["ef"])
        try:
            return self._index.knn_query(queries, K)[0]
        except RuntimeError:
            return np.full((len(queries), K), -1)
