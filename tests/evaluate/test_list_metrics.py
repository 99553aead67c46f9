"""The list metrics on random lists, against RecTools' numbers and against plain numpy."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow_model_analysis as tfma

from components.evaluate.list_metrics import (
    NOTHING_HELD_OUT,
    OUTSIDE_CATALOGUE,
    UNFILLED,
    Coverage,
    Novelty,
    PopularityBias,
    RankGain,
    encode_lists,
)

_SPEC = importlib.util.spec_from_file_location("random_lists", Path(__file__).with_name("random_lists.py"))
random_lists = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(random_lists)

# What rectools_reference.py prints with RecTools 0.19.0.
RECTOOLS = {
    "recall@10": 0.465,
    "hit_rate@10": 0.465,
    "recall@100": 0.98,
    "hit_rate@100": 0.98,
    "ndcg@10": 0.24357231934749804,
    "mrr": 0.2005286859987919,
    "coverage@10": 0.138,
    "novelty@10": 6.458394722087771,
    "arp@10": 320.585,
    "chosen_popularity": 262.5,
}
METRICS = {
    "recall@10": RankGain("recall@10", 10, "hit"),
    "recall@100": RankGain("recall@100", 100, "hit"),
    "ndcg@10": RankGain("ndcg@10", 10, "discounted"),
    "mrr": RankGain("mrr", 100, "reciprocal"),
    "coverage@10": Coverage("coverage@10"),
    "novelty@10": Novelty("novelty@10"),
    "popularity_bias@10": PopularityBias("popularity_bias@10"),
}


def measured(lists: np.ndarray, held_out: np.ndarray, positives: np.ndarray) -> dict[str, float]:
    """The metrics as TFMA computes them, in two parts that are merged."""
    predictions, labels = encode_lists(lists, held_out, positives)
    examples = [
        {tfma.LABELS_KEY: {"r": label}, tfma.PREDICTIONS_KEY: {"r": prediction}}
        for label, prediction in zip(labels, predictions, strict=True)
    ]
    found = {}
    for name, metric in METRICS.items():
        summary, derived = metric.computations(output_names=["r"], example_weighted=False)
        parts = []
        for part in (examples[::3], [e for i, e in enumerate(examples) if i % 3]):
            accumulator = summary.combiner.create_accumulator()
            for example in part:
                for element in summary.preprocessors[0].process(example):
                    accumulator = summary.combiner.add_input(accumulator, element)
            parts.append(accumulator)
        merged = summary.combiner.merge_accumulators(parts)
        (found[name],) = derived.result(summary.combiner.extract_output(merged)).values()
    return found


@pytest.fixture(scope="module")
def values() -> dict[str, float]:
    return measured(*random_lists.random_lists())


@pytest.mark.parametrize("name", [name for name in METRICS if name in RECTOOLS])
def test_values_are_those_of_rectools(values, name):
    assert values[name] == pytest.approx(RECTOOLS[name], rel=1e-12)


def test_popularity_bias_is_rectools_arp_relative_to_that_of_what_was_chosen(values):
    expected = RECTOOLS["arp@10"] / RECTOOLS["chosen_popularity"]
    assert values["popularity_bias@10"] == pytest.approx(expected, rel=1e-12)


def test_with_one_candidate_held_out_the_hit_rate_is_the_recall():
    for cutoff in (10, 100):
        assert RECTOOLS[f"hit_rate@{cutoff}"] == RECTOOLS[f"recall@{cutoff}"]


@pytest.mark.parametrize("seed", range(3))
def test_short_and_empty_lists_misses_and_nothing_held_out(seed):
    generator = np.random.default_rng(seed)
    positives = generator.integers(0, 9, 40)
    lists = np.stack([generator.permutation(40)[:20] for _ in range(60)])
    lists[np.arange(20) >= generator.integers(0, 21, 60)[:, None]] = UNFILLED
    held_out = generator.integers(0, 40, 60)
    held_out[:5], held_out[5:9] = OUTSIDE_CATALOGUE, NOTHING_HELD_OUT
    found = measured(lists, held_out, positives)
    asked = [(row, [i for i in listed if i >= 0]) for row, listed in zip(held_out, lists, strict=True)]
    asked = [(row, listed) for row, listed in asked if row != NOTHING_HELD_OUT]
    ranks = [listed.index(row) + 1 if row in listed else math.inf for row, listed in asked]
    heads = [listed[:10] for _, listed in asked]
    shown = [(row, head) for (row, _), head in zip(asked, heads, strict=True) if head]
    expected = {
        "recall@10": np.mean([rank <= 10 for rank in ranks]),
        "recall@100": np.mean([rank <= 100 for rank in ranks]),
        "ndcg@10": np.mean([1 / math.log2(rank + 1) if rank <= 10 else 0 for rank in ranks]),
        "mrr": np.mean([1 / rank for rank in ranks]),
        "coverage@10": len(set().union(*heads)) / 40,
        "novelty@10": np.mean(
            [np.mean(-np.log2(np.maximum(positives[h], 1) / positives.sum())) for _, h in shown]
        ),
        "popularity_bias@10": np.mean([positives[head].mean() for _, head in shown])
        / np.mean([positives[row] if row >= 0 else 0 for row, _ in shown]),
    }
    assert found == {name: pytest.approx(value, rel=1e-12) for name, value in expected.items()}


def test_of_nothing_there_is_no_mean():
    found = measured(np.empty((0, 10), int), np.empty(0, int), np.ones(5, int))
    assert all(math.isnan(value) for value in found.values())


@pytest.mark.parametrize("size", [1, 2])
def test_a_catalogue_smaller_than_the_codes_for_no_row_can_be_measured(size):
    held_out = np.array([0, OUTSIDE_CATALOGUE, NOTHING_HELD_OUT])
    lists, numbers = encode_lists(np.zeros((3, size), np.int64), held_out, np.full(size, 7))
    assert lists.tolist() == [[0] * size] * 3
    # Rank, popularity of what was chosen, size; each of the catalogue has one in so many interactions.
    assert numbers[:, 0].tolist() == [1, 0, NOTHING_HELD_OUT]
    assert numbers[:, 1].tolist() == [7, 0, 0]
    assert numbers[:, 2:].tolist() == [[size, math.log2(size), 7]] * 3
