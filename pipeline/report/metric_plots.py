"""The evaluation's numbers as plots: beside the baselines, and slice by slice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from components.evaluate.config import (
    LIST_METRICS,
    NEW_TO_QUERY,
    OWN_FREQUENT,
    POPULARITY,
    POPULARITY_NEW,
    RANK_METRICS,
    RECOMMEND,
    RECOMMEND_NEW,
    RETRIEVE,
    RETRIEVE_NEW,
)
from components.evaluate.results import EVALUATED, EVALUATED_NEW, EVALUATED_POSITIVES
from pipeline.report import figures, formats
from pipeline.report.metric_tables import MEAN_RMSE, NAMES, RMSE, label, later_rivals
from pipeline.report.scores import Scores

_COLOURS: Final = {
    RETRIEVE: "retrieve",
    RECOMMEND: "recommend",
    POPULARITY: "baseline",
    OWN_FREQUENT: "own",
    RETRIEVE_NEW: "retrieve",
    RECOMMEND_NEW: "recommend",
    POPULARITY_NEW: "baseline",
}
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


def legend(scores: Scores, *, judged: bool = False) -> list[tuple[str, str]]:
    """Colour and name of those who make lists; and, where ``judged``, of who rates in the same colours."""
    shared = {RECOMMEND: ", rating model", POPULARITY: ", item mean"} if judged and scores.has(RMSE) else {}
    return [(_COLOURS[rival], NAMES[rival] + shared.get(rival, "")) for rival in later_rivals(scores)]


def later_plot(scores: Scores, split: str) -> Markup:
    """All list metrics over all later interactions."""
    return _bars(scores, f"{split.capitalize()} split", LIST_METRICS, later_rivals(scores))


def new_plot(scores: Scores, split: str) -> Markup:
    """The list metrics over interactions with candidates new to the user."""
    return _bars(scores, f"{split.capitalize()} split, new to the user", RANK_METRICS, NEW_TO_QUERY)


def _bars(scores: Scores, title: str, metrics: Sequence[str], rivals: Sequence[str]) -> Markup:
    metrics = [metric for metric in metrics if scores.has(f"{rivals[0]}/{metric}")]
    series = [
        (NAMES[rival], _COLOURS[rival], [scores.value(f"{rival}/{metric}") for metric in metrics])
        for rival in rivals
    ]
    return figures.bars(title, [label(metric) for metric in metrics], series)


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
        figures.columns(label(metric), counted(EVALUATED_POSITIVES), lists(metric, later_rivals(scores)))
        for metric in ("recall@10", "recall@100")
    ]
    if scores.has_repeats:
        title, series = f"{label('recall@10')}, new to the user", lists("recall@10", NEW_TO_QUERY)
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
