"""The evaluation as the report shows it: headline, tables, and plots by slice."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from markupsafe import Markup

from components.evaluate.config import (
    CANDIDATE_MEAN,
    LIST_METRICS,
    POPULARITY,
    POSITIVE_PROBABILITY,
    RATING,
    RECOMMEND,
    RETRIEVE,
)
from components.evaluate.results import OVERALL
from pipeline.report import figures, formats
from pipeline.report.scores import COUNT_OF_INTERACTIONS, COUNT_OF_POSITIVES, Scores, is_better

RIVALS: Final[Mapping[str, str]] = {
    RETRIEVE: "Retrieval",
    RECOMMEND: "Re-ranked",
    POPULARITY: "Popularity",
}
"""Who makes lists of candidates, and what the report calls them."""

_COLOURS: Final = {RETRIEVE: "retrieve", RECOMMEND: "recommend", POPULARITY: "baseline"}
_LABELS: Final = {"recall": "Recall", "ndcg": "NDCG", "mrr": "MRR", "coverage": "Coverage"}
_SLICE_TITLES: Final = {
    "query_activity": "By activity of the user: earlier positive interactions in the history",
    "query_known": "By whether training knew the user",
    "candidate_popularity": "By popularity of the candidate in training: thirds of the positive interactions",
}
_RMSE, _MEAN_RMSE = f"{RATING}/rmse", f"{CANDIDATE_MEAN}/rmse"
_AUC = f"{POSITIVE_PROBABILITY}/auc"


@dataclasses.dataclass(frozen=True)
class Headline:
    """One number that matters, beside what it has to beat.

    Attributes:
        label: The metric.
        value: The model's.
        others: Name and value of those it stands beside.
        verdict: How it compares with the last of them, in words.
        good: Whether it beats it; None where there is nothing to beat.
    """

    label: str
    value: str
    others: tuple[tuple[str, str], ...]
    verdict: str
    good: bool | None


@dataclasses.dataclass(frozen=True)
class Cell:
    """A number in a table."""

    text: str
    best: bool


@dataclasses.dataclass(frozen=True)
class MetricTable:
    """Metrics down, rivals across."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


@dataclasses.dataclass(frozen=True)
class SliceGroup:
    """Plots of the slices by one feature."""

    title: str
    plots: tuple[Markup, ...]


def label(metric: str) -> str:
    """``ndcg@10`` as people write it."""
    name, at, cutoff = metric.partition("@")
    return f"{_LABELS.get(name, name)}{at}{cutoff}"


def headlines(scores: Scores) -> list[Headline]:
    """The numbers of the report's head."""
    cards = [_list_headline(scores, metric) for metric in LIST_METRICS]
    rmse, mean, auc = scores.value(_RMSE), scores.value(_MEAN_RMSE), scores.value(_AUC)
    ratio = rmse / mean if mean else math.nan
    cards.append(
        Headline(
            "Rating RMSE",
            formats.score(rmse),
            (("item mean", formats.score(mean)),),
            "" if math.isnan(ratio) else f"{abs(1 - ratio):.1%} {'less' if ratio < 1 else 'more'} error",
            None if math.isnan(ratio) else is_better(_RMSE, rmse, mean),
        )
    )
    good = None if math.isnan(auc) else auc > 0.5
    cards.append(Headline("Positive AUC", formats.score(auc), (("chance", "0.5"),), "", good))
    return cards


def _list_headline(scores: Scores, metric: str) -> Headline:
    value, popular = scores.value(f"{RETRIEVE}/{metric}"), scores.value(f"{POPULARITY}/{metric}")
    known = not math.isnan(value) and not math.isnan(popular)
    others = ((RIVALS[RECOMMEND].lower(), scores.value(f"{RECOMMEND}/{metric}")), ("popularity", popular))
    return Headline(
        label(metric),
        formats.score(value),
        tuple((name, formats.score(other)) for name, other in others),
        f"{value / popular:.1f}× popularity" if known and popular else "",
        value > popular if known else None,
    )


def list_table(scores: Scores, split: str) -> MetricTable:
    """Metrics of the lists, of the model and its rivals, and of the model pushed before."""
    metrics = [*LIST_METRICS, "ann_recall@100"]
    columns = [(rival, "candidate") for rival in RIVALS]
    columns += [(rival, "baseline") for rival in (RETRIEVE, RECOMMEND) if scores.has_baseline]
    rows = []
    for metric in metrics:
        values = [scores.value(f"{rival}/{metric}", model=model) for rival, model in columns]
        name = "Index recall@100" if metric == "ann_recall@100" else label(metric)
        rows.append((name, _cells(values, f"{RETRIEVE}/{metric}", len(RIVALS))))
    headers = [RIVALS[rival] + (" before" if model == "baseline" else "") for rival, model in columns]
    of = formats.count(scores.value(COUNT_OF_POSITIVES)) if _has(scores, COUNT_OF_POSITIVES) else "the"
    return MetricTable(f"{split}: lists, over {of} positive interactions", tuple(headers), tuple(rows))


def judgement_table(scores: Scores, split: str) -> MetricTable:
    """Metrics of the predicted rating and probability."""
    metrics = (
        ("Rating RMSE (lower is better)", _RMSE, _MEAN_RMSE),
        ("Rating NDCG@10", f"{RATING}/ndcg@10", f"{CANDIDATE_MEAN}/ndcg@10"),
        ("Positive AUC", _AUC, ""),
    )
    rows = []
    for name, model, other in metrics:
        values = [scores.value(model), scores.value(other)]
        values += [scores.value(model, model="baseline")] if scores.has_baseline else []
        rows.append((name, _cells(values, model, 2)))
    headers = ("Model", "Item mean", *(("Model before",) if scores.has_baseline else ()))
    of = formats.count(scores.value(COUNT_OF_INTERACTIONS)) if _has(scores, COUNT_OF_INTERACTIONS) else "all"
    return MetricTable(f"{split}: judgements, over {of} interactions", headers, tuple(rows))


def _cells(values: Sequence[float], metric: str, rivals: int) -> tuple[Cell, ...]:
    """The values as cells; the best of the first ``rivals`` stands out, if there are two to compare."""
    compared = [value for value in values[:rivals] if not math.isnan(value)]
    best = None
    for value in compared if len(compared) > 1 else ():
        best = value if best is None or is_better(metric, value, best) else best
    return tuple(
        Cell(formats.score(value), place < rivals and value == best) for place, value in enumerate(values)
    )


def overall_plot(scores: Scores, split: str) -> Markup:
    """All list metrics beside popularity."""
    series = [
        (name, _COLOURS[rival], [scores.value(f"{rival}/{metric}") for metric in LIST_METRICS])
        for rival, name in RIVALS.items()
    ]
    return figures.bars(f"{split.capitalize()} split", [label(metric) for metric in LIST_METRICS], series)


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
    positives, all_ = (
        [
            _with_count(value, scores.value(metric, slice_))
            for value, slice_ in zip(values, slices, strict=True)
        ]
        for metric in (COUNT_OF_POSITIVES, COUNT_OF_INTERACTIONS)
    )
    plots = []
    for metric in ("recall@10", "recall@100"):
        series = [
            (name, _COLOURS[rival], [scores.value(f"{rival}/{metric}", slice_) for slice_ in slices])
            for rival, name in RIVALS.items()
        ]
        plots.append(figures.columns(label(metric), positives, series))
    judged = [
        ("Item mean", "baseline", [scores.value(_MEAN_RMSE, slice_) for slice_ in slices]),
        ("Model", "recommend", [scores.value(_RMSE, slice_) for slice_ in slices]),
    ]
    if any(not math.isnan(value) for _, _, series_values in judged for value in series_values):
        plots.append(figures.columns("Rating RMSE (lower is better)", all_, judged, from_zero=False))
    return plots


def _with_count(value: str, number: float) -> str:
    return value if math.isnan(number) else f"{value}\n({formats.count(number)})"


def _has(scores: Scores, metric: str) -> bool:
    return not math.isnan(scores.value(metric, OVERALL))
