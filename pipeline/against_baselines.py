"""Says in words where the model is not above a baseline."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Final

from components.evaluate.config import (
    CANDIDATE_MEAN,
    LOWER_IS_BETTER,
    NEW_TO_QUERY,
    OWN_FREQUENT,
    POPULARITY,
    POPULARITY_NEW,
    RANK_METRICS,
    RATING,
    RECOMMEND,
    RECOMMEND_NEW,
    RETRIEVE,
    RETRIEVE_NEW,
    baselines,
)

NAMES: Final[Mapping[str, str]] = {
    RETRIEVE: "retrieve",
    RECOMMEND: "recommend",
    POPULARITY: "popularity",
    OWN_FREQUENT: "own most frequent",
    RETRIEVE_NEW: "retrieve",
    RECOMMEND_NEW: "recommend",
    POPULARITY_NEW: "popularity",
    RATING: "rating",
    CANDIDATE_MEAN: "item mean",
}
"""What people call the rivals; those of candidates new to the query stand in tables of their own."""


def shortfalls(metrics: Mapping[str, float | None]) -> list[str]:
    """A sentence for each baseline that the model is not above, with the metrics where it is not.

    Args:
        metrics: ``<rival>/<metric>`` to value, over a whole split; None or NaN where not computed.
    """
    return [
        f"{NAMES[rival]} is not {'better than' if rival == RATING else 'above'} {NAMES[baseline]}"
        f"{' on candidates new to the user' if rival in NEW_TO_QUERY else ''}: {', '.join(found)}"
        for rival, baseline, names in _compared(metrics)
        if (found := [*_behind(metrics, rival, baseline, names)])
    ]


def _compared(metrics: Mapping[str, float | None]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The model's rivals, each with a baseline and the metrics both have."""
    for rival, against in baselines(repeats=f"{OWN_FREQUENT}/mrr" in metrics).items():
        for baseline in against:
            yield rival, baseline, RANK_METRICS
    yield RATING, CANDIDATE_MEAN, ("rmse", "ndcg@10")


def _behind(
    metrics: Mapping[str, float | None], rival: str, baseline: str, names: tuple[str, ...]
) -> Iterator[str]:
    """The metrics in which a rival is not better, with both values."""
    for name in names:
        value, other = metrics.get(f"{rival}/{name}"), metrics.get(f"{baseline}/{name}")
        if value is None or other is None or math.isnan(value) or math.isnan(other):
            continue
        better = value < other if f"{rival}/{name}" in LOWER_IS_BETTER else value > other
        if not better:
            yield f"{name} {value:.4f} against {other:.4f}"
