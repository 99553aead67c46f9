"""Which heads a log and the ranking section make."""

import pytest

from components.ingest.declaration import Interactions
from components.ranking.config import RankingConfig
from components.ranking.heads import Head, resolved_heads


def heads(log, **settings):
    sources = [{"files": "log.csv"}]
    keys = {"query_id": "user", "candidate_id": "item", "timestamp": {"column": "at"}}
    return resolved_heads(Interactions(sources=sources, **keys, **log), RankingConfig(**settings))


def actions(**weights):
    return {"actions": {"column": "what", "weights": weights}}


RATED = {"rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4}}
POSITIVE = Head("positive", "probability")


def test_a_rated_log_has_a_head_for_the_rating_whatever_its_column():
    assert heads(RATED) == (POSITIVE, Head("rating", "value"))


@pytest.mark.parametrize("log", [{}, actions(click=1, view=0)])
def test_a_log_of_one_positive_action_has_the_positive_head_alone(log):
    assert heads(log) == (POSITIVE,)


def test_each_of_several_positive_actions_has_a_head_of_it_and_the_weightier_ones():
    assert heads(actions(view=0, basket=2, click=1, buy=5, gift=5)) == (
        POSITIVE,
        Head("basket", "probability", ("basket", "buy", "gift")),
        Head("click", "probability", ("click", "basket", "buy", "gift")),
        Head("buy", "probability", ("buy",)),
        Head("gift", "probability", ("gift",)),
    )


def test_declared_heads_are_instead_of_those():
    declared = {"sold": ["buy"], "seen": ["view", "click"]}
    assert heads(actions(view=0, click=1, buy=5), heads=declared) == (
        POSITIVE,
        Head("sold", "probability", ("buy",)),
        Head("seen", "probability", ("view", "click")),
    )
    assert heads(actions(click=1, buy=5), heads={}) == (POSITIVE,)


@pytest.mark.parametrize(
    ("log", "settings", "message"),
    [
        (actions(click=1), {"heads": {"sold": ["buy"]}}, "'sold' is of the action 'buy'.*there are: click"),
        (RATED, {"heads": {"sold": ["buy"]}}, "there are: none"),
        (actions(click=1), {"heads": {"rating": ["click"]}}, "cannot be called 'rating'"),
        (actions(scores=1, buy=2), {}, "cannot be called 'scores'.*declare it"),
        (actions(click=1), {"head_weights": {"buy": 2}}, "no head 'buy'; there are: positive"),
    ],
)
def test_what_cannot_be_a_head_is_refused_with_what_can(log, settings, message):
    with pytest.raises(ValueError, match=message):
        heads(log, **settings)
