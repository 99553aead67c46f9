"""Which models are blessed, and what is said of those that are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from components.evaluate.config import EvaluationConfig
from components.evaluate.results import read_metrics, read_validation

# Both readers' later loans; the toy model puts each first, popularity does so for bob only.
INTERACTIONS = [
    ("ann", "a", 5.0, []),
    ("ann", "c", 2.0, []),
    ("ann", "b", 4.0, ["a"]),
    ("bob", "c", 5.0, []),
    ("bob", "a", 3.0, []),
]


def test_a_model_within_all_bounds_is_blessed_when_nothing_was_pushed_before(evaluate, toy):
    evaluated = evaluate(toy, INTERACTIONS, EvaluationConfig())
    assert read_validation(evaluated.uri) == []
    assert evaluated.blessed


def test_a_model_under_a_floor_is_not_blessed_and_the_floor_is_named(evaluate, toy):
    upside_down = dataclasses.replace(toy, stars=6 - toy.stars)
    evaluated = evaluate(upside_down, INTERACTIONS, EvaluationConfig(ceilings={}))
    assert not evaluated.blessed
    (failure,) = read_validation(evaluated.uri)
    assert (failure.metric, failure.slice, failure.kind, failure.bound) == (
        "positive/auc",
        "overall",
        "floor",
        0.55,
    )
    assert str(failure) == f"positive/auc {failure.value:.4g} is below its floor 0.55"


def test_a_model_above_a_ceiling_is_not_blessed(evaluate, toy):
    evaluated = evaluate(toy, INTERACTIONS, EvaluationConfig(floors={}, ceilings={"rating/rmse": 0.1}))
    assert not evaluated.blessed
    (failure,) = read_validation(evaluated.uri)
    assert (failure.metric, failure.kind) == ("rating/rmse", "ceiling")
    assert "is above its ceiling 0.1" in str(failure)


def test_a_bound_holds_overall_and_not_in_each_slice(evaluate, toy):
    gate = EvaluationConfig(floors={"retrieve/mrr": 0.9}, ceilings={})
    late = [*INTERACTIONS * 5, ("ann", "c", 5.0, ["b"] * 6)]
    evaluated = evaluate(toy, late, gate)
    values = {(v.slice, f"{v.rival}/{v.name}"): v.value for v in read_metrics(evaluated.uri)}
    assert min(value for (_, name), value in values.items() if name == "retrieve/mrr") < 0.9
    assert evaluated.blessed


def test_a_model_that_predicts_nan_is_not_blessed(evaluate, toy):
    evaluated = evaluate(
        dataclasses.replace(toy, stars=np.full_like(toy.stars, np.nan)), INTERACTIONS, EvaluationConfig()
    )
    assert not evaluated.blessed
    assert "rating/rmse_ratio is not a number; its ceiling is 1" in map(str, read_validation(evaluated.uri))


def test_a_model_that_lost_against_the_pushed_one_is_not_blessed(evaluate, toy):
    worse = dataclasses.replace(toy, scores=-toy.scores)
    gate = EvaluationConfig(
        floors={"retrieve/recall@10": 0.0},
        ceilings={},
        regression_gates=("retrieve/ndcg@10", "rating/rmse"),
        max_regression=0.1,
    )
    evaluated = evaluate(worse, INTERACTIONS, gate, toy)
    assert not evaluated.blessed
    (failure,) = read_validation(evaluated.uri)
    assert (failure.metric, failure.kind, failure.bound) == (
        "retrieve/ndcg@10",
        "regression",
        pytest.approx(0.1),
    )
    assert failure.value < failure.baseline
    assert "is worse than the pushed model's" in str(failure)


def test_a_loss_within_the_tolerance_is_blessed(evaluate, toy):
    worse = dataclasses.replace(toy, scores=-toy.scores)
    gate = EvaluationConfig(
        floors={"retrieve/recall@10": 0.0},
        ceilings={},
        regression_gates=("retrieve/ndcg@10",),
        max_regression=0.9,
    )
    assert evaluate(worse, INTERACTIONS, gate, toy).blessed


def test_a_model_is_measured_beside_a_baseline_with_another_catalogue(evaluate, toy):
    older = dataclasses.replace(
        toy, books=["0", "a", "b"], scores=toy.scores[:, [2, 0, 1]], stars=toy.stars[:, [2, 0, 1]]
    )
    evaluated = evaluate(toy, INTERACTIONS, EvaluationConfig(), older)
    recall = {
        v.model: v.value
        for v in read_metrics(evaluated.uri)
        if (v.slice, v.rival, v.name) == ("overall", "retrieve", "recall@10")
    }
    # The older catalogue lacks c, held out once in three.
    assert recall == {"candidate": 1.0, "baseline": pytest.approx(2 / 3)}
    assert evaluated.blessed


def test_without_a_gate_nothing_is_blessed(evaluate, toy):
    assert not evaluate(toy, INTERACTIONS).blessed
