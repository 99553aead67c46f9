"""Implicit alternating least squares, and the folding-in of queries it was not trained on."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from implicit.als import AlternatingLeastSquares
from scipy.sparse import csr_matrix
from threadpoolctl import ThreadpoolController


def cores() -> int:
    """How many cores this process may use; implicit would take all of the machine's."""
    return len(os.sched_getaffinity(0))


@functools.cache
def _blas() -> ThreadpoolController:
    """The linear algebra's libraries, whose threads would fight implicit's; to look for them is slow."""
    return ThreadpoolController().select(user_api="blas")


@dataclass(frozen=True)
class IALS:
    """The candidates' half of a factorisation.

    Hu, Koren and Volinsky, "Collaborative Filtering for Implicit Feedback Datasets", ICDM 2008, as the
    library ``implicit`` has it. With confidences c, of which those not observed are 1, it minimises

        Σ_qi c_qi (p_qi − x_q·y_i)² + λ (Σ_q |x_q|² + Σ_i |y_i|²),   p_qi = 1 where observed, else 0.

    Attributes:
        factors: float32 [candidates, factors], Y.
        regularization: λ, above 0.
        alpha: Confidence in one occurrence.
    """

    factors: np.ndarray
    regularization: float
    alpha: float

    def embed(self, histories: csr_matrix) -> np.ndarray:
        """Folds queries in: x = (YᵀY + Yᵀ(C − I)Y + λI)⁻¹ YᵀCp, each the optimum for its history.

        Args:
            histories: float32 [queries, candidates] occurrences; C = alpha times them where there are any.

        Returns:
            float32 [queries, factors]; zeros for an empty history.
        """
        with _blas().limit(limits=1):
            model = AlternatingLeastSquares(
                self.factors.shape[1], self.regularization, self.alpha, num_threads=cores()
            )
            model.item_factors = self.factors
            return model.recalculate_user(np.arange(histories.shape[0]), histories)

    def scores(self, histories: csr_matrix) -> np.ndarray:
        """x·y for every candidate, float32 [queries, candidates]; see :meth:`embed`."""
        return self.embed(histories) @ self.factors.T


def fit_ials(
    confidences: csr_matrix,
    *,
    factors: int,
    regularization: float,
    alpha: float,
    iterations: int,
    seed: int,
    each: Callable[[int, IALS], None] = lambda done, model: None,
) -> IALS:
    """Factorises.

    Args:
        confidences: float32 [queries, candidates], before alpha.
        factors: Width of both matrices.
        regularization: λ.
        alpha: Confidences are multiplied by it.
        iterations: Alternations.
        seed: Of the start. The result follows from it: threads share no sum.
        each: Called after each iteration with the number done and the model so far.
    """
    model = AlternatingLeastSquares(
        factors, regularization, alpha, iterations=iterations, random_state=seed, num_threads=cores()
    )

    def report(iteration: int, seconds: float, loss: float | None) -> None:
        each(iteration + 1, IALS(model.item_factors, regularization, alpha))

    with _blas().limit(limits=1):
        model.fit(confidences, show_progress=False, callback=report)
    return IALS(model.item_factors, regularization, alpha)
