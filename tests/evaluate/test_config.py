"""The evaluation section of a domain file, held against what the domain measures."""

import pydantic
import pytest

from components.evaluate.config import EvaluationConfig, metric_names
from components.ingest.errors import UserError
from pipeline.domain import load_domain


@pytest.mark.parametrize(
    "section",
    [{"floors": {"retrieve/recal@10": 0.1}}, {"ceilings": {"rmse": 1}}, {"regression_gates": ["mrr"]}],
)
def test_an_unknown_metric_is_refused_with_those_that_exist(declaration, section):
    config = EvaluationConfig.model_validate(section)
    with pytest.raises(ValueError, match=r"there is no metric '\S+'; expected one of: .*retrieve/recall@10"):
        config.check(declaration.interactions)


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"ceilings": {"rating/rmse": 1}}, r"'rating/rmse' where interactions\.rating is not declared"),
        ({"floors": {"positive/auc": 0.5}}, r"'positive/auc' where every interaction is positive"),
        (
            {"regression_gates": ["recommend_new/mrr"]},
            r"'recommend_new/mrr' where evaluation\.repeats is false",
        ),
        (
            {"floors": {"recommend/mrr": 0, "ials/mrr": 0}, "baselines": {"ials": False}},
            r"'ials/mrr' where evaluation\.baselines turns that one off",
        ),
    ],
)
def test_a_metric_of_other_domains_is_refused_with_the_reason(unrated, section, reason):
    config = EvaluationConfig.model_validate(section)
    with pytest.raises(ValueError, match=reason) as refused:
        config.check(unrated.interactions)
    assert "rating/ndcg@10" not in str(refused.value), "only what the domain has is offered"


def test_defaults_for_metrics_that_a_domain_has_not_are_no_mistake(declaration, unrated):
    for log in (declaration.interactions, unrated.interactions):
        EvaluationConfig().check(log)
        EvaluationConfig(repeats=True, floors={"recommend/ndcg@10_own_frequent_lift": 0.0}).check(log)


def test_a_section_that_leaves_no_bound_is_refused(declaration, unrated):
    with pytest.raises(ValueError, match="no floor and no ceiling"):
        EvaluationConfig(floors={}, ceilings={}).check(declaration.interactions)
    only_rating_is_left = EvaluationConfig(floors={})
    only_rating_is_left.check(declaration.interactions)
    with pytest.raises(ValueError, match="no floor and no ceiling"):
        only_rating_is_left.check(unrated.interactions)


def test_the_domain_file_is_refused_with_the_key(tmp_path):
    with pytest.raises(
        UserError, match=r"  evaluation: .*floors: there is no metric 'retrieve/recal@10'; exp"
    ):
        load_domain("movielens", ['evaluation={"floors": {"retrieve/recal@10": 0.1}}'])


def test_a_section_survives_json():
    config = EvaluationConfig(floors={"retrieve/mrr": 0.5}, regression_gates=("positive/auc",))
    assert EvaluationConfig.model_validate_json(config.model_dump_json()) == config
    with pytest.raises(pydantic.ValidationError, match="max_interactions"):
        EvaluationConfig(max_interactions=0)


def test_no_metric_is_named_twice(declaration):
    names = metric_names(declaration.interactions, EvaluationConfig(repeats=True))
    assert len(set(names)) == len(names)


def test_losing_to_popularity_is_a_reason_not_to_bless_unless_a_domain_says_otherwise():
    floors = EvaluationConfig().floors
    for metric in ("recall@10", "recall@100", "ndcg@10"):
        assert floors[f"recommend/{metric}_lift"] == 0.0
    assert not [name for name in floors if "ials" in name], "losing to iALS is said, but blocks nothing"
    assert EvaluationConfig(floors={"retrieve/mrr": 0.1}).floors == {"retrieve/mrr": 0.1}
