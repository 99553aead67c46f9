"""From interactions to trained, saved and loaded baselines."""

import json
from unittest import mock

import numpy as np
import pytest

from components.baselines import training
from components.baselines.artifact import Baselines, read_record
from components.baselines.config import IALSGrid, TrainerConfig
from components.baselines.ials import IALS
from components.baselines.popularity import PopularityOrder
from components.baselines.search import best
from components.baselines.training import Positives, Validation, train
from components.ingest.errors import UserError

CANDIDATES = 30
IDS = np.array([f"book-{number:02}".encode() for number in range(CANDIDATES)], object)
CONFIG = TrainerConfig(
    repeats=False, trials=3, ials_grid=IALSGrid(factors=(4,), iterations=(2, 4)), validation_queries=50
)


def interactions(seed: int = 0, queries: int = 60, each: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Queries that like the first or the second dozen of the candidates; the last six nobody ever chose."""
    generator = np.random.default_rng(seed)
    taste = np.repeat(np.arange(queries) % 2, each)
    rows = generator.integers(0, 12, queries * each) + 12 * taste
    return np.repeat(np.arange(queries), each), rows


def positives() -> Positives:
    queries, rows = interactions()
    return Positives(queries, rows, np.ones(len(rows), np.float32))


def validation(repeats: bool = False) -> Validation:
    _, rows = interactions(seed=1, queries=50)
    histories = rows.reshape(50, 8)
    return Validation(histories[:, :7], histories[:, 7], repeats)


@pytest.fixture(scope="module")
def trained():
    return train(IDS, positives(), validation(), CONFIG)


def test_a_sample_has_all_interactions_of_its_queries():
    data = positives()
    sample = data.sample(100, seed=1)
    assert len(sample) == 104, "whole queries, of eight each, until there are a hundred"
    for query in np.unique(sample.queries):
        np.testing.assert_array_equal(
            sample.candidates[sample.queries == query], data.candidates[data.queries == query]
        )
    np.testing.assert_array_equal(sample.queries, data.sample(100, seed=1).queries)
    assert set(sample.queries) != set(data.sample(100, seed=2).queries)
    assert len(data.sample(10**6, seed=1)) == len(data)


def test_weights_become_confidences_as_multiples_of_their_mean():
    data = Positives(np.array([7, 7, 9]), np.array([2, 2, 0]), np.array([1, 5, 3], np.float32))
    order = PopularityOrder.of(np.array([1, 0, 2]))
    np.testing.assert_allclose(data.confidences(order).toarray(), [[2, 0], [0, 1]])


@pytest.mark.parametrize("repeats", [False, True])
def test_the_history_is_excluded_in_validation_unless_it_may_come_back(repeats):
    class Favourites:
        def scores(self, histories):
            return histories.toarray()

    order = PopularityOrder.of(np.full(CANDIDATES, 1))
    histories = np.arange(20).reshape(2, 10)
    # One is in its history; the other is the eleventh of what is left.
    measured = Validation(histories, np.array([3, 20]), repeats).trial({}, Favourites(), order)
    assert (measured.recall_at_10, measured.recall_at_100) == ((0.5, 1.0) if repeats else (0.0, 0.5))


def test_both_learn_the_taste_and_everything_follows_from_the_seed(trained):
    baselines, record = trained
    again, same = train(IDS, positives(), validation(), CONFIG)
    assert record == same
    history = np.array([[0, 1, 2, -1], [-1, 13, 14, 15], [-1, -1, -1, -1]])
    for kind in ("ials", "item_knn"):
        ranked = baselines.ranked(kind, history, CANDIDATES)
        np.testing.assert_array_equal(ranked, again.ranked(kind, history, CANDIDATES))
        assert set(ranked[0, :12]) == set(range(12))
        assert set(ranked[1, :12]) == set(range(12, 24))
        by_popularity = np.argsort(-np.bincount(positives().candidates, minlength=CANDIDATES), kind="stable")
        np.testing.assert_array_equal(ranked[2], by_popularity)


def test_the_best_trial_is_chosen_and_all_are_told(trained):
    _, record = trained
    assert len(record.tuned["ials"].trials) == 3 * 2
    assert [t.settings["iterations"] for t in record.tuned["ials"].trials] == [2, 4] * 3
    assert len(record.tuned["item_knn"].trials) == 3
    for tuned in record.tuned.values():
        assert tuned.chosen == best(tuned.trials)
    assert (record.train_interactions, record.search_interactions) == (480, 480)
    assert record.validation_interactions == 50


def test_what_is_loaded_ranks_as_what_was_saved(trained, tmp_path):
    baselines, record = trained
    baselines.save(str(tmp_path), record)
    assert read_record(str(tmp_path)) == record
    assert {path.name for path in tmp_path.iterdir()} == {
        *("baselines.json", "candidates.parquet", "ials.npz", "item_knn.npz")
    }
    factors = np.load(tmp_path / "ials.npz")["item_factors"]
    assert factors.shape == (CANDIDATES, 4) and not factors[24:].any(), "in the catalogue's order"
    assert json.loads((tmp_path / "baselines.json").read_text())["tuned"]["ials"]["chosen"]
    loaded = Baselines.load(str(tmp_path))
    assert loaded.ids.tolist() == IDS.tolist()
    for kind in ("ials", "item_knn"):
        ranked = baselines.ranked(kind, validation().histories, 10)
        np.testing.assert_array_equal(loaded.ranked(kind, validation().histories, 10), ranked)


def test_what_is_turned_off_is_neither_trained_nor_saved(tmp_path):
    config = CONFIG.model_copy(update={"ials": False})
    baselines, record = train(IDS, positives(), validation(), config)
    assert [*baselines.scorers] == [*record.tuned] == ["item_knn"]
    baselines.save(str(tmp_path), record)
    assert not (tmp_path / "ials.npz").exists()
    assert [*Baselines.load(str(tmp_path)).scorers] == ["item_knn"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_baseline_whose_scores_are_no_numbers_finds_nothing(value):
    order = PopularityOrder.of(np.ones(CANDIDATES, np.int64))
    model = mock.Mock(scores=lambda histories: np.full(histories.shape, value, np.float32))
    trial = validation().trial({}, model, order)
    # Minus infinity is as little as anything below 0: then popularity decides.
    assert (trial.recall_at_100 == 0) == (value != -np.inf)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_factors_that_are_not_finite_are_refused_with_the_settings_to_change(value):
    factors = np.ones((24, 4), np.float32)
    training._refuse_not_finite(IALS(factors, 1.0, 1.0), {"alpha": 1.0})
    factors[3, 1] = value
    with pytest.raises(UserError, match=r"iALS diverged: .*\(alpha 1.0\).*evaluation.baselines.ials_grid"):
        training._refuse_not_finite(IALS(factors, 1.0, 1.0), {"alpha": 1.0})
