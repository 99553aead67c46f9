"""What is measured, under which names, and which values a model must reach to be blessed.

A metric is named ``<rival>/<metric>``. Rivals that retrieve or rank a list of candidates:

- ``retrieve``: the model's retrieval, through the served index;
- ``recommend``: the model end to end, retrieval re-ranked;
- ``popularity``: the candidates with the most positive train interactions, the same for everybody.

Where a query may meet a candidate again (``repeats``), these lists may hold what the history holds, and
there are

- ``own_frequent``: the candidates the query's history holds most often, the later one first where that is
  equal, followed by the most popular others: "buy it again";
- ``retrieve_new``, ``recommend_new``, ``popularity_new``: the lists without what the history holds, over the
  interactions with candidates that are new to the query.

Rivals that judge one query and candidate:

- ``rating``: the model's predicted rating; only where a rating is declared;
- ``positive``: the model's probability that the interaction is positive; only where the log can hold others;
- ``candidate_mean``: the candidate's mean rating in train; beside ``rating``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pydantic import Field

from components.ingest.declaration import Interactions
from components.ingest.strict import Strict

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

RETRIEVED: Final = 100
"""How many candidates every rival is asked for."""
ALL_LATER: Final = (RETRIEVE, RECOMMEND, POPULARITY)
"""Makers of lists, always measured, over all positive interactions."""
NEW_TO_QUERY: Final = (RETRIEVE_NEW, RECOMMEND_NEW, POPULARITY_NEW)
"""Makers of lists over interactions with candidates that are new to the query; only under ``repeats``."""
RANK_METRICS: Final = ("recall@10", "recall@100", "ndcg@10", "mrr")
"""Computed for each maker of lists; see :mod:`components.evaluate.metrics` for the formulas."""
LIST_METRICS: Final = (*RANK_METRICS, "coverage@10")
"""Computed for the makers of ``ALL_LATER``."""
LIFTED: Final = ("recall@10", "recall@100", "ndcg@10")
"""List metrics whose difference to a baseline is a metric too, named by :func:`lift_name`."""

LOWER_IS_BETTER: Final = frozenset({"rating/rmse", "rating/rmse_ratio", "candidate_mean/rmse"})


def list_rivals(repeats: bool) -> tuple[str, ...]:
    """The makers of lists."""
    return (*ALL_LATER, OWN_FREQUENT, *NEW_TO_QUERY) if repeats else ALL_LATER


def list_metrics(rival: str) -> tuple[str, ...]:
    """What is computed for a maker of lists, lifts apart."""
    return LIST_METRICS if rival in ALL_LATER else RANK_METRICS


def baselines(repeats: bool) -> dict[str, tuple[str, ...]]:
    """The model's makers of lists, and which baselines each is held against."""
    if not repeats:
        return {RETRIEVE: (POPULARITY,), RECOMMEND: (POPULARITY,)}
    return {
        RETRIEVE: (POPULARITY,),
        RECOMMEND: (POPULARITY, OWN_FREQUENT),
        RETRIEVE_NEW: (POPULARITY_NEW,),
        RECOMMEND_NEW: (POPULARITY_NEW,),
    }


def lift_name(metric: str, baseline: str) -> str:
    """The name of a metric's difference to a baseline: ``recall@10_lift`` where that is popularity."""
    return f"{metric}_{OWN_FREQUENT}_lift" if baseline == OWN_FREQUENT else f"{metric}_lift"


def metric_names(interactions: Interactions, repeats: bool) -> tuple[str, ...]:
    """All metrics of a domain: what a floor, a ceiling or the regression gate may name.

    Args:
        interactions: says whether there are ratings, and interactions that are not positive.
        repeats: as in :class:`EvaluationConfig`.
    """
    return (
        *_list_metric_names(repeats),
        *(_RATING_METRICS if interactions.rating else ()),
        *(_POSITIVE_METRICS if interactions.has_negatives else ()),
    )


_RATING_METRICS: Final = (
    *(f"{rival}/{metric}" for rival in (RATING, CANDIDATE_MEAN) for metric in ("rmse", "ndcg@10")),
    f"{RATING}/rmse_ratio",
)
_POSITIVE_METRICS: Final = (f"{POSITIVE_PROBABILITY}/auc",)


def _list_metric_names(repeats: bool) -> tuple[str, ...]:
    names = [f"{rival}/{metric}" for rival in list_rivals(repeats) for metric in list_metrics(rival)]
    names += [
        f"{rival}/{lift_name(metric, baseline)}"
        for rival, against in baselines(repeats).items()
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
    max_interactions: int = Field(
        default=20_000,
        gt=0,
        description="Evaluate at most so many interactions of a split, drawn by a hash of query, candidate "
        "and time: always the same ones.",
    )
    floors: dict[str, float] = Field(
        default={
            "retrieve/recall@100_lift": 0.0,
            "retrieve/ann_recall@100": 0.9,
            "positive/auc": 0.55,
        },
        description="Metric to the least value that is blessed. The defaults ask that retrieval is no "
        "worse than popularity, that the index finds what exact search finds, and that the ranking model "
        "has learnt something (0.5 is chance). A default for a metric that a domain has not is left out.",
    )
    ceilings: dict[str, float] = Field(
        default={"rating/rmse_ratio": 1.0},
        description="Metric to the greatest value that is blessed. The default asks that the rating "
        "error is no greater than that of predicting each candidate's mean.",
    )
    regression_gates: tuple[str, ...] = Field(
        default=(
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
        description="Tolerated loss against the pushed model, as a share of its value. A pushed model "
        "whose value is exactly 0 admits no share of it, so that such a gate always fails.",
    )

    def check(self, interactions: Interactions) -> None:
        """Holds the bounds against what a domain measures.

        Args:
            interactions: of the domain.

        Raises:
            ValueError: If a bound that was given, not a default, names a metric the domain has not; or if
                no floor and no ceiling is left.
        """
        known = metric_names(interactions, self.repeats)
        given: Mapping[str, object] = {
            field: getattr(self, field)
            for field in ("floors", "ceilings", "regression_gates")
            if field in self.model_fields_set
        }
        for field, names in given.items():
            for name in names if isinstance(names, (dict, tuple)) else ():
                if name not in known:
                    raise ValueError(
                        f"{field}: there is no metric {name!r}{_why_absent(name)}; "
                        f"expected one of: {', '.join(sorted(known))}"
                    )
        if not set(known).intersection([*self.floors, *self.ceilings]):
            raise ValueError(
                "no floor and no ceiling: a first model, which has no baseline, could never be blessed; "
                'give at least one, if only {"retrieve/recall@10": 0.0}'
            )


def _why_absent(name: str) -> str:
    """Why a metric that other domains have is none of this one; empty where none has it."""
    if name in _RATING_METRICS:
        return " where interactions.rating is not declared"
    if name in _POSITIVE_METRICS:
        return " where every interaction is positive"
    if name in _list_metric_names(repeats=True):
        return " where evaluation.repeats is false"
    return ""
