"""Which models are blessed, and what is said of those that are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.evaluate.config import EvaluationConfig, metric_names
from components.evaluate.results import read_metrics, read_validation

# Both readers' later loans; the toy model puts each first, popularity does so for bob only.
INTERACTIONS = [
    ("ann", "a", 5.0, []),
    ("ann", "c", 2.0, []),
    ("ann", "b", 4.0, ["a"]),
    ("bob", "c", 5.0, []),
    ("bob", "a", 3.0, []),
]


def test_a_model_within_all_bounds_is_blessed_beside_one_with_another_catalogue(evaluate, toy):
    older = dataclasses.replace(
        toy, books=["0", "a", "b"], scores=toy.scores[:, [2, 0, 1]], stars=toy.stars[:, [2, 0, 1]]
    )
    # One loan of many is of a reader with a long history, whose slice alone does not keep the bound.
    late = [*INTERACTIONS * 5, ("ann", "c", 5.0, ["b"] * 6)]
    defaults = EvaluationConfig()
    evaluated = evaluate(toy, late, EvaluationConfig(floors={**defaults.floors, "retrieve/mrr": 0.9}), older)
    assert read_validation(evaluated.uri) == []
    assert evaluated.blessed
    values = read_metrics(evaluated.uri)
    recall = {
        v.model: v.value for v in values if (v.slice, v.rival, v.name) == ("overall", "retrieve", "recall@10")
    }
    # The older catalogue lacks c, held out six times in sixteen.
    assert recall == {"candidate": 1.0, "baseline": pytest.approx(10 / 16)}
    by_slice = {
        v.slice: v.value for v in values if (v.model, v.rival, v.name) == ("candidate", "retrieve", "mrr")
    }
    assert by_slice["query_activity:6-20"] < 0.9 < by_slice["overall"]


def test_each_metric_can_carry_each_bound_and_is_named_where_it_fails(
    evaluate, toy, declaration, heads, no_baselines
):
    measured = EvaluationConfig(repeats=True, baselines=no_baselines)
    names = metric_names(declaration.interactions, heads, measured)
    config = EvaluationConfig(
        repeats=True,
        floors=dict.fromkeys(names[::2], 1e6),
        ceilings=dict.fromkeys(names[1::2], -1e6),
        regression_gates=(),
        max_interactions=4,
    )
    evaluated = evaluate(toy, INTERACTIONS, config)
    failures = {failure.metric: failure for failure in read_validation(evaluated.uri)}
    assert set(failures) == set(names)
    assert not evaluated.blessed
    assert {failures[name].kind for name in names[::2]} == {"floor"}
    assert {failures[name].kind for name in names[1::2]} == {"ceiling"}
    assert {failure.slice for failure in failures.values()} == {"overall"}
    assert all(failure.value is not None for failure in failures.values())
    said = {str(failure) for failure in failures.values()}
    ann_recall = failures["retrieve/ann_recall@100"]
    side = "below its floor 1e+06" if ann_recall.kind == "floor" else "above its ceiling -1e+06"
    assert f"retrieve/ann_recall@100 1 is {side}" in said
    counts = {
        v.value for v in read_metrics(evaluated.uri) if (v.slice, v.name) == ("overall", "interactions")
    }
    assert counts == {4}, "a sample was evaluated"


def test_a_model_that_predicts_nan_is_not_blessed(evaluate, toy):
    evaluated = evaluate(dataclasses.replace(toy, stars=np.full_like(toy.stars, np.nan)), INTERACTIONS)
    assert not evaluated.blessed
    assert "rating/rmse_ratio is not a number; its ceiling is 1" in map(str, read_validation(evaluated.uri))


def test_only_a_loss_beyond_the_tolerance_against_the_pushed_model_is_a_reason(evaluate, toy):
    slightly = toy.stars.copy()
    slightly[2] = slightly[2, ::-1]
    worse = dataclasses.replace(toy, scores=-toy.scores, stars=slightly)
    config = EvaluationConfig(
        floors={"retrieve/recall@10": 0.0},
        ceilings={},
        regression_gates=("retrieve/ndcg@10", "recommend/mrr", "retrieve/recall@10"),
        max_regression=0.1,
    )
    evaluated = evaluate(worse, [*INTERACTIONS * 4, ("cid", "c", 5.0, [])], config, toy)
    assert not evaluated.blessed
    (failure,) = read_validation(evaluated.uri)
    assert (failure.metric, failure.kind, failure.bound) == (
        "retrieve/ndcg@10",
        "regression",
        pytest.approx(0.1),
    )
    assert failure.value < failure.baseline
    assert "is worse than the pushed model's" in str(failure)
    mrr = {
        v.model: v.value
        for v in read_metrics(evaluated.uri)
        if (v.slice, v.rival, v.name) == ("overall", "recommend", "mrr")
    }
    assert 0.9 * mrr["baseline"] < mrr["candidate"] < mrr["baseline"]
