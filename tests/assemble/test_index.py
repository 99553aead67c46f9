"""Exact and approximate search over candidate embeddings."""

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.config import AssembleConfig
from components.assemble.index import ExactIndex, ScannIndex, build_index


def embeddings(n, width=8, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(n, width)), tf.float32)


def reference(candidates, queries, k):
    scores = queries.numpy() @ candidates.numpy().T
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), order


@pytest.mark.parametrize("k", [1, 5, 30])
def test_exact_search_is_a_sorted_matrix_product(k):
    candidates, queries = embeddings(30), embeddings(4, seed=1)
    scores, rows = ExactIndex(candidates).search(queries, tf.constant(k))
    expected_scores, expected_rows = reference(candidates, queries, k)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    np.testing.assert_array_equal(rows, expected_rows)


def test_scann_finds_nearly_all_that_exact_search_finds():
    candidates, queries = embeddings(2000), embeddings(64, seed=1)
    _, index = build_index(candidates, AssembleConfig())
    assert isinstance(index, ScannIndex)
    scores, rows = index.search(queries, tf.constant(100))
    _, expected = reference(candidates, queries, 100)
    recall = np.mean([len(set(a) & set(b)) / 100 for a, b in zip(rows.numpy(), expected, strict=True)])
    assert recall >= 0.95, recall
    assert (np.diff(scores.numpy(), axis=1) <= 0).all(), "best first"


def test_scann_answers_a_request_for_everything_exactly():
    candidates, queries = embeddings(100), embeddings(3, seed=1)
    _, index = build_index(candidates, AssembleConfig())
    _, rows = index.search(queries, tf.constant(100))
    np.testing.assert_array_equal(rows, reference(candidates, queries, 100)[1])


def test_leaves_that_hold_too_few_leave_places_empty_not_wrong():
    candidates, queries = embeddings(400), embeddings(8, seed=1)
    _, index = build_index(candidates, AssembleConfig(leaves=200, search_share=0.005))
    scores, rows = (tensor.numpy() for tensor in index.search(queries, tf.constant(90)))
    empty = np.isneginf(scores)
    assert empty.any()
    real = queries.numpy() @ candidates.numpy().T
    np.testing.assert_allclose(np.take_along_axis(real, rows, 1)[~empty], scores[~empty], rtol=1e-4)


def test_a_catalogue_too_small_for_scann_is_searched_exactly():
    exact, index = build_index(embeddings(15), AssembleConfig(index="scann"))
    assert index is exact


def test_scann_on_too_few_candidates_says_so():
    with pytest.raises(ValueError, match="at least 16 candidates, found 15"):
        ScannIndex(ExactIndex(embeddings(15)), AssembleConfig())


@pytest.mark.parametrize("n", [16, 17, 40])
def test_scann_works_from_its_minimum_on(n):
    candidates = embeddings(n)
    _, index = build_index(candidates, AssembleConfig(search_share=1.0))
    _, rows = index.search(candidates, tf.constant(1))
    assert rows.shape == (n, 1)
