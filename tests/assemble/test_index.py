"""Exact and approximate search over candidate embeddings."""

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.index import ExactIndex
from components.assemble.ivf_index import IvfIndex
from components.assemble.leaves import centroid
from components.assemble.scann_index import ScannIndex

KINDS = [ScannIndex, IvfIndex]


def embeddings(n, width=8, seed=0):
    return tf.constant(np.random.default_rng(seed).normal(size=(n, width)), tf.float32)


def heavy_tailed(n, width=8):
    """Clusters of very different sizes and vectors of very different lengths; many are alike."""
    random = np.random.default_rng(4)
    centres = random.normal(size=(40, width))
    cluster = np.minimum(random.zipf(1.5, n) - 1, 39)
    lengths = random.lognormal(sigma=0.7, size=(n, 1))
    vectors = (centres[cluster] + 0.1 * random.normal(size=(n, width))) * lengths
    vectors[: n // 5] = vectors[0]
    return tf.constant(vectors, tf.float32)


def reference(candidates, queries, k):
    scores = queries.numpy() @ candidates.numpy().T
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, order, 1), order


def search_leaves(index, queries, k, leaves, reorder=32):
    return [t.numpy() for t in index.search_leaves(queries, *map(tf.constant, (k, leaves, reorder)))]


def recall(rows, expected):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(rows, expected, strict=True)])


def members(index, leaf):
    """Rows of the members of an IVF leaf."""
    end = index._ends.numpy()[leaf]
    rows = index._rows.numpy()[end - index._counts.numpy()[leaf] : end]
    return rows[rows >= 0]


@pytest.fixture(scope="module")
def built():
    """An index of each kind over the same two thousand candidates."""
    candidates = embeddings(2000)
    return {kind: (candidates, kind(ExactIndex(candidates), 45)) for kind in KINDS}


@pytest.mark.parametrize("k", [1, 5, 30])
def test_exact_search_is_a_sorted_matrix_product(k):
    candidates, queries = embeddings(30), embeddings(4, seed=1)
    scores, rows = ExactIndex(candidates).search(queries, tf.constant(k))
    expected_scores, expected_rows = reference(candidates, queries, k)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5)
    np.testing.assert_array_equal(rows, expected_rows)


@pytest.mark.parametrize("kind", KINDS)
def test_with_most_leaves_nearly_all_is_found_that_exact_search_finds(built, kind):
    candidates, index = built[kind]
    queries = embeddings(64, seed=1)
    scores, rows = search_leaves(index, queries, 100, 32, reorder=4)
    assert recall(rows, reference(candidates, queries, 100)[1]) >= 0.95
    assert (np.diff(scores, axis=1) <= 0).all(), "best first"


@pytest.mark.parametrize("batch", [1, 64])
def test_scann_finds_more_the_more_it_orders_anew(built, batch):
    candidates, index = built[ScannIndex]
    queries = embeddings(batch, seed=1)
    _, expected = reference(candidates, queries, 20)
    recalls = [recall(search_leaves(index, queries, 20, 45, reorder)[1], expected) for reorder in (1, 4, 32)]
    assert recalls[0] < recalls[1] <= recalls[2]
    assert recalls[2] > 0.99


@pytest.mark.parametrize("batch", [1, 2, 7, 300])
def test_ivf_over_all_leaves_is_exact_search_at_any_batch(built, batch):
    candidates, index = built[IvfIndex]
    queries = embeddings(batch, seed=2)
    scores, rows = search_leaves(index, queries, 50, index.leaves)
    expected_scores, expected_rows = reference(candidates, queries, 50)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-4, atol=1e-5)
    assert (rows == expected_rows).mean() > 0.99, "but for scores that differ by rounding"


@pytest.mark.parametrize("batch", [1, 40])
def test_ivf_finds_the_best_of_the_leaves_it_looks_into(built, batch):
    candidates, index = built[IvfIndex]
    queries = embeddings(batch, seed=3)
    scores, rows = search_leaves(index, queries, 20, 3)
    nearest = np.argsort(-(queries.numpy() @ index.centroids.T), axis=1)[:, :3]
    for i in range(batch):
        inside = np.concatenate([members(index, leaf) for leaf in nearest[i]])
        everything = candidates.numpy()[inside] @ queries.numpy()[i]
        np.testing.assert_allclose(scores[i], np.sort(everything)[::-1][:20], rtol=1e-4, atol=1e-5)
        assert set(rows[i]) <= set(inside)


@pytest.mark.parametrize("leaves", [1, 7, 30, 150])
def test_ivf_looks_into_the_best_of_many_leaves(leaves):
    candidates = embeddings(1600, seed=6)
    index = IvfIndex(ExactIndex(candidates), 170)
    queries = embeddings(5, seed=3)
    scores, _ = search_leaves(index, queries, 5, leaves)
    nearest = np.argsort(-(queries.numpy() @ index.centroids.T), axis=1)[:, :leaves]
    for i in range(5):
        inside = np.concatenate([members(index, leaf) for leaf in nearest[i]])
        best = np.sort(candidates.numpy()[inside] @ queries.numpy()[i])[::-1][:5]
        np.testing.assert_allclose(scores[i, : len(best)], best, rtol=1e-4, atol=1e-5)
        assert np.isneginf(scores[i, len(best) :]).all()


def test_a_centroid_is_nearer_to_long_members():
    # (5 I + 1.5 (1 0; 0 4))^-1 2.5 (1 (1, 0) + 4 (0, 2)), for squares of 1 and 4.
    np.testing.assert_allclose(
        centroid(np.array([[1, 0], [0, 2]], np.float32)), [2.5 / 6.5, 20 / 11], rtol=1e-6
    )


def test_a_centroid_of_members_alike_is_their_mean():
    np.testing.assert_allclose(centroid(np.array([[3, 4], [3, 4]], np.float32)), [3, 4], rtol=1e-6)
    np.testing.assert_array_equal(centroid(np.zeros((3, 4), np.float32)), np.zeros(4))


def test_a_centroid_minimises_the_weighted_loss():
    members = embeddings(30, seed=7).numpy()
    squares = np.square(members).sum(axis=1)

    def loss(chosen):
        residuals = members - chosen
        along = np.square((residuals * members).sum(axis=1)) / squares
        across = np.square(residuals).sum(axis=1) - along
        return (squares * (2.5 * along + across)).sum()

    found = centroid(members)
    for step in np.concatenate([np.eye(8), -np.eye(8)]):
        assert loss(found) < loss(found + 0.01 * step)


def test_ivf_over_uneven_candidates_loses_none_and_keeps_leaves_small():
    candidates = heavy_tailed(3000)
    index = IvfIndex(ExactIndex(candidates), 60)
    assert index.sizes.sum() == 3000
    assert index.sizes.max() <= 4 * 3000 / 60
    rows = np.concatenate([members(index, leaf) for leaf in range(index.leaves)])
    np.testing.assert_array_equal(np.sort(rows), np.arange(3000))
    queries = embeddings(9, seed=5)
    scores, _ = search_leaves(index, queries, 700, index.leaves)
    np.testing.assert_allclose(scores, reference(candidates, queries, 700)[0], rtol=1e-4, atol=1e-4)


def test_ivf_is_the_same_when_built_again(built):
    candidates, index = built[IvfIndex]
    again = IvfIndex(ExactIndex(candidates), 45)
    np.testing.assert_array_equal(again.centroids, index.centroids)
    np.testing.assert_array_equal(again.sizes, index.sizes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_for_everything_is_answered_exactly(built, kind):
    candidates, index = built[kind]
    queries = embeddings(3, seed=1)
    index.tune(1, 1, 10)
    scores, _ = index.search(queries, tf.constant(2000))
    np.testing.assert_allclose(scores, reference(candidates, queries, 2000)[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_that_hold_too_few_leave_places_empty_not_wrong(built, kind):
    candidates, index = built[kind]
    queries = embeddings(8, seed=1)
    scores, rows = search_leaves(index, queries, 90, 1)
    assert scores.shape == rows.shape == (8, 90)
    empty = np.isneginf(scores)
    assert empty.any()
    real = queries.numpy() @ candidates.numpy().T
    np.testing.assert_allclose(
        np.take_along_axis(real, rows, 1)[~empty], scores[~empty], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_larger_request_searches_more_leaves(built, kind):
    _, index = built[kind]
    queries = embeddings(8, seed=1)
    index.tune(1, 8, 10)
    scores, _ = index.search(queries, tf.constant(200))
    expected, _ = search_leaves(index, queries, 200, 20, reorder=8)
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_partition_the_candidates(built, kind):
    candidates, index = built[kind]
    assert index.sizes.sum() == 2000
    assert index.centroids.shape == (index.leaves, candidates.shape[1])
    assert np.isfinite(index.centroids).all()


def test_scann_on_too_few_candidates_says_so():
    with pytest.raises(ValueError, match="at least 16 candidates, found 15"):
        ScannIndex(ExactIndex(embeddings(15)), 4)


@pytest.mark.parametrize("n", [16, 17, 40])
def test_scann_works_from_its_minimum_on(n):
    candidates = embeddings(n)
    _, rows = ScannIndex(ExactIndex(candidates), 4).search(candidates, tf.constant(1))
    assert rows.shape == (n, 1)


@pytest.mark.parametrize("n", [1, 2, 40])
def test_ivf_works_over_few_candidates_and_an_empty_batch(n):
    index = IvfIndex(ExactIndex(embeddings(n)), min(n, 4))
    for batch in (0, 3):
        scores, rows = search_leaves(index, embeddings(batch), 1, 1)
        assert scores.shape == rows.shape == (batch, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_batch_has_an_empty_answer(built, kind):
    scores, rows = search_leaves(built[kind][1], embeddings(0), 7, 3)
    assert scores.shape == rows.shape == (0, 7)
