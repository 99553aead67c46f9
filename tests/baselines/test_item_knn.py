"""Item-kNN against cosines by hand and against the library's own recommendations."""

import numpy as np
import pytest
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from scipy.sparse import csr_matrix

from components.baselines.item_knn import fit_item_knn

TASTES = (np.random.default_rng(11).random((30, 8)) < 0.4) * np.random.default_rng(12).integers(1, 4, (30, 8))
DATA = csr_matrix(TASTES.astype(np.float32))


def test_the_cosine_is_that_of_the_columns():
    lengths = np.sqrt((TASTES**2).sum(axis=0))
    expected = TASTES.T @ TASTES / np.outer(lengths, lengths)
    model = fit_item_knn(DATA, similarity="cosine", neighbours=8)
    np.testing.assert_allclose(model.similarity.toarray(), expected, rtol=1e-5)


def test_only_the_most_similar_are_kept():
    everything = fit_item_knn(DATA, similarity="cosine", neighbours=8).similarity.toarray()
    kept = fit_item_knn(DATA, similarity="cosine", neighbours=3).similarity.toarray()
    for row, full in zip(kept, everything, strict=True):
        assert set(np.flatnonzero(row)) == set(np.argsort(-full)[:3])


def test_a_candidate_scores_the_sum_of_its_similarities_to_the_events_repeats_included():
    model = fit_item_knn(DATA, similarity="tf_idf", neighbours=5)
    history = np.zeros((2, 8), np.float32)
    history[0, [1, 4]] = 2, 1
    similarity = model.similarity.toarray()
    scores = model.scores(csr_matrix(history))
    np.testing.assert_allclose(scores[0], 2 * similarity[1] + similarity[4], rtol=1e-6)
    assert not scores[1].any()


@pytest.mark.parametrize(
    ("similarity", "library"),
    [("cosine", CosineRecommender), ("tf_idf", TFIDFRecommender), ("bm25", BM25Recommender)],
)
def test_scores_are_those_of_the_librarys_own_recommendations(similarity, library):
    model = fit_item_knn(DATA, similarity=similarity, neighbours=6)
    own = library(K=6)
    own.fit(DATA, show_progress=False)
    ids, scores = own.recommend(0, DATA[0], N=8, filter_already_liked_items=False)
    np.testing.assert_allclose(model.scores(DATA[0])[0, ids], scores, rtol=1e-4)


def test_a_query_that_has_all_but_one_leaves_no_number_that_is_none():
    data = csr_matrix(np.array([[1, 0, 0], [0, 1, 1]], np.float32))
    assert np.isfinite(fit_item_knn(data, similarity="tf_idf", neighbours=2).similarity.data).all()
