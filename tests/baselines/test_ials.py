"""iALS against its own normal equations, in plain numpy."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from components.baselines.ials import IALS, fit_ials

GENERATOR = np.random.default_rng(7)
FACTORS = GENERATOR.normal(size=(9, 4)).astype(np.float32)


def folded_in(factors: np.ndarray, occurrences: np.ndarray, regularization: float, alpha: float):
    """(YᵀY + Yᵀ(C − I)Y + λI)⁻¹ YᵀCp."""
    factors = factors.astype(np.float64)
    confidence = np.where(occurrences > 0, alpha * occurrences, 1.0)
    chosen = (occurrences > 0).astype(float)
    gram = factors.T @ factors + factors.T @ np.diag(confidence - 1) @ factors
    gram += regularization * np.eye(factors.shape[1])
    return np.linalg.solve(gram, factors.T @ (confidence * chosen))


@pytest.mark.parametrize("regularization", [0.5, 30.0])
@pytest.mark.parametrize("alpha", [1.0, 4.0])
def test_a_history_is_folded_in_by_the_formula_and_repeats_count(regularization, alpha):
    histories = GENERATOR.integers(0, 3, size=(6, 9)).astype(np.float32)
    histories[0] = 0
    model = IALS(FACTORS, regularization, alpha)
    expected = np.stack([folded_in(FACTORS, history, regularization, alpha) for history in histories])
    np.testing.assert_allclose(model.embed(csr_matrix(histories)), expected, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(
        model.scores(csr_matrix(histories)), expected @ FACTORS.T, rtol=1e-3, atol=1e-4
    )
    assert not model.embed(csr_matrix(histories))[0].any(), "of nothing, nothing is known"


def blocks(queries: int = 40) -> csr_matrix:
    """Two kinds of queries, each with candidates of its own."""
    taste = np.repeat([[1] * 6 + [0] * 6, [0] * 6 + [1] * 6], queries // 2, axis=0)
    return csr_matrix((taste * (np.random.default_rng(3).random(taste.shape) < 0.6)).astype(np.float32))


SETTINGS = {"factors": 2, "regularization": 2.0, "alpha": 4.0, "iterations": 6}


def test_training_learns_who_goes_with_whom_and_follows_from_the_seed():
    first, second = (fit_ials(blocks(), **SETTINGS, seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.factors, second.factors)
    history = np.zeros((1, 12), np.float32)
    history[0, [0, 1]] = 1
    scores = first.scores(csr_matrix(history))[0]
    assert scores[:6].min() > scores[6:].max()


def test_training_ends_where_each_half_is_the_formulas_answer_to_the_other():
    data, settings = blocks(), {**SETTINGS, "iterations": 30}
    found = fit_ials(data, **settings, seed=5)
    bounds = settings["regularization"], settings["alpha"]
    queries = np.stack([folded_in(found.factors, row, *bounds) for row in data.toarray()])
    by_hand = np.stack([folded_in(queries, column, *bounds) for column in data.toarray().T])
    np.testing.assert_allclose(found.factors, by_hand, rtol=1e-2, atol=1e-3)


def test_every_iteration_is_shown_and_the_last_one_is_the_result():
    seen = {}
    model = fit_ials(blocks(), **SETTINGS, seed=5, each=lambda n, m: seen.update({n: m.factors.copy()}))
    assert [*seen] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_array_equal(seen[6], model.factors)
    shorter = fit_ials(blocks(), **{**SETTINGS, "iterations": 3}, seed=5)
    np.testing.assert_array_equal(seen[3], shorter.factors)
