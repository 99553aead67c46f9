"""The evaluation section of a domain file, held against what the domain measures."""

import pydantic
import pytest

from components.evaluate.config import EvaluationConfig, measured_heads, metric_names
from components.ingest.declaration import Interactions
from components.ingest.errors import UserError
from components.ranking.config import RankingConfig
from components.ranking.heads import Head, resolved_heads
from pipeline.domain import load_domain

POSITIVE = (Head("positive", "probability"),)


@pytest.mark.parametrize(
    "section",
    [{"floors": {"retrieve/recal@10": 0.1}}, {"ceilings": {"rmse": 1}}, {"regression_gates": ["mrr"]}],
)
def test_an_unknown_metric_is_refused_with_those_that_exist(declaration, heads, section):
    config = EvaluationConfig.model_validate(section)
    with pytest.raises(ValueError, match=r"there is no metric '\S+'; expected one of: .*retrieve/recall@10"):
        config.check(declaration.interactions, heads)


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
        (
            {"floors": {"funnel/overlap@100": 0.3}, "ranked_pairs": 0},
            r"'funnel/overlap@100' where evaluation\.ranked_pairs is 0",
        ),
    ],
)
def test_a_metric_of_other_domains_is_refused_with_the_reason(unrated, section, reason):
    config = EvaluationConfig.model_validate(section)
    with pytest.raises(ValueError, match=reason) as refused:
        config.check(unrated.interactions, POSITIVE)
    assert "rating/ndcg@10" not in str(refused.value), "only what the domain has is offered"


def test_defaults_for_metrics_that_a_domain_has_not_are_no_mistake(declaration, unrated):
    for log in (declaration.interactions, unrated.interactions):
        EvaluationConfig().check(log, POSITIVE)
        EvaluationConfig(repeats=True, floors={"recommend/ndcg@10_own_frequent_lift": 0.0}).check(
            log, POSITIVE
        )


def test_a_section_that_leaves_no_bound_is_refused(declaration, unrated):
    with pytest.raises(ValueError, match="no floor and no ceiling"):
        EvaluationConfig(floors={}, ceilings={}).check(declaration.interactions, POSITIVE)
    only_rating_is_left = EvaluationConfig(floors={})
    only_rating_is_left.check(declaration.interactions, POSITIVE)
    with pytest.raises(ValueError, match="no floor and no ceiling"):
        only_rating_is_left.check(unrated.interactions, POSITIVE)


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


def test_no_metric_is_named_twice(declaration, heads):
    names = metric_names(declaration.interactions, heads, EvaluationConfig(repeats=True))
    assert len(set(names)) == len(names)


def actions(**weights):
    sources = [{"files": "log.csv"}]
    keys = {"query_id": "user", "candidate_id": "item", "timestamp": {"column": "at"}}
    return Interactions(sources=sources, **keys, actions={"column": "what", "weights": weights})


def test_heads_are_measured_where_their_label_can_be_both():
    log = actions(view=0, click=1, buy=5)
    heads = resolved_heads(log, RankingConfig())
    assert [head.name for head in measured_heads(log, heads)] == ["positive", "click", "buy"]
    names = metric_names(log, heads, EvaluationConfig())
    assert {"buy/auc", "buy/log_loss", "buy/calibration", "buy/ndcg@10"} <= set(names)
    log = actions(click=1, buy=5)
    heads = resolved_heads(log, RankingConfig())
    assert [head.name for head in measured_heads(log, heads)] == ["buy"], "all have clicked"
    names = metric_names(log, heads, EvaluationConfig())
    assert {name for name in names if name.startswith("buy/")} == {"buy/auc", "buy/ndcg@10"}


def test_a_head_that_is_called_like_a_rival_is_refused():
    log = actions(view=0, popularity=1, buy=5)
    with pytest.raises(ValueError, match="a head cannot be called 'popularity'"):
        EvaluationConfig().check(log, resolved_heads(log, RankingConfig()))


def test_losing_to_popularity_is_a_reason_not_to_bless_unless_a_domain_says_otherwise():
    floors = EvaluationConfig().floors
    for metric in ("recall@10", "recall@100", "ndcg@10"):
        assert floors[f"recommend/{metric}_lift"] == 0.0
    assert {"recommend/recall@10", "recommend/ndcg@10"} <= set(EvaluationConfig().regression_gates)
    assert not [name for name in floors if "ials" in name], "losing to iALS is said, but blocks nothing"
    assert EvaluationConfig(floors={"retrieve/mrr": 0.1}).floors == {"retrieve/mrr": 0.1}
