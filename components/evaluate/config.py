"""What is measured, under which names, and which values a model must reach to be blessed.

A metric is named ``<rival>/<metric>``. Rivals that retrieve or rank a list of candidates:

- ``retrieve``: the model's retrieval, through the served index;
- ``recommend``: the model end to end, retrieval re-ranked;
- ``popularity``: the candidates with the most positive train interactions, the same for everybody;
- ``ials``, ``item_knn``: the trained baselines of :mod:`components.baselines`, unless turned off; the query's
  own history is folded in, so that they know of a new query what the model knows.

Where a query may meet a candidate again (``repeats``), these lists may hold what the history holds, and
there are

- ``own_frequent``: the candidates the query's history holds most often, the later one first where that is
  equal, followed by the most popular others: "buy it again";
- ``retrieve_new``, ``recommend_new``, ``popularity_new``, ``ials_new``, ``item_knn_new``: the lists without
  what the history holds, over the interactions with candidates that are new to the query.

Measured on a bounded sample of the interactions (``ranked_pairs``):

- ``exact_ranker``: every candidate of the catalogue ordered by its final score, the cascade's upper bound;
- ``funnel``: how much of its choice the cascade keeps, see :class:`components.evaluate.funnel.FunnelShare`.

Rivals that judge one query and candidate:

- ``rating``: the model's predicted rating; only where a rating is declared;
- each head of the ranker that is a probability, under its own name, such as ``positive``: only where the log
  can hold both what it says yes and what it says no to;
- ``candidate_mean``: the candidate's mean rating in train; beside ``rating``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import Field

from components.baselines.config import IALS, ITEM_KNN, BaselinesConfig
from components.ingest.declaration import Interactions
from components.ingest.strict import Count, Strict
from components.ranking.heads import Head

RETRIEVE: Final = "retrieve"
RECOMMEND: Final = "recommend"
POPULARITY: Final = "popularity"
OWN_FREQUENT: Final = "own_frequent"
RETRIEVE_NEW: Final = "retrieve_new"
RECOMMEND_NEW: Final = "recommend_new"
POPULARITY_NEW: Final = "popularity_new"
RATING: Final = "rating"
POSITIVE_PROBABILITY: Final = "positive"
CANDIDATE_MEAN: Final = "candidate_mean"
EXACT: Final = "exact"
"""Predictions only: retrieval without the index, the yardstick of ``retrieve/ann_recall@100``."""

EXACT_RANKER: Final = "exact_ranker"
FUNNEL: Final = "funnel"

RETRIEVED: Final = 100
"""How many candidates every rival is asked for."""
ALL_LATER: Final = (RETRIEVE, RECOMMEND, POPULARITY)
"""Makers of lists, always measured, over all positive interactions."""
TRAINED: Final = (IALS, ITEM_KNN)
"""The trained baselines, of which each may be turned off."""
RANK_METRICS: Final = ("recall@10", "recall@100", "ndcg@10", "mrr")
"""Of a maker of lists: how far up what was chosen is."""
LIST_METRICS: Final = (*RANK_METRICS, "coverage@10", "novelty@10", "popularity_bias@10")
"""All of a maker of lists; see :mod:`components.evaluate.list_metrics` for the formulas."""
LIFTED: Final = ("recall@10", "recall@100", "ndcg@10")
"""List metrics whose difference to a baseline is a metric too, named by :func:`lift_name`."""

FUNNEL_METRICS: Final = (
    "overlap@100",
    "top10_retrieved",
    "top10_delivered",
    "top10_kept",
    "positives_delivered",
    "positives_kept",
    "rank_correlation",
)
"""Of the funnel; see :class:`components.evaluate.funnel.FunnelShare` for what they are."""
LOG_LOSS: Final = "log_loss"
_HEAD_METRICS: Final = ("auc", "ndcg@10", LOG_LOSS, "calibration")
RELIABILITY: Final = "reliability"
"""A plot of how often what is given a probability comes true."""

_LOWER_IS_BETTER: Final = frozenset({"rating/rmse", "rating/rmse_ratio", "candidate_mean/rmse"})


def lower_is_better(metric: str) -> bool:
    """Whether of two values of ``<rival>/<metric>`` the smaller one is better."""
    return metric in _LOWER_IS_BETTER or metric.endswith(f"/{LOG_LOSS}")


def over_new(rival: str) -> str:
    """The name of a maker of lists where it is measured over candidates new to the query."""
    return f"{rival}_new"


def new_to_query(trained: Sequence[str]) -> tuple[str, ...]:
    """Makers of lists over interactions with candidates that are new to the query; only under ``repeats``."""
    return tuple(over_new(rival) for rival in (*ALL_LATER, *trained))


def all_later(repeats: bool, trained: Sequence[str]) -> tuple[str, ...]:
    """Makers of lists over all positive interactions."""
    return (*ALL_LATER, *([OWN_FREQUENT] if repeats else []), *trained)


def list_rivals(repeats: bool, trained: Sequence[str]) -> tuple[str, ...]:
    """The makers of lists.

    Args:
        repeats: as in :class:`EvaluationConfig`.
        trained: those of ``TRAINED`` that are not turned off.
    """
    return (*all_later(repeats, trained), *(new_to_query(trained) if repeats else ()))


def baselines(repeats: bool, trained: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The model's makers of lists, and which baselines each is held against."""
    against = {
        RETRIEVE: (POPULARITY, *trained),
        RECOMMEND: (POPULARITY, *([OWN_FREQUENT] if repeats else []), *trained),
    }
    if repeats:
        others = tuple(over_new(rival) for rival in (POPULARITY, *trained))
        against |= {RETRIEVE_NEW: others, RECOMMEND_NEW: others}
    return against


def lift_name(metric: str, baseline: str) -> str:
    """The name of a metric's difference to a baseline: ``recall@10_lift`` where that is popularity."""
    baseline = baseline.removesuffix(over_new(""))
    return f"{metric}_lift" if baseline == POPULARITY else f"{metric}_{baseline}_lift"


def measured_heads(interactions: Interactions, heads: Sequence[Head]) -> tuple[Head, ...]:
    """The probability heads whose label can be both 0 and 1 in a log."""
    actions = set(interactions.actions.weights) if interactions.actions else set()
    return tuple(
        head
        for head in heads
        if head.kind == "probability"
        and (not actions <= set(head.actions) if head.actions else interactions.has_negatives)
    )


def head_metrics(interactions: Interactions) -> tuple[str, ...]:
    """The metrics of each probability head.

    Where the log holds no negatives the ranker learns from drawn ones, what is most probably next: that
    orders logged interactions, but is no share of them.
    """
    return _HEAD_METRICS if interactions.has_negatives else _HEAD_METRICS[:2]


def metric_names(
    interactions: Interactions, heads: Sequence[Head], config: EvaluationConfig
) -> tuple[str, ...]:
    """All metrics of a domain: what a floor, a ceiling or the regression gate may name.

    Args:
        interactions: says whether there are ratings, and interactions that are not positive.
        heads: of the ranker.
        config: says which makers of lists there are.
    """
    return (
        *_list_metric_names(config.repeats, config.baselines.kinds),
        *(_FUNNEL_METRIC_NAMES if config.ranked_pairs else ()),
        *(_RATING_METRICS if interactions.rating else ()),
        *(
            f"{head.name}/{metric}"
            for head in measured_heads(interactions, heads)
            for metric in head_metrics(interactions)
        ),
    )


_RATING_METRICS: Final = (
    *(f"{rival}/{metric}" for rival in (RATING, CANDIDATE_MEAN) for metric in ("rmse", "ndcg@10")),
    f"{RATING}/rmse_ratio",
)
_FUNNEL_METRIC_NAMES: Final = (
    *(f"{EXACT_RANKER}/{metric}" for metric in RANK_METRICS),
    *(f"{FUNNEL}/{metric}" for metric in FUNNEL_METRICS),
)


_OTHER_RIVALS: Final = frozenset(
    {*new_to_query(TRAINED), *all_later(True, TRAINED), EXACT, EXACT_RANKER, FUNNEL, CANDIDATE_MEAN}
)


Bound = Annotated[float, Field(ge=-1_000_000_000, le=1_000_000_000)]


def metric_range(metric: str) -> tuple[float, float]:
    """The least and the greatest value that ``<rival>/<metric>`` can have."""
    if metric.endswith("_lift") or metric == f"{FUNNEL}/rank_correlation":
        return -1.0, 1.0
    unbounded = ("rmse", "rmse_ratio", "novelty@10", "popularity_bias@10", LOG_LOSS, "calibration")
    return 0.0, math.inf if metric.endswith(tuple(f"/{name}" for name in unbounded)) else 1.0


def _list_metric_names(repeats: bool, trained: Sequence[str]) -> tuple[str, ...]:
    names = [f"{rival}/{metric}" for rival in list_rivals(repeats, trained) for metric in LIST_METRICS]
    names += [
        f"{rival}/{lift_name(metric, baseline)}"
        for rival, against in baselines(repeats, trained).items()
        for baseline in against
        for metric in LIFTED
    ]
    return (*names, f"{RETRIEVE}/ann_recall@100")


class EvaluationConfig(Strict):
    """What is measured, and when a model is good enough to be pushed; bounds hold over the whole split."""

    repeats: bool = Field(
        default=False,
        description="Whether a query may meet a candidate again, as with groceries or songs. If so, lists "
        "may hold what the history holds, and are measured beside the query's own most frequent candidates; "
        "and a second time without it, over candidates that are new to the query.",
    )
    max_interactions: Count = Field(
        default=20_000,
        description="Evaluate at most so many interactions of a split, drawn by a hash of query, candidate "
        "and time: always the same ones.",
    )
    ranked_pairs: int = Field(
        default=5_000_000,
        ge=0,
        le=1_000_000_000_000,
        description="The ranker over the exact catalogue is asked for as many interactions as make so many "
        "pairs of a query and a candidate, drawn by a hash; for all of them where the catalogue is small. 0: "
        "not at all, and there is no funnel.",
    )
    baselines: BaselinesConfig = BaselinesConfig()
    floors: dict[str, Bound] = Field(
        default={
            **{f"{RECOMMEND}/{lift_name(metric, POPULARITY)}": 0.0 for metric in LIFTED},
            "retrieve/ann_recall@100": 0.9,
            "positive/auc": 0.55,
        },
        description="Metric to the least value that is blessed. The defaults ask that recommendations are no "
        "worse than popularity, that the index finds what exact search finds, and that the ranking model "
        "has learnt something (0.5 is chance). A default for a metric that a domain has not is left out.",
    )
    ceilings: dict[str, Bound] = Field(
        default={"rating/rmse_ratio": 1.0},
        description="Metric to the greatest value that is blessed. The default asks that the rating "
        "error is no greater than that of predicting each candidate's mean.",
    )
    regression_gates: tuple[str, ...] = Field(
        default=(
            "recommend/recall@10",
            "recommend/ndcg@10",
            "retrieve/recall@10",
            "retrieve/recall@100",
            "retrieve/ndcg@10",
            "positive/auc",
            "rating/rmse",
        ),
        description="Metrics that must not fall behind the pushed model's, measured on the same split.",
    )
    max_regression: float = Field(
        default=0.1,
        ge=0,
        lt=1,
        description="Tolerated loss against the pushed model, as a share of its value. A pushed model "
        "whose value is exactly 0 admits no share of it, so that such a gate always fails.",
    )

    def check(self, interactions: Interactions, heads: Sequence[Head]) -> None:
        """Holds the bounds against what a domain measures.

        Args:
            interactions: of the domain.
            heads: of the ranker.

        Raises:
            ValueError: If a bound that was given, not a default, names a metric the domain has not, or one
                that never has such a value; if no
                floor and no ceiling is left; or if a head is called like another rival.
        """
        for head in heads:
            if head.name in _OTHER_RIVALS:
                raise ValueError(
                    f"ranking.heads: a head cannot be called {head.name!r}, which is what else is evaluated; "
                    f"expected none of {', '.join(sorted(_OTHER_RIVALS))}"
                )
        known = metric_names(interactions, heads, self)
        given: Mapping[str, object] = {
            field: getattr(self, field)
            for field in ("floors", "ceilings", "regression_gates")
            if field in self.model_fields_set
        }
        for field, names in given.items():
            for name in names if isinstance(names, (dict, tuple)) else ():
                if name not in known:
                    raise ValueError(
                        f"{field}: there is no metric {name!r}{_why_absent(name, self)}; "
                        f"expected one of: {', '.join(sorted(known))}"
                    )
        for field, bounds in (("floors", self.floors), ("ceilings", self.ceilings)):
            for name, bound in bounds.items() if field in given else ():
                least, greatest = metric_range(name)
                if not least <= bound <= greatest:
                    raise ValueError(
                        f"{field}: {name} is {bound:g}, but that metric is "
                        + (f"from {least:g} to {greatest:g}" if greatest < math.inf else f"{least:g} or more")
                        + ". Write a share, not per cent"
                    )
        if not set(known).intersection([*self.floors, *self.ceilings]):
            raise ValueError(
                "no floor and no ceiling: a first model, which has no baseline, could never be blessed; "
                'give at least one, if only {"retrieve/recall@10": 0.0}'
            )


def _why_absent(name: str, config: EvaluationConfig) -> str:
    """Why a metric that other domains have is none of this one; empty where none has it."""
    if name in _RATING_METRICS:
        return " where interactions.rating is not declared"
    if name in [f"{POSITIVE_PROBABILITY}/{metric}" for metric in _HEAD_METRICS]:
        return " where every interaction is positive"
    if name in _FUNNEL_METRIC_NAMES:
        return " where evaluation.ranked_pairs is 0"
    if name in _list_metric_names(config.repeats, TRAINED):
        return " where evaluation.baselines turns that one off"
    if name in _list_metric_names(True, TRAINED):
        return " where evaluation.repeats is false"
    return ""
