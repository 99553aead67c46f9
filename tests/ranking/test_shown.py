"""Clicks that follow the place as much as the candidate: what the corrections make of a known truth."""

import numpy as np
import pytest
import tensorflow as tf
from scipy.stats import kendalltau

from components.ingest.declaration import Declaration
from components.ranking.config import RankingConfig
from components.ranking.propensity import estimated_examination
from components.ranking.trainer import build_model
from components.ranking.training import fit
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import CandidateTable
from components.transform.interaction_dataset import EncodedInteractions

RELEVANCE = np.linspace(0.9, 0.2, 8)
"""Chance of each candidate to be clicked once looked at."""
EXAMINATION = 1.0 / np.arange(1, 9)
"""Chance of each position to be looked at."""
LISTS = 1500


def declaration(**more):
    return Declaration.model_validate(
        {
            "interactions": {
                "sources": [{"files": "log.csv"}],
                "query_id": "user",
                "candidate_id": "item",
                "timestamp": {"column": "at"},
                "actions": {"column": "what", "weights": {"view": 0, "click": 1}},
                "position": "place",
                **more,
            },
            "candidates": {"files": "items.csv", "id": "item"},
            "history": {"length": 2},
        }
    )


def columns(rows, places, clicks):
    """Encoded interactions of three users without a history."""
    n = len(rows)
    return EncodedInteractions(
        {
            "user": tf.constant(np.arange(n) // 8 % 3, tf.int64),
            "history": tf.fill([n, 2], tf.constant(-1, tf.int32)),
            "history_age": tf.zeros([n, 2]),
            "candidate_row": tf.constant(rows, tf.int32),
            "place": tf.constant(places, tf.int32),
            "action": tf.constant(1 + clicks, tf.int16),
            "positive": tf.constant(clicks, tf.float32),
            "weight": tf.ones(n),
        }
    )


def lists(seed):
    """A log of a policy that mostly shows the worst first, and people who look at the top."""
    random = np.random.default_rng(seed)
    noise = random.normal(scale=0.25, size=(LISTS, 8))
    order = np.argsort(RELEVANCE + noise, axis=1)
    places = np.tile(np.arange(8), (LISTS, 1))
    clicks = random.random((LISTS, 8)) < RELEVANCE[order] * EXAMINATION[places]
    return columns(order.ravel(), 1 + places.ravel(), clicks.ravel().astype(int))


def learnt(folder, train, validation, log, **settings):
    """A ranker, and what it makes of each candidate's chance for somebody unknown: float [8]."""
    config = RankingConfig(
        **{
            "feature_dim": 4,
            "cross_layers": 0,
            "layers": [],
            "id_dropout": 0.0,
            "dropout": 0.0,
            "learning_rate": 0.03,
            "batch_size": 512,
            "epochs": 6,
        }
        | settings
    )
    config.check(log.interactions)
    inputs = TrainingInputs(
        declaration=log,
        table=CandidateTable(np.array([b"%d" % i for i in range(8)], object), {}),
        train=train,
        validation=validation,
        query_id=("user", 4),
        query_features=[],
        candidate_features=[],
    )
    model = build_model(inputs, config)
    fit(model, train, validation, config, str(folder))
    query = {
        "user": tf.constant([3], tf.int64),
        "history": tf.constant([[-1, -1]], tf.int64),
        "history_age": tf.zeros([1, 2]),
    }
    return model, model.score(query, tf.range(8, dtype=tf.int64)[tf.newaxis])["positive"][0].numpy()


@pytest.fixture(scope="module")
def log():
    return lists(1), lists(2)


def order(chances):
    """Kendall's correlation of the order that is served with the true one."""
    return kendalltau(chances, RELEVANCE).statistic


def test_taken_for_what_they_are_clicks_teach_the_wrong_order(log, tmp_path):
    _, chances = learnt(tmp_path, *log, declaration())
    assert order(chances) < 0


def test_a_tower_of_positions_leaves_the_true_order_to_the_ranker(log, tmp_path):
    model, chances = learnt(tmp_path, *log, declaration(), position={})
    assert order(chances) > 0.85
    added = model.learnt_of_positions()["position_positive"]
    assert kendalltau(added[:8], EXAMINATION).statistic > 0.85
    # Nobody was shown anything there.
    assert added[8:] == [0] * 42


def test_inverse_propensities_estimated_of_positions_recover_the_true_order(log, tmp_path):
    model, chances = learnt(tmp_path, *log, declaration(), inverse_propensity={"maximum": 8})
    assert order(chances) > 0.9
    assert list(model.learnt_of_positions()) == ["examination"]
    np.testing.assert_allclose(model.learnt_of_positions()["examination"], EXAMINATION, atol=0.06)


def test_without_negatives_in_the_log_declared_examinations_recover_it_too(log, tmp_path):
    positives = [split.positives() for split in log]
    assert order(positives[0].candidate_counts(8).numpy()) < 0.2
    _, chances = learnt(
        tmp_path,
        *positives,
        declaration(actions=None),
        loss="softmax",
        negatives={"uniform": 4},
        inverse_propensity={"examination": EXAMINATION.tolist()},
    )
    assert order(chances) > 0.9


def test_examination_is_estimated_where_the_same_candidates_stood_in_several_places(log):
    train, _ = log
    found = estimated_examination(train, declaration().interactions, 10)
    np.testing.assert_allclose(found[:8], EXAMINATION, atol=0.06)
    np.testing.assert_array_equal(found[8:], found[7])
    # What of each place was clicked says little of it: the best stood last.
    clicks = train.columns["positive"].numpy()
    shares = np.array([clicks[train.columns["place"] == place].mean() for place in range(1, 9)])
    assert np.abs(shares / shares[0] - EXAMINATION).max() > 0.15
