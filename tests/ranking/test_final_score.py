"""The declared combination of heads, by hand."""

import math

import numpy as np
import pydantic
import pytest
import tensorflow as tf

from components.assemble.config import AssembleConfig
from components.ingest.errors import UserError
from components.ranking.final_score import FinalScore
from components.ranking.heads import Head
from pipeline.domain import load_domain

HEADS = (Head("positive", "probability"), Head("rating", "value"), Head("buy", "probability", ("buy",)))
RETRIEVED = tf.constant([[1.5, -2.0, -math.inf]])
SAID = {
    "positive": tf.constant([[0.5, 0.25, 0.9]]),
    "rating": tf.constant([[4.0, 2.0, 5.0]]),
    "buy": tf.constant([[0.1, 0.0, 1.0]]),
}


def combined(**settings):
    config = AssembleConfig(**settings)
    return FinalScore(HEADS, config.weights, config.combination)(RETRIEVED, SAID).numpy()[0].tolist()


def test_log_linear_takes_logarithms_of_probabilities_and_values_as_they_are():
    expected = [2 * 1.5 + math.log(0.5) + 0.1 * 4, 2 * -2 + math.log(0.25) + 0.1 * 2, -math.inf]
    weights = {"retrieval": 2.0, "positive": 1.0, "rating": 0.1}
    assert combined(weights=weights) == pytest.approx(expected)


def test_by_default_it_is_the_towers_score_and_the_log_probability_of_a_positive():
    assert combined() == pytest.approx([1.5 + math.log(0.5), -2 + math.log(0.25), -math.inf])


def test_an_expected_value_is_the_sum_of_worth_times_probability():
    found = combined(weights={"positive": 1, "buy": 20, "rating": -0.5}, combination="expected_value")
    assert found == pytest.approx([0.5 + 2 - 2, 0.25 - 1, -math.inf])


def test_a_probability_of_0_is_worse_than_any_other_and_an_empty_place_stays_empty():
    found = combined(weights={"retrieval": 0, "buy": 1})
    assert np.isfinite(found[:2]).all() and found[0] > found[1]
    assert found[2] == -math.inf, "its probability of 1 does not count"


def test_weights_of_unknown_heads_are_refused_with_those_there_are():
    with pytest.raises(UserError, match=r"no head 'click'; there are: retrieval, positive, rating"):
        load_domain("movielens", ["assemble.weights={retrieval: 1, click: 2}"])


@pytest.mark.parametrize("weights", [{}, {"positive": 0.0}, {"positive": math.nan}])
def test_weights_that_say_nothing_are_refused(weights):
    with pytest.raises(pydantic.ValidationError, match="weights"):
        AssembleConfig(weights=weights)
