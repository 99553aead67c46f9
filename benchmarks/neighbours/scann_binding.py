"""ScaNN without TensorFlow: its Python binding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scann.scann_ops.py import scann_ops_pybind

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Ladder, Setting
from benchmarks.neighbours.problem import K, Problem, scann_leaves

_TRAINING_SAMPLE = 250_000
_DIMENSIONS_PER_BLOCK = 2
_REORDERED = (4, 8, 16)
"""Candidates scored exactly for each one wanted."""


class ScannBinding(Contender):
    """A tree of as many leaves as ours, two dimensions a code, re-ordering."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Trains and writes it."""
        leaves = scann_leaves(problem)
        builder = scann_ops_pybind.builder(problem.vectors, K, "dot_product")
        builder = builder.tree(
            leaves, leaves, training_sample_size=min(len(problem.vectors), _TRAINING_SAMPLE)
        )
        builder.score_ah(_DIMENSIONS_PER_BLOCK).reorder(_REORDERED[0] * K).build().serialize(str(folder))

    def open(self, problem: Problem, folder: Path) -> None:
        """Reads it."""
        self._searcher = scann_ops_pybind.load_searcher(str(folder))

    def ladders(self, problem: Problem) -> Sequence[Ladder]:
        """Leaves, for each number of candidates re-ordered."""
        limit = scann_leaves(problem)
        return [Ladder("leaves", 1, limit, (("re-ordered", factor * K),)) for factor in _REORDERED]

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """One by ``search``, many by ``search_batched_parallel``."""
        knobs = {
            "final_num_neighbors": K,
            "pre_reorder_num_neighbors": setting["re-ordered"],
            "leaves_to_search": setting["leaves"],
        }
        if len(queries) == 1:
            return self._searcher.search(queries[0], **knobs)[0][np.newaxis]
        return self._searcher.search_batched_parallel(queries, **knobs)[0]
