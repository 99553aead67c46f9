"""What is measured, under which names, and which values a model must reach to be blessed.

A metric is named ``<rival>/<metric>``. Rivals that retrieve or rank a list of candidates:

- ``retrieve``: the model's retrieval, through the served index;
- ``recommend``: the model end to end, retrieval re-ranked;
- ``popularity``: the candidates with the most positive train interactions, the same for everybody.

Rivals that judge one query and candidate:

- ``rating``: the model's predicted rating;
- ``positive``: the model's probability that the interaction is positive;
- ``candidate_mean``: the candidate's mean rating in train.
"""

from __future__ import annotations

from typing import Final

from pydantic import Field, field_validator, model_validator

from components.ingest.strict import Strict

RETRIEVE: Final = "retrieve"
RECOMMEND: Final = "recommend"
POPULARITY: Final = "popularity"
RATING: Final = "rating"
POSITIVE_PROBABILITY: Final = "positive"
CANDIDATE_MEAN: Final = "candidate_mean"
EXACT: Final = "exact"
"""Predictions only: retrieval without the index, the yardstick of ``retrieve/ann_recall@100``."""

RETRIEVED: Final = 100
"""How many candidates every rival is asked for."""
LIST_METRICS: Final = ("recall@10", "recall@100", "ndcg@10", "mrr", "coverage@10")
"""Computed for each list of candidates; see :mod:`components.evaluate.metrics` for the formulas."""
LIFTED: Final = ("recall@10", "recall@100", "ndcg@10")
"""List metrics whose difference to ``popularity`` is a metric too: ``recall@10_lift`` and so on."""

LOWER_IS_BETTER: Final = frozenset({"rating/rmse", "rating/rmse_ratio", "candidate_mean/rmse"})


def metric_names() -> tuple[str, ...]:
    """All metrics a floor, a ceiling or the regression gate may name."""
    names = [f"{rival}/{metric}" for rival in (RETRIEVE, RECOMMEND, POPULARITY) for metric in LIST_METRICS]
    names += [f"{rival}/{metric}_lift" for rival in (RETRIEVE, RECOMMEND) for metric in LIFTED]
    names += [f"{RETRIEVE}/ann_recall@100"]
    names += [f"{rival}/{metric}" for rival in (RATING, CANDIDATE_MEAN) for metric in ("rmse", "ndcg@10")]
    names += [f"{RATING}/rmse_ratio", f"{POSITIVE_PROBABILITY}/auc"]
    return tuple(names)


def _known(names: object) -> object:
    for name in names if isinstance(names, (dict, list, tuple)) else ():
        if name not in metric_names():
            raise ValueError(
                f"there is no metric {name!r}; expected one of: {', '.join(sorted(metric_names()))}"
            )
    return names


class EvaluationConfig(Strict):
    """When a model is good enough to be pushed. All bounds hold over the whole eval split."""

    floors: dict[str, float] = Field(
        default={
            "retrieve/recall@100_lift": 0.0,
            "retrieve/ann_recall@100": 0.9,
            "positive/auc": 0.55,
        },
        description="Metric to the least value that is blessed. The defaults ask that retrieval is no "
        "worse than popularity, that the index finds what exact search finds, and that the ranking model "
        "has learnt something (0.5 is chance).",
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

    @model_validator(mode="after")
    def _bounds_something(self) -> EvaluationConfig:
        if not self.floors and not self.ceilings:
            raise ValueError(
                "no floor and no ceiling: a first model, which has no baseline, could never be blessed; "
                'give at least one, if only {"retrieve/recall@10": 0.0}'
            )
        return self

    _metrics_exist = field_validator("floors", "ceilings", "regression_gates")(_known)
