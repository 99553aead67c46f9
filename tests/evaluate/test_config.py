"""The evaluation section of a domain file."""

import pydantic
import pytest

from components.evaluate.config import EvaluationConfig, metric_names
from components.evaluate.results import read_metrics, read_validation


@pytest.mark.parametrize(
    "section",
    [{"floors": {"retrieve/recal@10": 0.1}}, {"ceilings": {"rmse": 1}}, {"regression_gates": ["mrr"]}],
)
def test_an_unknown_metric_is_refused_with_those_that_exist(section):
    with pytest.raises(
        pydantic.ValidationError, match=r"there is no metric .*expected one of: .*retrieve/recall@10"
    ):
        EvaluationConfig.model_validate(section)


def test_a_section_without_any_bound_is_refused():
    with pytest.raises(pydantic.ValidationError, match="no floor and no ceiling"):
        EvaluationConfig(floors={}, ceilings={})


def test_every_metric_that_can_be_bounded_is_computed(evaluate, toy):
    evaluated = evaluate(toy, [("ann", "a", 5.0, []), ("bob", "a", 1.0, [])])
    computed = {f"{v.rival}/{v.name}" for v in read_metrics(evaluated.uri)}
    assert set(metric_names()) <= computed


def test_each_metric_can_carry_each_bound(evaluate, toy):
    out_of_reach = EvaluationConfig(
        floors=dict.fromkeys(metric_names(), 1e6), ceilings={}, regression_gates=()
    )
    evaluated = evaluate(toy, [("ann", "a", 5.0, []), ("bob", "a", 1.0, [])], out_of_reach)
    failures = read_validation(evaluated.uri)
    assert {failure.metric for failure in failures} == set(metric_names())
    assert all(failure.value is not None for failure in failures)


def test_a_section_survives_json():
    config = EvaluationConfig(floors={"retrieve/mrr": 0.5}, regression_gates=("positive/auc",))
    assert EvaluationConfig.model_validate_json(config.model_dump_json()) == config
