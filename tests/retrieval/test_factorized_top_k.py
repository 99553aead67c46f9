"""TFRS' FactorizedTopK of the trained model, and the cheap count by rank, are one number."""

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.retrieval.config import RetrievalConfig
from components.retrieval.factorized_top_k import (
    INTERACTIONS,
    factorized_top_k,
    measured_by_factorized_top_k,
)
from components.retrieval.trainer import build_model
from components.retrieval.training import catalogue_recall

LINEAR = {"dim": 4, "layers": None, "history": {"encoder": "none"}}


def model_of(candidates, **settings):
    """A model and its data, with weights in which candidates differ."""
    data = parity.inputs(candidates, 300)
    model = build_model(data, RetrievalConfig(**LINEAR | settings))
    model.make_weights(next(iter(data.validation.batches(8))))
    random = np.random.default_rng(3)
    for weight in model.trainable_variables:
        if weight.shape.rank:
            weight.assign(random.normal(size=weight.shape))
    return model, data


def with_long_histories(batch, candidates, held):
    """The batch with histories of so many drawn candidates, some of them what was chosen."""
    random = np.random.default_rng(4)
    history = random.integers(-1, candidates, size=(len(batch["candidate_row"]), held))
    history[::7, 0] = batch["candidate_row"].numpy()[::7]
    return {**batch, "history": tf.constant(history, tf.int64)}


def round_off(model):
    """Make many candidates score alike: a few distinct embeddings."""
    for weight in model.candidate_tower.trainable_variables:
        rows = np.arange(weight.shape[0]) % 5
        weight.assign(tf.gather(weight, rows))


@pytest.mark.parametrize("exclude_history", [True, False])
@pytest.mark.parametrize(
    ("candidates", "held", "ties"),
    [(300, 1, False), (300, 250, False), (300, 20, True), (40, 20, True), (12, 9, False), (5, 3, True)],
)
def test_factorized_top_k_and_the_count_by_rank_agree(candidates, held, ties, exclude_history):
    model, data = model_of(candidates)
    if ties:
        round_off(model)
    batches = [
        with_long_histories(batch, candidates, held) for batch in data.validation.positives().batches(64)
    ]
    by_rank = catalogue_recall(model, batches, exclude_history=exclude_history)
    measured = factorized_top_k(model, batches, exclude_history=exclude_history)
    for k in (10, 100):
        name = f"factorized_top_k/top_{min(k, candidates)}_categorical_accuracy"
        assert measured[name] == pytest.approx(by_rank[f"val_recall@{k}"], abs=1e-6), name
    assert measured[INTERACTIONS] == sum(len(batch["candidate_row"]) for batch in batches)
    if exclude_history:
        # What the history holds cannot be found, however small the catalogue is.
        assert by_rank["val_recall@100"] < 1


def test_k_is_the_catalogues_size_where_that_is_smaller_and_the_name_says_so():
    model, data = model_of(12)
    measured = factorized_top_k(model, data.validation.batches(64), exclude_history=False)
    assert {*measured} == {
        "factorized_top_k/top_10_categorical_accuracy",
        "factorized_top_k/top_12_categorical_accuracy",
        INTERACTIONS,
    }
    assert measured["factorized_top_k/top_12_categorical_accuracy"] == 1


def test_scores_that_are_no_numbers_are_never_found():
    model, data = model_of(12)
    model.candidate_tower.ids.embeddings.assign(tf.fill([13, 4], np.nan))
    measured = factorized_top_k(model, data.validation.batches(64), exclude_history=False)
    assert measured["factorized_top_k/top_12_categorical_accuracy"] == 0


def test_the_trained_model_is_measured_once_into_the_history_and_tensorboard(tmp_path):
    model, data = model_of(150)
    history = {"epoch_loss": [2.0, 1.0]}
    found = measured_by_factorized_top_k(
        model, data.validation, 20, exclude_history=True, log_dir=str(tmp_path), history=history
    )
    names = [f"factorized_top_k/top_{k}_categorical_accuracy" for k in (10, 100)]
    assert {*found} == {"epoch_loss", *names, INTERACTIONS}
    assert found[INTERACTIONS] == [20.0]
    (events,) = tmp_path.glob("events.out.tfevents.*")
    written = {
        value.tag: (event.step, float(tf.make_ndarray(value.tensor)))
        for event in tf.compat.v1.train.summary_iterator(str(events))
        for value in event.summary.value
    }
    assert written[names[1]] == (2, pytest.approx(found[names[1]][0]))
