"""Which index a catalogue gets, and how many leaves it searches."""

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.build_index import TuningQueries, build_index
from components.assemble.config import AssembleConfig
from components.assemble.index import ExactIndex
from components.assemble.ivf_index import IvfIndex
from components.assemble.scann_index import ScannIndex
from components.assemble.tuning import CurvePoint, Tuning, tune
from components.ingest.errors import UserError


def clustered(n, seed):
    centres = np.random.default_rng(0).normal(size=(50, 16))
    random = np.random.default_rng(seed)
    noise = 0.4 * random.normal(size=(n, 16))
    return (centres[random.integers(50, size=n)] + noise).astype(np.float32)


def formless(n, seed):
    return np.random.default_rng(seed).normal(size=(n, 64)).astype(np.float32)


CANDIDATES, QUERIES = clustered(3000, 1), TuningQueries(clustered(150, 2), "queries of the test")


def build(**settings):
    return build_index(tf.constant(CANDIDATES), QUERIES, AssembleConfig(exact_below=0, **settings))


@pytest.fixture(scope="module", params=["scann", "ivf"])
def built(request):
    return build(index=request.param)


def test_an_approximate_index_is_tuned_to_the_recall_asked_for_with_the_fewest_leaves(built):
    tuning = built.report.tuning
    assert isinstance(built.index, {"scann": ScannIndex, "ivf": IvfIndex}[built.report.kind])
    assert built.index.leaves_to_search == tuning.leaves_to_search < tuning.leaves
    assert built.index.reorder == tuning.reorder == tuning.chosen.reorder
    assert tuning.chosen.recall >= 0.98
    with_fewer = [p.recall for p in tuning.curve if p.leaves == tuning.leaves_to_search - 1]
    assert with_fewer
    assert max(with_fewer) < 0.98


def test_what_scann_orders_anew_is_tuned_beside_its_leaves():
    tuning = build(index="scann").report.tuning
    points = {(point.reorder, point.leaves): point.recall for point in tuning.curve}
    tried = sorted({reorder for reorder, _ in points}, reverse=True)
    # 16 x 100 would be more than half of the candidates.
    assert tried == [8, 4]
    fewest = [min(n for r, n in points if r == reorder and points[r, n] >= 0.98) for reorder in tried]
    assert fewest == sorted(fewest)
    assert tuning.leaves_to_search == dict(zip(tried, fewest, strict=True))[tuning.reorder]
    # Nothing is ordered anew for nothing, however the clock ran.
    assert not any(
        reorder < tuning.reorder and leaves == tuning.leaves_to_search and recall >= 0.98
        for (reorder, leaves), recall in points.items()
    )


def test_a_recall_that_no_number_of_leaves_reaches_is_reached_by_ordering_more_anew():
    candidates, queries = formless(8000, 7), formless(50, 8)
    index = ScannIndex(ExactIndex(tf.constant(candidates)), 20)
    tuning = tune(index, index._exact, queries, 50, 0.99)
    assert tuning.chosen.recall >= 0.99
    assert tuning.reorder > 4
    rows = index.search_leaves(tf.constant(queries), *map(tf.constant, (50, 20, 4)))[1].numpy()
    exact = np.argsort(-(queries @ candidates.T), axis=1)[:, :50]
    assert np.mean([len(set(a) & set(b)) / 50 for a, b in zip(rows, exact, strict=True)]) < 0.99


def test_the_recall_on_the_curve_is_the_share_of_the_exact_best(built):
    exact = np.argsort(-(QUERIES.embeddings @ CANDIDATES.T), axis=1)[:, :100]
    _, rows = built.index.search(tf.constant(QUERIES.embeddings), tf.constant(100))
    shares = [len(set(a) & set(b)) / 100 for a, b in zip(rows.numpy(), exact, strict=True)]
    assert built.report.tuning.chosen.recall == pytest.approx(np.mean(shares), abs=2e-3)


def test_the_curve_rises_with_the_candidates_visited_and_says_what_they_cost(built):
    curve = built.report.tuning.line
    assert len(curve) >= 3
    for values in ([p.leaves for p in curve], [p.visited for p in curve], [p.recall for p in curve]):
        assert (np.diff(values) > -1e-3).all()
    assert all(0 < point.visited <= 1 and point.milliseconds > 0 for point in curve)
    assert built.report.tuning.exact_milliseconds > 0


def test_other_queries_of_the_same_kind_find_as_much(built):
    queries = clustered(150, 3)
    exact = np.argsort(-(queries @ CANDIDATES.T), axis=1)[:, :100]
    _, rows = built.index.search(tf.constant(queries), tf.constant(100))
    assert np.mean([len(set(a) & set(b)) / 100 for a, b in zip(rows.numpy(), exact, strict=True)]) >= 0.96


def test_the_report_says_in_words_what_was_chosen(built):
    said = built.report.in_words()
    assert said.startswith(f"{built.report.kind} over 3,000 candidates: ")
    assert "target 0.98" in said
    assert said.endswith("tuned on 150 queries of the test")


def test_share_of_candidates_visited_is_that_of_the_leaves_searched():
    index = IvfIndex(ExactIndex(tf.constant(CANDIDATES)), 100)
    point = tune(index, index._exact, QUERIES.embeddings, 100, 0.5).curve[0]
    assert point.leaves == 1
    best = np.argmax(QUERIES.embeddings @ index.centroids.T, axis=1)
    assert point.visited == pytest.approx(index.sizes[best].mean() / 3000)


def test_a_catalogue_below_the_bound_is_searched_exactly_and_the_report_says_why():
    built = build_index(tf.constant(CANDIDATES), QUERIES, AssembleConfig(index="ivf"))
    assert built.index is built.exact
    assert built.report.in_words() == (
        "exact over 3,000 candidates, not ivf: below 4,000 candidates exact search is no slower "
        "(assemble.exact_below)"
    )


@pytest.mark.parametrize("index", ["scann", "ivf"])
def test_a_catalogue_too_small_for_leaves_is_searched_exactly_even_without_a_bound(index):
    config = AssembleConfig(index=index, exact_below=0)
    built = build_index(tf.constant(CANDIDATES[:15]), None, config)
    assert built.index is built.exact
    assert built.report.kind == "exact"


def test_an_index_that_cannot_reach_its_target_gives_way_to_exact_search():
    built = build(index="ivf", ann_recall=1.0, leaves=5)
    assert built.index is built.exact
    last = built.report.tuning.curve[-1]
    assert built.report.reason == f"even {last.in_words(built.report.tuning)} (assemble.ann_recall)"
    assert built.report.tuning.chosen is None
    assert built.report.tuning.line == built.report.tuning.curve


def test_a_point_says_in_words_how_much_is_searched_and_scored_anew():
    point = CurvePoint(leaves=23, reorder=8, visited=0.0148, recall=0.98152, milliseconds=0.3)
    tuning = Tuning(
        k=100,
        target=0.98,
        queries=5,
        leaves=1000,
        leaves_to_search=23,
        reorder=8,
        curve=(point,),
        exact_milliseconds=1,
    )
    assert tuning.chosen == point
    assert point.in_words(tuning) == (
        "23 of 1,000 leaves (1.5% of the candidates, 800 scored anew) find 0.9815 of the exact 100 best, "
        "target 0.98"
    )


def test_an_inverted_file_that_would_score_most_candidates_gives_way_to_exact_search():
    queries = TuningQueries(formless(50, 6), "noise")
    config = AssembleConfig(index="ivf", exact_below=0, ann_recall=0.999)
    built = build_index(tf.constant(formless(2000, 5)), queries, config)
    assert built.index is built.exact
    assert built.report.tuning.leaves_to_search is None
    assert 0.3 < built.report.tuning.curve[-1].visited <= 0.5


def test_without_queries_perturbed_candidates_stand_in():
    built = build_index(tf.constant(CANDIDATES), None, AssembleConfig(index="ivf", exact_below=0))
    assert built.report.tuned_on == "perturbed candidates"
    assert built.report.tuning.queries == 1000
    assert built.report.tuning.chosen.recall >= 0.98


def test_candidates_alike_count_as_found_whichever_of_them_are():
    twins = tf.constant(np.repeat(CANDIDATES[:300], 10, axis=0))
    index = IvfIndex(ExactIndex(twins), 20)
    tuning = tune(index, index._exact, QUERIES.embeddings, 5, 0.999)
    assert tuning.curve[-1].recall >= 0.999


@pytest.mark.parametrize("index", ["scann", "ivf", "exact"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_no_index_is_built_over_embeddings_that_are_not_finite_and_the_candidates_are_named(index, value):
    embeddings = CANDIDATES.copy()
    embeddings[[4, 2999], 3] = value
    config = AssembleConfig(index=index, exact_below=0)
    ids = np.array([b"film-%d" % row for row in range(3000)], object)
    price = np.where(np.isfinite(embeddings[:, 3:4]), 1.0, value)
    with pytest.raises(UserError, match=r"2 of 3,000 candidates .*'film-4', 'film-2999'.*price is not fin"):
        build_index(tf.constant(embeddings), QUERIES, config, ids, {"price": price})
    with pytest.raises(UserError, match=r"'row 4', 'row 2999'.*training diverged"):
        build_index(tf.constant(embeddings), QUERIES, config)
