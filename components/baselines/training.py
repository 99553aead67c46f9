"""Searching for the baselines' hyper-parameters, and training with those chosen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from components.baselines.artifact import Baselines, Record, Scorer, Tuned
from components.baselines.config import IALS as IALS_KIND
from components.baselines.config import BaselinesConfig, TrainerConfig
from components.baselines.ials import IALS, fit_ials
from components.baselines.item_knn import fit_item_knn
from components.baselines.popularity import PopularityOrder
from components.baselines.search import Settings, Trial, best, search
from components.ingest.errors import UserError

_BATCH = 256

Measured = Callable[[Settings, Scorer], Trial]


@dataclass(frozen=True)
class Positives:
    """Positive interactions.

    Attributes:
        queries: Integer [interactions], equal for equal queries.
        candidates: Integer [interactions] rows.
        weights: float32 [interactions], above 0.
    """

    queries: np.ndarray
    candidates: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        """Number of interactions."""
        return len(self.queries)

    def sample(self, interactions: int, seed: int) -> Positives:
        """All interactions of queries drawn until they have at least so many."""
        distinct, query, counts = np.unique(self.queries, return_inverse=True, return_counts=True)
        drawn = np.random.default_rng(seed).permutation(len(distinct))
        before = np.cumsum(counts[drawn]) - counts[drawn]
        chosen = np.zeros(len(distinct), bool)
        chosen[drawn[before < interactions]] = True
        kept = chosen[query]
        return Positives(self.queries[kept], self.candidates[kept], self.weights[kept])

    def confidences(self, order: PopularityOrder) -> csr_matrix:
        """The sum of each query's and candidate's weights, as multiples of the mean weight.

        An event of a history, whose weight is not known, so counts as an average one when folded in.

        Returns:
            float32 [queries, order.width].
        """
        _, queries = np.unique(self.queries, return_inverse=True)
        weights = (self.weights / self.weights.mean()).astype(np.float32)
        places = order.places(self.candidates)
        return csr_matrix((weights, (queries, places)), shape=(queries.max() + 1, order.width))


@dataclass(frozen=True)
class Validation:
    """Positive interactions that trials are measured on.

    Attributes:
        histories: Integer [interactions, length] rows, negative for padding.
        candidates: Integer [interactions] rows of what was chosen.
        repeats: Whether the history may come back; else it is excluded, as it will be in the evaluation.
    """

    histories: np.ndarray
    candidates: np.ndarray
    repeats: bool

    def trial(self, settings: Settings, model: Scorer, order: PopularityOrder) -> Trial:
        """Recall of a model over all candidates."""
        ranks = []
        for start in range(0, len(self.candidates), _BATCH):
            histories = order.occurrences(self.histories[start : start + _BATCH])
            excluded = csr_matrix(histories.shape) if self.repeats else histories
            held_out = self.candidates[start : start + _BATCH]
            ranks.append(order.ranks(model.scores(histories), excluded, held_out))
        found = np.concatenate(ranks)
        return Trial(
            settings=settings,
            recall_at_10=float((found <= 10).mean()),
            recall_at_100=float((found <= 100).mean()),
        )


def train(
    ids: np.ndarray, positives: Positives, validation: Validation, config: TrainerConfig
) -> tuple[Baselines, Record]:
    """Chooses hyper-parameters on a sample and trains on all.

    Args:
        ids: Bytes [candidates], the catalogue.
        positives: Of the train split.
        validation: Of the eval split.
        config: Which baselines, and the bounds of the search.

    Raises:
        UserError: If the factors of the chosen iALS are not finite.
    """
    sample = positives.sample(config.search_interactions, config.seed)
    trial_order = PopularityOrder.of(np.bincount(sample.candidates, minlength=len(ids)))
    trial_data = sample.confidences(trial_order)
    counts = np.bincount(positives.candidates, minlength=len(ids))
    order = PopularityOrder.of(counts)
    confidences = positives.confidences(order)

    def measured(settings: Settings, model: Scorer) -> Trial:
        return validation.trial(settings, model, trial_order)

    tuned, scorers = {}, {}
    for kind in config.kinds:
        tune, fit = (_tune_ials, _fit_ials) if kind == IALS_KIND else (_tune_item_knn, _fit_item_knn)
        trials = tune(trial_data, measured, config)
        tuned[kind] = Tuned(chosen=best(trials), trials=tuple(trials))
        scorers[kind] = fit(confidences, tuned[kind].chosen.settings, config.seed)
        _refuse_not_finite(scorers[kind], tuned[kind].chosen.settings)
    record = Record(
        tuned=tuned,
        train_interactions=len(positives),
        search_interactions=len(sample),
        validation_interactions=len(validation.candidates),
    )
    return Baselines(ids, counts, order, scorers), record


def _refuse_not_finite(model: Scorer, settings: Settings) -> None:
    """Refuse factors that are not finite: their scores compare with nothing."""
    if isinstance(model, IALS) and not np.isfinite(model.factors).all():
        chosen = ", ".join(f"{name} {value}" for name, value in settings.items())
        raise UserError(
            f"the baseline iALS diverged: its factors are not finite numbers ({chosen}). Expected finite"
            " numbers. Give evaluation.baselines.ials_grid larger values of 'regularization' or smaller ones"
            " of 'alpha', or set evaluation.baselines.ials to false, and run again."
        )


def _tune_ials(data: csr_matrix, measured: Measured, config: BaselinesConfig) -> list[Trial]:
    grid = config.ials_grid

    def tried(settings: Settings) -> list[Trial]:
        made = []

        def look(done: int, model: IALS) -> None:
            if done in grid.iterations:
                made.append(measured({**settings, "iterations": done}, model))

        _fit_ials(data, {**settings, "iterations": max(grid.iterations)}, config.seed, each=look)
        return made

    points = grid.model_dump(exclude={"iterations"})
    return search(points, tried, trials=config.trials, seed=config.seed)


def _tune_item_knn(data: csr_matrix, measured: Measured, config: BaselinesConfig) -> list[Trial]:
    def tried(settings: Settings) -> list[Trial]:
        return [measured(settings, _fit_item_knn(data, settings, config.seed))]

    return search(config.item_knn_grid.model_dump(), tried, trials=config.trials, seed=config.seed)


def _fit_ials(data: csr_matrix, settings: Mapping[str, Any], seed: int, **more: Any) -> Scorer:
    return fit_ials(data, **settings, seed=seed, **more)


def _fit_item_knn(data: csr_matrix, settings: Mapping[str, Any], seed: int) -> Scorer:
    """Nothing in it is drawn."""
    return fit_item_knn(data, **settings)
