"""The evaluation's numbers as plots: beside the baselines, and slice by slice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from components.baselines.config import IALS, ITEM_KNN
from components.evaluate.config import (
    FUNNEL,
    OWN_FREQUENT,
    POPULARITY,
    RANK_METRICS,
    RECOMMEND,
    RETRIEVE,
    over_new,
)
from components.evaluate.results import (
    EVALUATED,
    EVALUATED_NEW,
    EVALUATED_POSITIVES,
    Reliability,
)
from pipeline.report import figures, formats
from pipeline.report.metric_tables import MEAN_RMSE, NAMES, RMSE, label
from pipeline.report.scores import Scores

_LISTS: Final = {
    RETRIEVE: "retrieve",
    RECOMMEND: "recommend",
    POPULARITY: "baseline",
    OWN_FREQUENT: "own",
    IALS: "ials",
    ITEM_KNN: "knn",
}
_COLOURS: Final = {**_LISTS, **{over_new(rival): colour for rival, colour in _LISTS.items()}}
_DRAWN: Final = (*RANK_METRICS, "coverage@10")
"""List metrics that are shares, and so can stand beside each other."""
_SLICE_TITLES: Final = {
    "query_activity": "By activity of the user: earlier interactions in the history",
    "query_known": "By whether training knew the user",
    "candidate_popularity": "By popularity of the candidate in training: thirds of the positive interactions",
}


@dataclasses.dataclass(frozen=True)
class SliceGroup:
    """Plots of the slices by one feature."""

    title: str
    plots: tuple[Markup, ...]


def new_legend(scores: Scores) -> list[tuple[str, str]]:
    """Colour and name of those who make lists over candidates new to the user."""
    return [(_COLOURS[rival], NAMES[rival]) for rival in scores.new_rivals]


def legend(scores: Scores, *, judged: bool = False) -> list[tuple[str, str]]:
    """Colour and name of those who make lists; and, where ``judged``, of who rates in the same colours."""
    shared = {RECOMMEND: ", rating model", POPULARITY: ", item mean"} if judged and scores.has(RMSE) else {}
    return [(_COLOURS[rival], NAMES[rival] + shared.get(rival, "")) for rival in scores.later_rivals]


def later_plot(scores: Scores, split: str) -> Markup:
    """All list metrics over all later interactions."""
    return _bars(scores, f"{split.capitalize()} split", _DRAWN, scores.later_rivals)


def new_plot(scores: Scores, split: str) -> Markup:
    """The list metrics over interactions with candidates new to the user."""
    return _bars(scores, f"{split.capitalize()} split, new to the user", _DRAWN, scores.new_rivals)


def _bars(scores: Scores, title: str, metrics: Sequence[str], rivals: Sequence[str]) -> Markup:
    metrics = [metric for metric in metrics if scores.has(f"{rivals[0]}/{metric}")]
    series = [
        (NAMES[rival], _COLOURS[rival], [scores.value(f"{rival}/{metric}") for metric in metrics])
        for rival in rivals
    ]
    return figures.bars(title, [label(metric) for metric in metrics], series)


def funnel_plot(scores: Scores, split: str, candidates: int | None) -> Markup | None:
    """What is left of the held-out positives, and of the ranker's best ten; None if not measured.

    Args:
        scores: Of the split.
        split: Which.
        candidates: Size of the catalogue, where it is known.
    """
    if not scores.has(f"{FUNNEL}/top10_kept"):
        return None
    size = f"\n{formats.count(candidates)} candidates" if candidates else ""
    stages = (f"Catalogue{size}", "Delivered\nby retrieval", "Shown\nthe first 10")
    series = [
        (
            text,
            colour,
            [1.0, scores.value(f"{FUNNEL}/{kind}_delivered"), scores.value(f"{FUNNEL}/{kind}_kept")],
        )
        for text, colour, kind in (
            ("Held-out\npositives", "retrieve", "positives"),
            ("The ranker's best\nten of everything", "recommend", "top10"),
        )
    ]
    return figures.funnel(f"{split.capitalize()} split", stages, series)


def reliability_plots(found: Sequence[Reliability], split: str) -> list[Markup]:
    """A diagram for each head's probabilities."""
    return [figures.reliability(f"{one.head}, {split} split", one) for one in found if len(one.counts)]


def slice_groups(scores: Scores) -> list[SliceGroup]:
    """Recall and rating error of each slice."""
    return [
        SliceGroup(_SLICE_TITLES.get(feature, f"By {feature}"), tuple(_slice_plots(scores, feature)))
        for feature in sorted(scores.slice_features(), key=_slice_place)
    ]


def _slice_place(feature: str) -> tuple[int, str]:
    titles = [*_SLICE_TITLES]
    return titles.index(feature) if feature in titles else len(titles), feature


def _slice_plots(scores: Scores, feature: str) -> list[Markup]:
    values = scores.slice_values(feature)
    slices = [f"{feature}:{value}" for value in values]

    def counted(metric: str) -> list[str]:
        return [
            _with_count(v, scores.value(metric, slice_)) for v, slice_ in zip(values, slices, strict=True)
        ]

    def lists(metric: str, rivals: Sequence[str]) -> list[figures.Series]:
        return [
            (NAMES[rival], _COLOURS[rival], [scores.value(f"{rival}/{metric}", slice_) for slice_ in slices])
            for rival in rivals
        ]

    plots = [
        figures.columns(label(metric), counted(EVALUATED_POSITIVES), lists(metric, scores.later_rivals))
        for metric in ("recall@10", "recall@100")
    ]
    if scores.has_repeats:
        title, series = f"{label('recall@10')}, new to the user", lists("recall@10", scores.new_rivals)
        plots.append(figures.columns(title, counted(EVALUATED_NEW), series))
    judged = [
        ("Item mean", "baseline", [scores.value(MEAN_RMSE, slice_) for slice_ in slices]),
        ("Model", "recommend", [scores.value(RMSE, slice_) for slice_ in slices]),
    ]
    if any(not math.isnan(value) for _, _, series_values in judged for value in series_values):
        plots.append(
            figures.columns("Rating RMSE (lower is better)", counted(EVALUATED), judged, from_zero=False)
        )
    return plots


def _with_count(value: str, number: float) -> str:
    return value if math.isnan(number) else f"{value}\n({formats.count(number)})"
