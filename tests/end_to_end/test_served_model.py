"""The pushed SavedModel, asked in a fresh process by TensorFlow and ScaNN alone."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from components.assemble.index_report import read_index_report

SEARCHES = ("retrieve", "recommend", "serving_default")
QUERIES = (
    "known",
    "unknown user",
    "empty history",
    "unknown ids in the history",
    "nothing known",
    "long history",
)


def test_there_are_the_five_signatures_and_recommend_is_the_default(answers):
    assert answers["signatures"] == [
        "embed_candidate",
        "embed_query",
        "rank",
        "recommend",
        "retrieve",
        "serving_default",
    ]
    assert answers["serving_default: known"] == answers["recommend: known"]


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("query", QUERIES)
def test_every_kind_of_query_gets_ten_different_films_best_first(answers, search, query):
    answer = answers[f"{search}: {query}"]
    (ids,), (scores,) = answer["candidate_ids"], answer["scores"]
    assert len(set(ids)) == 10
    assert "" not in ids
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("search", SEARCHES)
def test_k_may_be_one_all_or_more_than_there_is(answers, search):
    size = answers["size"]
    for k, expected in ((1, 1), (size, size), (size + 500, size)):
        (ids,) = answers[f"{search}: k={k}"]["candidate_ids"]
        assert len(ids) == len(set(ids)) == expected
        assert "" not in ids


@pytest.mark.parametrize("search", SEARCHES)
def test_k_below_one_is_refused(answers, search):
    assert "k must be at least 1" in answers[f"{search}: k=0"]


@pytest.mark.parametrize("search", SEARCHES)
def test_excluded_ids_never_come_back(answers, search):
    (before,) = answers[f"{search}: known"]["candidate_ids"]
    (after,) = answers[f"{search}: exclude"]["candidate_ids"]
    assert len(after) == 10
    assert not set(before[:5]) & set(after)


@pytest.mark.parametrize("search", SEARCHES)
def test_what_comes_back_passes_the_filters(answers, movielens, search):
    films = pq.read_table(movielens.root / "data" / "candidates.parquet").to_pylist()
    passing = {
        film["movie_id"]
        for film in films
        if "Animation" in (film["genres"] or "").split() and (film["year"] or 0) >= 1990
    }
    (found,) = answers[f"{search}: animation since 1990"]["candidate_ids"]
    assert len(passing) > 10 and len(set(found)) == 10
    assert set(found) <= passing


def test_with_everything_excluded_the_places_stay_empty(answers):
    answer = answers["retrieve: all excluded"]
    assert answer["candidate_ids"] == [[""] * 5]
    assert answer["scores"] == [[None] * 5], "-inf"


@pytest.mark.parametrize("query", QUERIES)
def test_rank_scores_known_candidates_and_says_nan_of_others(answers, query):
    answer = answers[f"rank: {query}"]
    (rating,), (positive,) = answer["rating"], answer["positive"]
    assert rating[1] is None
    assert positive[1] is None
    assert all(1 < rating[i] < 6 and 0 < positive[i] < 1 for i in (0, 2))


def test_history_changes_the_embedding_and_unknown_ids_do_not(answers):
    def embedding(query):
        return np.array(answers[f"embed_query: {query}"]["embedding"])

    assert not np.allclose(embedding("known"), embedding("empty history"))
    np.testing.assert_allclose(embedding("known"), embedding("unknown ids in the history"), atol=1e-6)


def test_the_user_changes_what_the_ranker_says(answers):
    known, unknown = (answers[f"rank: {query}"]["rating"][0][0] for query in ("known", "unknown user"))
    assert known != pytest.approx(unknown, rel=1e-4)


def test_a_film_outside_the_catalogue_is_embedded_from_its_features(answers):
    known = np.array(answers["embed_candidate: known"]["embedding"])
    unknown = np.array(answers["embed_candidate: unknown"]["embedding"])
    assert np.isfinite(unknown).all()
    assert not np.allclose(known, unknown)


def test_retrieval_scores_are_dot_products_of_the_two_embeddings(answers):
    (ids,), (scores,) = (answers[f"retrieve: k={answers['size']}"][n] for n in ("candidate_ids", "scores"))
    query = np.array(answers["embed_query: known"]["embedding"][0])
    film = np.array(answers["embed_candidate: known"]["embedding"][0])
    assert scores[ids.index("50")] == pytest.approx(query @ film, rel=1e-4)


def test_scann_finds_what_it_was_tuned_to_find_and_most_of_it_for_histories_at_random(movielens, answers):
    report = read_index_report(str(movielens.model))
    assert report.kind == "scann"
    assert report.tuned_on == "queries of the eval split"
    assert report.tuning.chosen.recall >= 0.98
    assert answers["ann agreement"] >= 0.85
