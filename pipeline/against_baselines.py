"""Says in words who is better than whom."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from components.baselines.config import IALS, ITEM_KNN
from components.evaluate.config import (
    CANDIDATE_MEAN,
    OWN_FREQUENT,
    POPULARITY,
    RANK_METRICS,
    RATING,
    RECOMMEND,
    RETRIEVE,
    TRAINED,
    baselines,
    lower_is_better,
    over_new,
)

_LISTS: Final = {
    RETRIEVE: "retrieve",
    RECOMMEND: "recommend",
    POPULARITY: "popularity",
    OWN_FREQUENT: "own most frequent",
    IALS: "iALS",
    ITEM_KNN: "item-kNN",
}
NAMES: Final[Mapping[str, str]] = {
    **_LISTS,
    **{over_new(rival): name for rival, name in _LISTS.items()},
    RATING: "rating",
    CANDIDATE_MEAN: "item mean",
}
"""What people call the rivals; those of candidates new to the query stand in tables of their own."""


class Shortfall(NamedTuple):
    """A baseline that the model is not above.

    Attributes:
        text: A sentence with the metrics where it is not.
        loud: Whether a model is hardly worth its cost that is not above this one.
    """

    text: str
    loud: bool


def has_repeats(metrics: Mapping[str, float | None]) -> bool:
    """Whether metrics, by ``<rival>/<metric>``, are of lists that may hold what the history holds."""
    return f"{OWN_FREQUENT}/mrr" in metrics


def trained_in(metrics: Mapping[str, float | None]) -> tuple[str, ...]:
    """The trained baselines that metrics, by ``<rival>/<metric>``, were measured of."""
    return tuple(rival for rival in TRAINED if f"{rival}/mrr" in metrics)


def shortfalls(metrics: Mapping[str, float | None]) -> list[Shortfall]:
    """Each baseline that the model is not above.

    Args:
        metrics: ``<rival>/<metric>`` to value, over a whole split; None or NaN where not computed.
    """
    return [
        Shortfall(_sentence(rival, baseline, found), loud=baseline in (IALS, over_new(IALS)))
        for rival, baseline, names in _compared(metrics)
        if (found := [*_behind(metrics, rival, baseline, names)])
    ]


def _sentence(rival: str, baseline: str, found: Sequence[str]) -> str:
    how = "better than" if rival == RATING else "above"
    new = " on candidates new to the user" if rival.endswith(over_new("")) else ""
    simple = ", a much simpler model" if NAMES[baseline] == NAMES[IALS] else ""
    return f"{NAMES[rival]} is not {how} {NAMES[baseline]}{simple}{new}: {', '.join(found)}"


def winners(metrics: Mapping[str, float | None], rivals: Sequence[str]) -> dict[str, str]:
    """Who is best, by rank metric; the first of equal ones, without metrics that only one has.

    Args:
        metrics: As in :func:`shortfalls`.
        rivals: Makers of lists.
    """
    best = {}
    for metric in RANK_METRICS:
        values = {rival: _number(metrics, f"{rival}/{metric}") for rival in rivals}
        known = {rival: value for rival, value in values.items() if not math.isnan(value)}
        if len(known) > 1:
            best[metric] = max(known, key=lambda rival: known[rival])
    return best


def _compared(metrics: Mapping[str, float | None]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """The model's rivals, each with a baseline and the metrics both have."""
    for rival, against in baselines(has_repeats(metrics), trained_in(metrics)).items():
        for baseline in against:
            yield rival, baseline, RANK_METRICS
    yield RATING, CANDIDATE_MEAN, ("rmse", "ndcg@10")


def _behind(
    metrics: Mapping[str, float | None], rival: str, baseline: str, names: tuple[str, ...]
) -> Iterator[str]:
    """The metrics in which a rival is not better, with both values."""
    for name in names:
        value, other = _number(metrics, f"{rival}/{name}"), _number(metrics, f"{baseline}/{name}")
        if math.isnan(value) or math.isnan(other):
            continue
        better = value < other if lower_is_better(f"{rival}/{name}") else value > other
        if not better:
            yield f"{name} {value:.4f} against {other:.4f}"


def _number(metrics: Mapping[str, float | None], name: str) -> float:
    value = metrics.get(name)
    return math.nan if value is None else value
