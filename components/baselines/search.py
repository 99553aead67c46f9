"""A bounded search over a grid of hyper-parameters."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from components.ingest.strict import Strict

Value = int | float | str
Settings = dict[str, Value]


class Trial(Strict):
    """Hyper-parameters and what they came to on the validation sample."""

    settings: Settings
    recall_at_10: float
    recall_at_100: float

    @property
    def worth(self) -> tuple[float, float]:
        """What trials are compared by: recall@100, as retrieval training is, then recall@10."""
        return self.recall_at_100, self.recall_at_10


def best(trials: Sequence[Trial]) -> Trial:
    """The best trial; the first of equal ones."""
    return max(trials, key=lambda trial: trial.worth)


def search(
    grid: Mapping[str, Sequence[Value]],
    measure: Callable[[Settings], list[Trial]],
    *,
    trials: int,
    seed: int,
) -> list[Trial]:
    """Tries points of a grid: its middle, some drawn at random, then those next to the best one so far.

    Args:
        grid: Values of each hyper-parameter, in their order.
        measure: Takes a point, returns one or more trials (as after several iterations).
        trials: Points to try; no more than the grid has.
        seed: Of the draw. The trials follow from it.

    Returns:
        All trials, in the order made.
    """
    points = list(itertools.product(*(range(len(values)) for values in grid.values())))
    drawn = [points[place] for place in np.random.default_rng(seed).permutation(len(points))]
    middle = tuple(len(values) // 2 for values in grid.values())
    drawn.sort(key=lambda point: point != middle)
    found: dict[tuple[int, ...], list[Trial]] = {}
    while len(found) < min(trials, len(points)):
        point = next(point for point in drawn if point not in found)
        if 3 * len(found) >= trials:
            leader = max(found, key=lambda tried: best(found[tried]).worth)
            near = [p for p in drawn if p not in found and _distance(p, leader) == 1]
            point = near[0] if near else point
        values = (values[place] for values, place in zip(grid.values(), point, strict=True))
        found[point] = measure(dict(zip(grid, values, strict=True)))
    return [trial for made in found.values() for trial in made]


def _distance(point: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Steps along the grid's axes from one point to the other."""
    return sum(abs(a - b) for a, b in zip(point, other, strict=True))
