"""The order of popularity: lists and ranks by brute force."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from components.baselines.popularity import PopularityOrder

POSITIVES = np.array([3, 0, 7, 7, 1, 0])
ORDER = PopularityOrder.of(POSITIVES)


def test_the_most_popular_come_first_of_equal_ones_the_first():
    assert ORDER.rows.tolist() == [2, 3, 0, 4, 1, 5]
    assert ORDER.width == 4
    assert ORDER.places(np.array([[2, 4], [1, -1]])).tolist() == [[0, 3], [-1, -1]]


def test_histories_are_counted_without_padding_and_what_nobody_chose():
    counted = ORDER.occurrences(np.array([[2, 0, 2, -1], [-1, 5, 1, -1], [4, -1, -1, -1]]))
    assert counted.toarray().tolist() == [[2, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


SCORES = np.array([[0, 0.5, -1, 2], [0, 0, 0, 0], [1, 1, 0, 1]], np.float32)


def test_what_no_score_is_known_of_follows_by_popularity():
    # Places: of scores above 0 the highest first, then 0 to 5 as they come.
    assert ORDER.best(SCORES, 6).tolist() == [
        [4, 3, 2, 0, 1, 5],
        [2, 3, 0, 4, 1, 5],
        [2, 3, 4, 0, 1, 5],
    ]
    assert ORDER.best(SCORES, 2).tolist() == [[4, 3], [2, 3], [2, 3]]
    assert ORDER.best(SCORES, 100).shape == (3, 6)


@pytest.mark.parametrize("seed", range(4))
def test_ranks_are_places_in_the_list_without_what_is_excluded(seed):
    generator = np.random.default_rng(seed)
    order = PopularityOrder.of(generator.integers(0, 5, 40))
    # Rounded, so that there are ties; a third below 0.
    scores = np.round(generator.normal(0.4, 1, (200, order.width)), 1).astype(np.float32)
    histories = generator.integers(-5, 40, (200, 6))
    held_out = generator.integers(0, 40, 200)
    ranks = order.ranks(scores.copy(), order.occurrences(histories), held_out)
    for rank, listed, history, wanted in zip(ranks, order.best(scores, 40), histories, held_out, strict=True):
        left = [row for row in listed if row not in set(history)]
        known = order.place[wanted] < order.width and wanted not in set(history)
        assert rank == (left.index(wanted) + 1 if known else np.inf)
    nothing = csr_matrix((200, order.width))
    assert (order.ranks(scores, nothing, held_out)[order.place[held_out] < order.width] < np.inf).all()
