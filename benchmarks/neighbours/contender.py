"""What every contender does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.neighbours.knobs import Ladder, Setting
from benchmarks.neighbours.problem import Problem


class Contender:
    """An index of one library, built in one process and asked in another."""

    def build(self, problem: Problem, folder: Path, target: float) -> None:
        """Builds the index and writes it.

        Args:
            problem: The candidates, and queries to tune on for who tunes while building.
            folder: An empty one to write into.
            target: Recall of these.
        """
        raise NotImplementedError

    def open(self, problem: Problem, folder: Path) -> None:
        """Reads what :meth:`build` wrote."""
        raise NotImplementedError

    def ladders(self, problem: Problem) -> Sequence[Ladder]:
        """Knobs to turn until the recall is reached; none where building has tuned already."""
        return ()

    def search(self, queries: np.ndarray, setting: Setting) -> np.ndarray:
        """Rows, [batch, K], of the best candidates found for float32 [batch, dim] queries.

        A batch of one is one request for one query, in whichever way the library does that best.
        """
        raise NotImplementedError

    def built_with(self, folder: Path) -> Setting:
        """Knobs that building has set, for the table."""
        return {}
