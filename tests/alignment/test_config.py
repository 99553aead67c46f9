"""What of the section is refused, and what is said of it."""

import pytest

from components.ingest.errors import UserError
from pipeline.domain import load_domain


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("{}", "found neither 'distillation' nor 'preference'.*expected one of them"),
        ("{supervised: 2.0}", "found neither 'distillation' nor 'preference'"),
        ("{preference: {}, candidates: {retrieved: 1}}", r"'candidates.retrieved' is 1; expected 2 or more"),
        (
            "{distillation: {}, candidates: {retrieved: 0, in_batch: 1, uniform: 0}}",
            "judge 1 a query; expected 2",
        ),
        (
            "{distillation: {}, candidates: {retrieved: 64, retrieved_from: 50}}",
            "'retrieved' is 64, more than the 50",
        ),
        ("{distillation: {temperature: 0}}", "alignment.distillation.temperature: found 0"),
        ("{preference: {method: ppo}}", "'policy_gradient' or 'dpo'"),
        ("{distillation: {weight: 0}}", "alignment.distillation.weight: found 0"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_what_was_expected(section, said):
    with pytest.raises(UserError, match=said):
        load_domain("movielens", [f"alignment={section}"])


def test_a_ranker_without_a_part_in_the_final_score_has_nothing_to_teach():
    with pytest.raises(UserError, match=r"assemble.weights gives no head .* give one, such as"):
        load_domain("movielens", ["alignment={distillation: {}}", "assemble.weights={retrieval: 1}"])


def test_the_towers_are_built_as_their_section_says_and_trained_as_alignment_s_does():
    domain = load_domain(
        "movielens",
        ["alignment={distillation: {}, epochs: 2, seed: 5}", "retrieval.strategy=mirrored"],
    )
    assert domain.aligned
    training = domain.aligned.training(domain.retrieval)
    assert (training.epochs, training.seed, training.strategy) == (2, 5, "one_device")
    assert training.history == domain.retrieval.history and training.loss == domain.retrieval.loss
    assert training.optimizer == domain.aligned.optimizer
