"""Maximal marginal relevance, against the greedy choice written down in plain numpy."""

import numpy as np
import pytest
import tensorflow as tf

from components.assemble.diversity import most_relevant_and_different
from tests.assemble.test_recommender import by_id, request, search


def greedy(scores, vectors, k, diversity):
    """Places, in the order chosen."""
    filled = np.isfinite(scores)
    if not filled.any():
        return []
    least, best = scores[filled].min(), scores[filled].max()
    relevance = (scores - least) / (best - least) if best > least else np.zeros_like(scores)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    left, chosen = list(np.flatnonzero(filled)), []
    while left and len(chosen) < k:

        def marginal(c):
            alike = max((directions[c] @ directions[s] for s in chosen), default=0.0)
            return (1 - diversity) * relevance[c] - diversity * alike

        best_left = max(left, key=marginal)
        chosen.append(best_left)
        left.remove(best_left)
    return chosen


@pytest.mark.parametrize("diversity", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("k", [1, 7, 30])
def test_each_place_goes_to_the_greatest_marginal_relevance(diversity, k):
    random = np.random.default_rng(int(10 * diversity) + k)
    scores = random.normal(scale=5, size=(4, 30)).astype(np.float32)
    scores[1, [2, 5]], scores[2] = -np.inf, -np.inf
    scores[3, 4:] = -np.inf
    vectors = random.normal(size=(4, 30, 6)).astype(np.float32)
    found, places = most_relevant_and_different(
        tf.constant(scores), tf.constant(vectors), tf.constant(k), tf.constant(diversity)
    )
    assert found.shape == places.shape == (4, k)
    for i in range(4):
        expected = greedy(scores[i].astype(float), vectors[i].astype(float), k, diversity)
        assert places[i].numpy()[: len(expected)].tolist() == expected
        np.testing.assert_allclose(found[i][: len(expected)], scores[i][expected])
        assert np.isneginf(found[i][len(expected) :]).all()


def test_equal_scores_leave_the_choice_to_the_difference():
    vectors = tf.constant([[[1.0, 0.0], [2.0, 0.1], [0.0, 3.0], [-1.0, 0.0]]])
    _, places = most_relevant_and_different(tf.ones([1, 4]), vectors, tf.constant(3), tf.constant(0.3))
    # After the first, the opposite of it; then what is at right angles to both.
    assert places.numpy().tolist() == [[0, 3, 2]]


def test_recommend_diversifies_what_it_ranked(grocer, assemble):
    model = assemble(retrieve=12)
    query = request(grocer.rows[-5:])
    ranked = model.recommend(search(query, 24, ["g03"]))
    few = assemble(retrieve=12).retrieve(search(query, 12, ["g03"]))
    answer = model.recommend({**search(query, 6, ["g03"]), "diversity": tf.constant(0.6)})
    rows = {key: row for row, key in enumerate(grocer.table.ids)}
    for i in range(5):
        scores, positive = by_id(ranked, "scores", i), by_id(ranked, "positive", i)
        keys = [key for key in scores if key in by_id(few, "scores", i)]
        vectors = model.exact.embeddings.numpy()[[rows[key] for key in keys]]
        chosen = [keys[n] for n in greedy(np.array([scores[key] for key in keys]), vectors, 6, 0.6)]
        assert list(by_id(answer, "scores", i)) == chosen
        assert by_id(answer, "scores", i) == pytest.approx({key: scores[key] for key in chosen}, rel=1e-5)
        assert by_id(answer, "positive", i) == pytest.approx({key: positive[key] for key in chosen}, rel=1e-4)


@pytest.mark.parametrize("diversity", [1.0, -0.1, np.nan])
def test_a_diversity_outside_its_bounds_is_refused(grocer, assemble, diversity):
    asked = {**search(request(grocer.rows[:1]), 2), "diversity": tf.constant(diversity, tf.float32)}
    with pytest.raises(tf.errors.InvalidArgumentError, match="diversity must be at least 0 and below 1"):
        assemble().recommend(asked)
