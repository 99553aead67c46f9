"""Settings that do not fit together are refused in words."""

import pytest
from pydantic import ValidationError

from components.retrieval.config import RetrievalConfig


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"dim": 10, "history": {"encoder": "attention", "heads": 4}},
            "'history.heads' is 4, which does not divide 'dim', 10",
        ),
        ({"loss": {"in_batch": False}}, "set 'in_batch: true' or 'uniform_negatives' above 0"),
        (
            {"loss": {"kind": "full_softmax", "hard_negatives": 5}},
            "'hard_negatives' are drawn ones: not with 'full_softmax'",
        ),
        (
            {"loss": {"kind": "full_binary_cross_entropy", "uniform_negatives": 9}},
            "'uniform_negatives' are drawn ones: not with 'full_binary_cross_entropy'",
        ),
        ({"history": {"event_dropout": 1.0}}, "less than 1"),
        ({"optimizer": {"kind": "rmsprop"}}, "'lazy_adam', 'adam', 'adagrad' or 'sgd'"),
        ({"temperature": 0}, "greater than or equal to 0.001"),
        ({"normalize": True}, "Extra inputs are not permitted"),
    ],
)
def test_what_does_not_fit_is_refused(settings, message):
    with pytest.raises(ValidationError, match="validation error") as refused:
        RetrievalConfig(**settings)
    assert message in str(refused.value)


def test_heads_need_not_divide_the_width_where_nothing_attends():
    assert RetrievalConfig(dim=10, history={"heads": 4}).history.encoder == "mean"


def test_binary_cross_entropy_on_labels_alone_needs_no_negatives():
    config = RetrievalConfig(loss={"kind": "binary_cross_entropy", "in_batch": False})
    assert config.loss.uniform_negatives == 0


def test_settings_survive_the_way_through_json():
    config = RetrievalConfig(layers=None, history={"encoder": "attention"}, loss={"hard_negatives": 3})
    assert RetrievalConfig.model_validate_json(config.model_dump_json()) == config


def test_queries_with_nothing_to_tell_them_apart_are_refused():
    blind = RetrievalConfig(query_id=False, history={"encoder": "none"})
    with pytest.raises(ValueError, match="all queries would be alike"):
        blind.check([])
    blind.check(["country"])
    RetrievalConfig(query_id=False).check([])
    RetrievalConfig(history={"encoder": "none"}).check([])
