"""Drawn negatives: as often as announced, and what a model learns from them."""

import numpy as np
import pytest
import tensorflow as tf
from pydantic import ValidationError

from components.ingest.declaration import Interactions
from components.ranking.config import Negatives, RankingConfig
from components.ranking.model import RankingModel
from components.ranking.negatives import NEGATIVE_ROWS, NegativeSampler
from components.ranking.statistics import TrainingStatistics, training_statistics
from components.ranking.training import fit
from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.interaction_dataset import EncodedInteractions

COUNTS = np.array([6, 0, 3, 1])
NEGATIVES = Negatives(popular=2, uniform=3, history=4)
BATCH = {
    "candidate_row": tf.constant([0, 1, 3], tf.int64),
    "history": tf.constant([[2, 2, 2, 3], [-1, -1, -1, -1], [3, -1, -1, -1]], tf.int64),
}

LOG = Interactions.model_validate(
    {
        "sources": [{"files": "log.csv"}],
        "query_id": "user",
        "candidate_id": "item",
        "timestamp": {"column": "at"},
    }
)


def draw(batch, seed=(1, 2)):
    return NegativeSampler(NEGATIVES, COUNTS).draw(batch, tf.constant(seed, tf.int64)).numpy()


def test_candidates_are_drawn_as_often_as_the_correction_says():
    many = {name: tf.repeat(column[:1], 20_000, axis=0) for name, column in BATCH.items()}
    many["candidate_row"] = tf.fill([20_000], tf.constant(-7, tf.int64))
    drawn = draw(many)
    assert drawn.shape == (20_000, NEGATIVES.total)
    found = np.array([(drawn == row).sum() / 20_000 for row in range(4)])
    by_hand = 2 * np.array([0.6, 0, 0.3, 0.1]) + 3 / 4 + 4 * np.array([0, 0, 0.5, 0.5])
    np.testing.assert_allclose(found, by_hand, atol=0.05)
    rows = tf.constant([[0, 1, 2, 3]], tf.int64)
    first = {"history": BATCH["history"][:1]}
    expected = np.exp(NegativeSampler(NEGATIVES, COUNTS).log_expected(first, rows))[0]
    # A candidate never seen counts as half an interaction, so that its logarithm would be finite alone.
    np.testing.assert_allclose(expected, by_hand + np.array([0, 2 * 0.05, 0, 0]), rtol=1e-5)


def test_the_positive_itself_is_never_its_own_negative():
    for seed in range(20):
        assert not (draw(BATCH, (seed, 0)) == BATCH["candidate_row"].numpy()[:, None]).any()


def test_an_empty_history_gives_no_negatives_and_is_not_missed():
    of_history = draw(BATCH)[:, 5:]
    assert set(of_history[0]) <= {2, 3}
    assert (of_history[1:] == UNKNOWN_ROW).all(), "none at all, or only the positive itself"


def test_training_draws_anew_each_epoch_and_validation_never():
    sampler = NegativeSampler(NEGATIVES, COUNTS)
    log = EncodedInteractions({**BATCH, "candidate_row": tf.constant([0, 1, 3])})

    def epochs(every_epoch):
        batches = sampler.with_negatives(log.batches(2), 5, every_epoch=every_epoch)
        return [[batch[NEGATIVE_ROWS].numpy().tolist() for batch in batches] for _ in range(2)]

    anew, again = epochs(True), epochs(True)
    assert anew == again, "the draws follow from the seed"
    assert anew[0] != anew[1]
    same = epochs(False)
    assert same[0] == same[1]
    assert same[0][0] != same[0][1]


@pytest.mark.parametrize("kind", ["history", "retrieved"])
def test_one_kind_alone_that_leaves_candidates_out_is_refused_with_what_is_expected(kind):
    with pytest.raises(ValidationError, match=f"{kind} alone.*expected popular or uniform above 0 too"):
        Negatives(**{kind: 3})


def make(statistics, negatives=None, size=4, **settings):
    config = RankingConfig(**{"dropout": 0.0, "id_dropout": 0.0, "negatives": negatives} | settings)
    table = CandidateTable(np.array([b"%d" % i for i in range(size)], object), {})
    return RankingModel(("user", 2), [], [], table, statistics, LOG, config)


def test_an_unrated_log_has_one_head_that_starts_at_each_candidate_s_share():
    model = make(TrainingStatistics(COUNTS, COUNTS, None))
    query = {
        "user": tf.constant([0], tf.int64),
        "history": BATCH["history"][:1],
        "history_age": tf.zeros([1, 4]),
    }
    scores = model.score(query, tf.constant([[0, 1, 2, 3]], tf.int64))
    assert set(scores) == {"positive"}
    np.testing.assert_allclose(scores["positive"][0], (COUNTS + 1) / (10 + 4 + 1), rtol=1e-5)


def test_loss_is_the_corrected_cross_entropy_of_the_positive_and_its_negatives():
    model = make(TrainingStatistics(COUNTS, COUNTS, None), NEGATIVES)
    inputs = {
        **BATCH,
        "user": tf.zeros([3], tf.int64),
        "history_age": tf.zeros([3, 4]),
        "positive": tf.constant([1.0, 1.0, 0.0]),
        "weight": tf.constant([1.0, 2.0, 3.0]),
        NEGATIVE_ROWS: tf.constant([[2, UNKNOWN_ROW], [0, 2], [0, 1]], tf.int64),
    }
    share = (COUNTS + 1) / (10 + 4 + 1)
    odds = np.log(share / (1 - share))

    def logit(i, row):
        rows = tf.constant([[row]], tf.int64)
        return odds[row] - float(
            model.sampler.log_expected({"history": BATCH["history"][i : i + 1]}, rows)[0, 0]
        )

    def surprise(logit, label):
        return np.log1p(np.exp(-logit if label else logit))

    # The third interaction is the log's own negative: nothing is drawn for it.
    expected = (
        (surprise(logit(0, 0), 1) + surprise(logit(0, 2), 0))
        + 2 * (surprise(logit(1, 1), 1) + surprise(logit(1, 0), 0) + surprise(logit(1, 2), 0))
        + 3 * surprise(logit(2, 3), 0)
    ) / 3
    assert float(model.compute_loss(inputs)) == pytest.approx(expected, rel=1e-5)


def test_a_positive_trains_without_itself_among_the_counts():
    model = make(TrainingStatistics(COUNTS, COUNTS, None), NEGATIVES)
    rows = tf.constant([[0, 1, 2], [3, 1, 2]], tf.int64)
    labels = tf.constant([1.0, 0.0])

    def counts(training):
        log_odds = model._training_log_odds(rows, labels, training).numpy()
        return 15 / (1 + np.exp(-log_odds)) - 1

    counted = COUNTS[rows.numpy()].astype(float)
    np.testing.assert_allclose(counts(False), counted, atol=1e-4)
    counted[0, 0] -= 1
    np.testing.assert_allclose(counts(True), counted, atol=1e-4)


def test_that_train_holds_a_candidate_once_is_not_learnt_by_heart(tmp_path):
    """A thousand candidates come once each, the first half in train: that one came says nothing for it."""
    n, size = 500, 1000

    def log(first):
        return EncodedInteractions(
            {
                "user": tf.zeros([n], tf.int64),
                "candidate_row": tf.range(first, first + n, dtype=tf.int32),
                "history": tf.fill([n, 1], -1),
                "history_age": tf.zeros([n, 1]),
                "positive": tf.ones([n]),
                "weight": tf.ones([n]),
            }
        )

    statistics = training_statistics(log(0), size, None)
    settings = {"learning_rate": 0.003, "epochs": 40, "patience": 5, "batch_size": 100}
    model = make(statistics, {"uniform": 4}, size, **settings)
    fit(model, log(0), log(n), model._config, str(tmp_path))
    query = next(iter(log(0).batches(1)))
    learnt = model.score(query, tf.range(size, dtype=tf.int64)[tf.newaxis])["positive"].numpy()[0]
    assert learnt[:n].max() < learnt[n:].min()


@pytest.mark.parametrize(
    ("loss", "negatives"),
    [
        ("pointwise", {"uniform": 6}),
        ("pointwise", {"popular": 2, "uniform": 1, "history": 2}),
        ("pairwise", {"popular": 2, "uniform": 4}),
        ("softmax", {"popular": 2, "uniform": 1, "history": 2}),
    ],
)
def test_what_is_learnt_is_the_probability_whatever_negatives_are_drawn(loss, negatives, tmp_path):
    """Queries come back to the first candidate of their history half of the time, else take 0 or 1."""
    rng = np.random.default_rng(0)
    n, size = 4000, 20
    own = rng.integers(2, size, n)
    rows = np.where(rng.random(n) < 0.5, own, rng.random(n) < 0.4)
    log = EncodedInteractions(
        {
            "user": tf.zeros([n], tf.int64),
            "candidate_row": tf.constant(rows, tf.int32),
            "history": tf.constant(np.stack([own, np.full(n, -1)], axis=1), tf.int32),
            "history_age": tf.zeros([n, 2]),
            "positive": tf.ones([n]),
            "weight": tf.ones([n]),
        }
    )
    query = {
        "user": tf.zeros([1], tf.int64),
        "history": tf.constant([[7, -1]], tf.int64),
        "history_age": tf.zeros([1, 2]),
    }
    statistics = training_statistics(log, size, None)
    model = make(statistics, negatives, size, loss=loss, learning_rate=0.01, epochs=8, batch_size=256)
    fit(model, log, log.spread(500), model._config, str(tmp_path))
    learnt = model.score(query, tf.range(size, dtype=tf.int64)[tf.newaxis])["positive"].numpy()[0]
    assert np.argsort(-learnt)[:3].tolist() == [7, 0, 1]
    np.testing.assert_allclose(learnt[[7, 0, 1]], [0.5, 0.3, 0.2], atol=0.1)
    assert np.delete(learnt, [0, 1, 7]).max() < 0.05
