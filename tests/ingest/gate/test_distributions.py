from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from components.ingest.gate.distributions import Distributions, Threshold

TEN_PERCENT = {"l_infinity": 0.1}
NUMBERS = {"jensen_shannon": 0.05}


def test_every_feature_of_the_examples_can_have_a_threshold(declare) -> None:
    wanted = Distributions(
        drift={
            "interactions": {
                **dict.fromkeys(("reader", "isbn", "town", "postcode", "history"), TEN_PERCENT),
                **dict.fromkeys(("stars", "born", "history_age", "positive", "weight", "repeat"), NUMBERS),
            },
            "candidates": {"isbn": TEN_PERCENT, "name": TEN_PERCENT, "shelves": NUMBERS, "pages": NUMBERS},
        },
        skew={"town": NUMBERS},
    )
    wanted.check(declare())
    assert wanted.compares_spans


def test_actions_of_histories_can_have_a_threshold_where_there_are_several(declare) -> None:
    wanted = Distributions(skew=dict.fromkeys(("action", "history_action"), TEN_PERCENT))

    def shop(weights: dict[str, float]) -> Any:
        log = {"rating": None, "actions": {"column": "stars", "weights": weights}}
        return declare(interactions=log)

    wanted.check(shop({"view": 0, "click": 1, "buy": 2}))
    with pytest.raises(ValueError, match=r"distributions\.skew\.history_action: .* have no such feature"):
        wanted.check(shop({"view": 0, "buy": 2}))


def test_nothing_is_compared_unasked() -> None:
    assert not Distributions().compares_spans
    assert not Distributions(skew={"town": TEN_PERCENT}).compares_spans


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        (
            {"skew": {"city": TEN_PERCENT}},
            r"distributions\.skew\.city: interaction examples have no such feature; there are: reader, isbn",
        ),
        (
            {"drift": {"candidates": {"town": TEN_PERCENT}}},
            r"distributions\.drift\.candidates\.town: candidate examples have no such feature",
        ),
        ({"drift": {"interactions": {"action": TEN_PERCENT}}}, "no such feature"),
        ({"skew": {"rated_at": NUMBERS}}, r"skew\.rated_at: a moment always moves on"),
        ({"drift": {"interactions": {"joined": NUMBERS}}}, "a moment always moves on"),
        ({"skew": {"born": TEN_PERCENT}}, r"skew\.born: l_infinity compares categories"),
    ],
)
def test_a_threshold_that_would_compare_nothing_is_refused(
    declare, section: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Distributions(**section).check(declare())


@pytest.mark.parametrize(
    "threshold", [{}, {**TEN_PERCENT, **NUMBERS}, {"l_infinity": 0}, {"jensen_shannon": 1.5}]
)
def test_a_threshold_is_one_measure_between_0_and_1(threshold: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Threshold(**threshold)


def test_a_domain_file_with_a_threshold_of_no_feature_is_refused_with_its_key(tiny) -> None:
    from components.ingest.errors import UserError
    from pipeline.domain import load_domain

    assert load_domain(str(tiny), ["distributions.skew.town.l_infinity=0.3"]).distributions.skew
    with pytest.raises(UserError, match=r"distributions\.skew\.city"):
        load_domain(str(tiny), ["distributions.skew.city.l_infinity=0.3"])
