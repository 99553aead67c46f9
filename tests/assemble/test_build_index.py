"""Which index a catalogue gets, and how many leaves it searches."""

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.build_index import TuningQueries, build_index
from components.assemble.config import AssembleConfig
from components.assemble.index import ExactIndex
from components.assemble.ivf_index import IvfIndex
from components.assemble.scann_index import ScannIndex
from components.assemble.tuning import tune


def clustered(n, seed):
    centres = np.random.default_rng(0).normal(size=(50, 16))
    random = np.random.default_rng(seed)
    noise = 0.4 * random.normal(size=(n, 16))
    return (centres[random.integers(50, size=n)] + noise).astype(np.float32)


CANDIDATES, QUERIES = clustered(3000, 1), TuningQueries(clustered(150, 2), "queries of the test")


def build(**settings):
    return build_index(tf.constant(CANDIDATES), QUERIES, AssembleConfig(exact_below=0, **settings))


@pytest.fixture(scope="module", params=["scann", "ivf"])
def built(request):
    return build(index=request.param)


def test_an_approximate_index_is_tuned_to_the_recall_asked_for_with_the_fewest_leaves(built):
    tuning = built.report.tuning
    recalls = {point.leaves: point.recall for point in tuning.curve}
    assert isinstance(built.index, {"scann": ScannIndex, "ivf": IvfIndex}[built.report.kind])
    assert built.index.leaves_to_search == tuning.leaves_to_search < tuning.leaves
    assert recalls[tuning.leaves_to_search] >= 0.98
    assert recalls[tuning.leaves_to_search - 1] < 0.98


def test_the_recall_on_the_curve_is_the_share_of_the_exact_best(built):
    exact = np.argsort(-(QUERIES.embeddings @ CANDIDATES.T), axis=1)[:, :100]
    _, rows = built.index.search(tf.constant(QUERIES.embeddings), tf.constant(100))
    shares = [len(set(a) & set(b)) / 100 for a, b in zip(rows.numpy(), exact, strict=True)]
    assert built.report.tuning.chosen.recall == pytest.approx(np.mean(shares), abs=2e-3)


def test_the_curve_rises_with_the_candidates_visited_and_says_what_they_cost(built):
    curve = built.report.tuning.curve
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
    built = build(index="scann", ann_recall=1.0, leaves=5)
    assert built.index is built.exact
    assert built.report.reason.startswith("5 of 5 leaves, 100% of the candidates, find but 0.")
    assert "of the exact 100 best, target 1 (assemble.ann_recall)" in built.report.reason
    assert built.report.tuning.curve[-1].leaves == built.report.tuning.leaves


def test_an_inverted_file_that_would_score_most_candidates_gives_way_to_exact_search():
    formless = np.random.default_rng(5).normal(size=(2000, 64)).astype(np.float32)
    queries = TuningQueries(np.random.default_rng(6).normal(size=(50, 64)).astype(np.float32), "noise")
    config = AssembleConfig(index="ivf", exact_below=0, ann_recall=0.999)
    built = build_index(tf.constant(formless), queries, config)
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
