"""The ranker, its heads and its losses."""

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.declaration import Interactions
from components.ranking.config import RankingConfig
from components.ranking.model import RankingModel
from components.ranking.statistics import training_statistics
from components.ranking.training import fit
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

TABLE = CandidateTable(np.array([b"a", b"b", b"c"], object), {"genre": np.array([0, 1, 1])})
LOG = EncodedInteractions(
    {
        "candidate_row": tf.constant([0, 0, 1]),
        "stars": tf.constant([5.0, 3.0, 1.0]),
        "positive": tf.constant([1.0, 0.0, 0.0]),
    }
)
RATED = Interactions.model_validate(
    {
        "sources": [{"files": "log.csv"}],
        "query_id": "user",
        "candidate_id": "item",
        "timestamp": {"column": "at"},
        "rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4},
    }
)
STATISTICS = training_statistics(LOG, 3, "stars")


def make(**settings):
    config = RankingConfig(**{"dropout": 0.0, "id_dropout": 0.0} | settings)
    return RankingModel(
        ("user", 3),
        [EncodedFeature("age", "dense", 0, 1)],
        [EncodedFeature("genre", "category", 2, 1)],
        TABLE,
        STATISTICS,
        RATED,
        config,
    )


def batch():
    return {
        "user": tf.constant([0, 1], tf.int64),
        "age": tf.constant([[0.5], [-0.5]]),
        "history": tf.constant([[1, -1], [-1, -1]], tf.int64),
        "history_age": tf.constant([[86400.0, 0.0], [0.0, 0.0]]),
        "candidate_row": tf.constant([0, 2], tf.int64),
        "stars": tf.constant([5.0, 2.0]),
        "positive": tf.constant([1.0, 0.0]),
        "weight": tf.constant([1.0, 2.0]),
    }


def test_offsets_are_damped_means():
    assert STATISTICS.rating.mean == pytest.approx(3.0)
    np.testing.assert_allclose(STATISTICS.rating.offsets, [2 / 7, -2 / 6, 0.0], rtol=1e-6)


def test_log_odds_are_those_of_a_candidate_s_share_of_positives():
    assert STATISTICS.positives.tolist() == [1, 0, 0]
    shares = np.array([2, 1, 1]) / 5
    np.testing.assert_allclose(STATISTICS.positive_log_odds(), np.log(shares / (1 - shares)), rtol=1e-6)


def test_an_untrained_model_predicts_the_damped_mean_and_even_odds():
    scores = make().score(batch(), tf.constant([[0, 1, 2], [2, 1, 0]], tf.int64))
    expected = np.array([3 + 2 / 7, 3 - 1 / 3, 3.0])
    np.testing.assert_allclose(scores["rating"], [expected, expected[::-1]], rtol=1e-5)
    np.testing.assert_allclose(scores["positive"], np.full((2, 3), 0.5), rtol=1e-6)


@pytest.mark.parametrize(("rating_weight", "positive_weight"), [(1.0, 1.0), (2.0, 0.0), (0.0, 0.5)])
def test_loss_is_the_weighted_sum_of_squared_error_and_cross_entropy(rating_weight, positive_weight):
    model = make(head_weights={"rating": rating_weight, "positive": positive_weight})
    errors = np.array([(5 - (3 + 2 / 7)) ** 2, (2 - 3.0) ** 2])
    weights = np.array([1.0, 2.0])
    expected = rating_weight * np.mean(errors * weights) + positive_weight * np.mean(np.log(2) * weights)
    assert float(model.compute_loss(batch())) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("cross_layers", [0, 2])
def test_scoring_many_candidates_is_scoring_each(cross_layers, tmp_path):
    model = make(cross_layers=cross_layers, epochs=2)
    log = EncodedInteractions({name: tf.repeat(column, 64, axis=0) for name, column in batch().items()})
    fit(model, log, EncodedInteractions(batch()), model._config, str(tmp_path))
    together = model.score(batch(), tf.constant([[0, 1, 2], [2, 1, 0]], tf.int64))
    for column in range(3):
        rows = tf.constant([[[0, 1, 2][column]], [[2, 1, 0][column]]], tf.int64)
        alone = model.score(batch(), rows)
        for head in ("rating", "positive"):
            np.testing.assert_allclose(together[head][:, column], alone[head][:, 0], rtol=1e-5)
    assert float(tf.math.reduce_std(together["rating"])) > 0


def test_fit_learns_who_likes_what(tmp_path):
    rng = np.random.default_rng(0)
    users, rows = rng.integers(0, 2, 4000), rng.integers(0, 3, 4000)
    likes = (users == np.minimum(rows, 1)).astype(np.float32)
    log = EncodedInteractions(
        {
            "user": tf.constant(users),
            "age": tf.zeros([4000, 1]),
            "history": tf.fill([4000, 2], -1),
            "history_age": tf.zeros([4000, 2]),
            "candidate_row": tf.constant(rows, tf.int32),
            "stars": tf.constant(1 + 4 * likes),
            "positive": tf.constant(likes),
            "weight": tf.ones([4000]),
        }
    )
    model = make(learning_rate=0.01, epochs=6)
    history = fit(model, log, log.spread(500), model._config, str(tmp_path))
    assert history["val_epoch_loss"][-1] < 0.2 * history["val_epoch_loss"][0] or (
        history["val_epoch_loss"][-1] < 0.05
    )
    scores = model.score(batch(), tf.constant([[0, 1], [0, 1]], tf.int64))["positive"].numpy()
    assert scores[0, 0] > 0.9 > 0.1 > scores[0, 1]
    assert scores[1, 1] > 0.9 > 0.1 > scores[1, 0]
