"""Which trials are stopped early."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

ETA: Final = 3
"""About one of so many trials goes on at each rung."""


class Halving:
    """Successive halving without waiting (ASHA's stopping rule; Li et al. 2020, arXiv:1810.05934).

    After a ninth and after a third of the epochs a trial goes on only if its best validation so far is among
    the best third of what trials had come to by then. The first few are not judged. As trials run one
    after the other, which ones are stopped follows from their order.
    """

    def __init__(self, epochs: int) -> None:
        """Sets the rungs for trainings of so many epochs."""
        rungs = {math.ceil(epochs / ETA**2), math.ceil(epochs / ETA)}
        self.rungs = tuple(sorted(rungs - {epochs}))
        self._bests: dict[int, list[float]] = {rung: [] for rung in self.rungs}

    def add(self, curve: Sequence[float], *, pruned: bool) -> None:
        """Takes note of a trial.

        Args:
            curve: Its validation after each epoch. One that ended by itself stands at later rungs, too.
            pruned: Whether it was stopped, at its last epoch.
        """
        for rung, bests in self._bests.items():
            if curve and (rung <= len(curve) or not pruned):
                bests.append(max(curve[:rung]))

    def goes_on(self, curve: Sequence[float]) -> bool:
        """Whether a trial with this validation so far, [epochs], is gone on with."""
        others = self._bests.get(len(curve), [])
        if len(others) < ETA:
            return True
        return sum(other > max(curve) for other in others) < math.ceil((len(others) + 1) / ETA)
