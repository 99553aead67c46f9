"""The funnel's numbers, against the same in plain Python, and its sample."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from components.evaluate.config import FUNNEL_METRICS
from components.evaluate.funnel import drawn, exact_lists, funnel
from components.evaluate.list_metrics import UNFILLED


def made(batch=7, catalogue=150, seed=1):
    random = np.random.default_rng(seed)
    retrieval, final = random.normal(size=(2, batch, catalogue))
    excluded = random.integers(UNFILLED, catalogue, size=(batch, 9))
    retrieved = np.argsort(-retrieval, axis=1)[:, :130]
    # More than a hundred, and some left out.
    delivered = retrieved[:, np.arange(130) % 9 > 0]
    recommended = np.array([sorted(row, key=lambda c: -final[i, c]) for i, row in enumerate(delivered)])
    held_out = random.integers(0, catalogue, size=batch)
    held_out[0] = -2
    return retrieval, final, excluded, retrieved, delivered, recommended, held_out


def test_the_exact_list_is_everything_allowed_best_first():
    _, final, excluded, *_ = made()
    for i, found in enumerate(exact_lists(final, excluded)):
        expected = [c for c in np.argsort(-final[i]) if c not in excluded[i]]
        assert found.tolist() == expected[:100]


def test_a_small_catalogue_leaves_places_unfilled():
    final, excluded = np.array([[3.0, 1.0, 2.0], [1.0, 2.0, 3.0]]), np.array([[0], [UNFILLED]])
    found = exact_lists(final, excluded)
    assert found.shape == (2, 100)
    assert [row[row != UNFILLED].tolist() for row in found] == [[2, 1], [2, 1, 0]]


def test_each_share_is_that_by_hand():
    retrieval, final, excluded, retrieved, delivered, recommended, held_out = made()
    exact = exact_lists(final, excluded)
    found = funnel(retrieval, final, excluded, exact, retrieved, delivered, recommended, held_out)
    for i, row in enumerate(found):
        allowed = [c for c in range(150) if c not in excluded[i]]
        expected = {
            "overlap@100": np.mean([c in delivered[i][:100] for c in exact[i]]),
            "top10_retrieved": np.mean([c in retrieved[i] for c in exact[i][:10]]),
            "top10_delivered": np.mean([c in delivered[i] for c in exact[i][:10]]),
            "top10_kept": np.mean([c in recommended[i][:10] for c in exact[i][:10]]),
            "positives_delivered": float(held_out[i] in delivered[i]),
            "positives_kept": float(held_out[i] in recommended[i][:10]),
            "rank_correlation": spearmanr(retrieval[i][allowed], final[i][allowed]).statistic,
        }
        assert dict(zip(FUNNEL_METRICS, row, strict=True)) == pytest.approx(expected)


def test_one_order_correlates_fully_and_no_order_not_at_all():
    retrieval = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])
    final = np.array([[10.0, 30.0, 70.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0]])
    nothing = np.full((3, 1), UNFILLED)
    lists = exact_lists(final, nothing)
    found = funnel(retrieval, final, nothing, lists, lists, lists, lists, np.zeros(3, int))
    assert found[:, FUNNEL_METRICS.index("rank_correlation")] == pytest.approx([1, -1, 0])


def test_the_sample_is_of_about_so_many_pairs_and_a_larger_one_holds_a_smaller():
    identity = [np.array([f"q{i}".encode() for i in range(5000)], object), np.array([b"c"] * 5000, object)]
    small, large = (drawn(pairs, 100, 5000, identity) for pairs in (50_000, 100_000))
    assert 400 < small.sum() < 600 and 900 < large.sum() < 1100
    assert not (small & ~large).any()
    assert drawn(500_000, 100, 5000, identity).all()
