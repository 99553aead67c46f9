"""The evaluation's numbers in words and tables: headline and metric tables."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Final

from components.baselines.config import IALS, ITEM_KNN
from components.evaluate.config import (
    CANDIDATE_MEAN,
    EXACT_RANKER,
    FUNNEL,
    LIST_METRICS,
    LOG_LOSS,
    OWN_FREQUENT,
    POPULARITY,
    POSITIVE_PROBABILITY,
    RANK_METRICS,
    RATING,
    RECOMMEND,
    RECOMMEND_NEW,
    RETRIEVE,
    RETRIEVE_NEW,
    over_new,
)
from components.evaluate.results import (
    EVALUATED,
    EVALUATED_NEW,
    EVALUATED_POSITIVES,
    EVALUATED_RANKED,
)
from pipeline.report import formats
from pipeline.report.scores import Scores, is_better

_LISTS: Final = {
    RETRIEVE: "Retrieval",
    RECOMMEND: "Re-ranked",
    POPULARITY: "Popularity",
    OWN_FREQUENT: "Own most frequent",
    IALS: "iALS",
    ITEM_KNN: "Item-kNN",
}
NAMES: Final[Mapping[str, str]] = {**_LISTS, **{over_new(rival): name for rival, name in _LISTS.items()}}
"""Who makes lists of candidates, and what the report calls them."""

_LABELS: Final = {
    "recall": "Recall",
    "ndcg": "NDCG",
    "mrr": "MRR",
    "coverage": "Coverage",
    "novelty": "Novelty",
    "popularity_bias": "Popularity bias",
    "recommend_ndcg": "Recommended: NDCG",
    "top10_delivered": "Ranker's top 10 retrieved",
}
_UNJUDGED: Final = frozenset(LIST_METRICS) - frozenset(RANK_METRICS)
"""List metrics of which more is not better by itself."""
_ANN_RECALL: Final = "ann_recall@100"
RMSE, MEAN_RMSE = f"{RATING}/rmse", f"{CANDIDATE_MEAN}/rmse"
AUC: Final = f"{POSITIVE_PROBABILITY}/auc"
_RATING_JUDGEMENTS: Final = (
    ("Rating RMSE (lower is better)", RMSE, MEAN_RMSE),
    ("Rating NDCG@10", f"{RATING}/ndcg@10", f"{CANDIDATE_MEAN}/ndcg@10"),
)
_HEAD_LABELS: Final = {
    "auc": "AUC",
    "ndcg@10": "NDCG@10",
    LOG_LOSS: "log loss (lower is better)",
    "calibration": "predicted / observed",
}
_FUNNEL_LABELS: Final = {
    "overlap@100": "Of the ranker's best 100, among retrieval's best 100",
    "top10_retrieved": "Of the ranker's best 10, found by the index",
    "top10_delivered": "Of the ranker's best 10, delivered by retrieval",
    "top10_kept": "Of the ranker's best 10, shown",
    "positives_delivered": "Of the held-out positives, delivered by retrieval",
    "positives_kept": "Of the held-out positives, shown",
    "rank_correlation": "Rank correlation of retrieval and ranker",
}


@dataclasses.dataclass(frozen=True)
class Headline:
    """One number that matters, beside what it has to beat.

    Attributes:
        label: The metric.
        value: The model's.
        others: Name and value of those it stands beside.
        verdict: How it compares with the strongest baseline, in words.
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


def label(metric: str) -> str:
    """``ndcg@10`` as people write it."""
    name, at, cutoff = metric.partition("@")
    return f"{_LABELS.get(name, name)}{at}{cutoff}"


def headlines(scores: Scores) -> list[Headline]:
    """The numbers of the report's head: retrieval's, but with repeats those of the re-ranked list."""
    measured = [metric for metric in LIST_METRICS if scores.has(f"{RETRIEVE}/{metric}")]
    later = [rival for rival in scores.later_rivals if rival not in (RETRIEVE, RECOMMEND)]
    if scores.has_repeats:
        new = [rival for rival in scores.new_rivals if rival not in (RETRIEVE_NEW, RECOMMEND_NEW)]
        cards = [_list_headline(scores, metric, RECOMMEND, RETRIEVE, later) for metric in measured]
        cards += [
            _list_headline(scores, metric, RECOMMEND_NEW, RETRIEVE_NEW, new, ", new to the user")
            for metric in ("recall@10", "ndcg@10")
        ]
    else:
        cards = [_list_headline(scores, metric, RETRIEVE, RECOMMEND, later) for metric in measured]
    if scores.has(RMSE):
        cards.append(_rating_headline(scores))
    if scores.has(AUC):
        auc = scores.value(AUC)
        good = None if math.isnan(auc) else auc > 0.5
        verdict = "" if good is None else f"{'above' if good else 'not above'} chance"
        cards.append(Headline("Positive AUC", formats.score(auc), (("chance", "0.5"),), verdict, good))
    return cards


def _list_headline(
    scores: Scores, metric: str, rival: str, beside: str, baselines: Sequence[str], suffix: str = ""
) -> Headline:
    """A metric of the model, beside its other list and the baselines; the strongest is to be beaten."""
    value = scores.value(f"{rival}/{metric}")
    known = {name: scores.value(f"{name}/{metric}") for name in (beside, *baselines)}
    known = {name: other for name, other in known.items() if not math.isnan(other)}
    rated = [(other, name) for name, other in known.items() if name in baselines]
    best, name = max(rated, default=(math.nan, ""))
    if metric in _UNJUDGED:
        value_only = tuple((_inline(name), formats.score(other)) for name, other in known.items())
        return Headline(label(metric) + suffix, formats.score(value), value_only, "", None)
    verdict = ""
    if not math.isnan(value) and best > 0:
        verdict = f"{formats.times(value / best)} {_inline(name)}"
    return Headline(
        label(metric) + suffix,
        formats.score(value),
        tuple((_inline(name), formats.score(other)) for name, other in known.items()),
        verdict,
        None if math.isnan(value) or math.isnan(best) else value > best,
    )


def _inline(rival: str) -> str:
    """A rival's name within a sentence."""
    return NAMES[rival] if NAMES[rival] == NAMES[IALS] else NAMES[rival].lower().replace("knn", "kNN")


def _rating_headline(scores: Scores) -> Headline:
    rmse, mean = scores.value(RMSE), scores.value(MEAN_RMSE)
    ratio = rmse / mean if mean else math.nan
    return Headline(
        "Rating RMSE",
        formats.score(rmse),
        (("item mean", formats.score(mean)),),
        "" if math.isnan(ratio) else f"{abs(1 - ratio):.1%} {'less' if ratio < 1 else 'more'} error",
        None if math.isnan(ratio) else is_better(RMSE, rmse, mean),
    )


def list_table(scores: Scores, split: str) -> MetricTable:
    """Metrics of the lists over all later interactions, and of the model pushed before."""
    return _list_table(scores, f"{split}: lists", scores.later_rivals, EVALUATED_POSITIVES)


def new_table(scores: Scores, split: str) -> MetricTable:
    """Metrics of the lists over interactions with candidates new to the user."""
    return _list_table(scores, f"{split}: new to the user", scores.new_rivals, EVALUATED_NEW)


def _list_table(scores: Scores, caption: str, rivals: Sequence[str], counted: str) -> MetricTable:
    columns = [(rival, "candidate") for rival in rivals]
    columns += [(rival, "baseline") for rival in rivals[:2] if scores.has_baseline]
    rows = []
    for metric in (*LIST_METRICS, _ANN_RECALL):
        if scores.has(f"{rivals[0]}/{metric}"):
            values = [scores.value(f"{rival}/{metric}", model=model) for rival, model in columns]
            name = "Index recall@100" if metric == _ANN_RECALL else label(metric)
            compared = 0 if metric in _UNJUDGED else len(rivals)
            rows.append((name, _cells(values, f"{rivals[0]}/{metric}", compared)))
    headers = [NAMES[rival] + (" before" if model == "baseline" else "") for rival, model in columns]
    of = formats.count(scores.value(counted)) if scores.has(counted) else "the"
    return MetricTable(f"{caption}, over {of} positive interactions", tuple(headers), tuple(rows))


def funnel_table(scores: Mapping[str, Scores]) -> MetricTable | None:
    """What the cascade keeps of the ranker's choice; None where that was not measured.

    Args:
        scores: By split.
    """
    known = {split: s for split, s in scores.items() if s.has(f"{FUNNEL}/overlap@100")}
    if not known:
        return None
    rows = [(text, f"{FUNNEL}/{name}") for name, text in _FUNNEL_LABELS.items()]
    rows[6:6] = [
        ("Of the held-out positives, in the ranker's best 10", f"{EXACT_RANKER}/recall@10"),
        ("NDCG@10 of the ranker's best 10", f"{EXACT_RANKER}/ndcg@10"),
    ]
    headers = (
        f"{split.capitalize()}, of {formats.count(s.value(EVALUATED_RANKED))}" for split, s in known.items()
    )
    cells = ((text, _cells([s.value(name) for s in known.values()], name, 0)) for text, name in rows)
    return MetricTable("The cascade, over sampled positive interactions", tuple(headers), tuple(cells))


def judgement_table(scores: Scores, split: str) -> MetricTable | None:
    """Metrics of the predicted rating and probability; only of those the model has, None without any."""
    heads = [
        (f"{head.capitalize()} {text}", f"{head}/{name}", "")
        for head in scores.heads
        for name, text in _HEAD_LABELS.items()
    ]
    known = [judgement for judgement in (*_RATING_JUDGEMENTS, *heads) if scores.has(judgement[1])]
    if not known:
        return None
    rated = scores.has(RMSE)
    rows = []
    for name, model, other in known:
        values = [scores.value(model), *([scores.value(other)] if rated else [])]
        values += [scores.value(model, model="baseline")] if scores.has_baseline else []
        rows.append((name, _cells(values, model, 2 if rated else 1)))
    headers = (
        "Model",
        *(("Item mean",) if rated else ()),
        *(("Model before",) if scores.has_baseline else ()),
    )
    of = formats.count(scores.value(EVALUATED)) if scores.has(EVALUATED) else "all"
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
