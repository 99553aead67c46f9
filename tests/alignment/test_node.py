"""Where the step stands in the graph."""

import pytest

from pipeline.domain import load_domain
from pipeline.graph import Places, create_pipeline


def made(tmp_path, *overrides):
    pipeline = create_pipeline(load_domain("movielens", overrides), Places(*[str(tmp_path)] * 4))
    return {node.id: node for node in pipeline.components}


def producer(node, name):
    return node.inputs[name].producer_component_id


def test_without_the_section_there_is_no_step_and_the_towers_are_served_as_trained(tmp_path):
    nodes = made(tmp_path)
    assert "AlignmentTrainer" not in nodes
    assert producer(nodes["Assembler"], "retrieval_model") == "RetrievalTrainer"


@pytest.mark.parametrize("part", ["distillation", "preference"])
def test_with_it_the_aligned_towers_are_served_and_the_ranker_keeps_the_first(tmp_path, part):
    nodes = made(tmp_path, f"alignment={{{part}: {{}}}}", "ranking.negatives={uniform: 4, retrieved: 4}")
    assert producer(nodes["AlignmentTrainer"], "retrieval_model") == "RetrievalTrainer"
    assert producer(nodes["AlignmentTrainer"], "ranking_model") == "RankingTrainer"
    assert producer(nodes["RankingTrainer"], "retrieval_model") == "RetrievalTrainer"
    assert producer(nodes["Assembler"], "retrieval_model") == "AlignmentTrainer"
    assert producer(nodes["Assembler"], "ranking_model") == "RankingTrainer"
    # As the report lists curves, and as the local runner runs.
    order = list(nodes)
    assert order.index("RankingTrainer") < order.index("AlignmentTrainer") < order.index("Assembler")
