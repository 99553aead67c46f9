"""Training finds the pattern, stops by itself, and validates over the whole catalogue."""

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.ingest.errors import UserError
from components.retrieval import training
from components.retrieval.config import RetrievalConfig
from components.retrieval.trainer import build_model
from components.retrieval.training import MONITOR, CatalogueRecall, catalogue_recall, fit
from components.transform.interaction_dataset import EncodedInteractions


@pytest.mark.parametrize("count", [4, 40])
def test_catalogue_recall_is_the_hand_computed_share_among_the_best(tiny, count):
    if count == 4:
        model, batch = tiny.model(), tiny.batch(rows=(0, 2, 3, 1))
    else:
        data = parity.inputs(count, 300)
        model = build_model(data, RetrievalConfig(dim=4, layers=None))
        batch = next(iter(data.validation.batches(60)))
    rows = batch["candidate_row"].numpy()
    scores = model.embed_query(batch).numpy() @ model.embed_catalogue().numpy().T
    order = (-scores).argsort(axis=1)
    expected = np.mean([row in order[i, :10] for i, row in enumerate(rows)])
    found = catalogue_recall(model, tf.data.Dataset.from_tensor_slices(batch).batch(3), exclude_history=False)
    # A catalogue smaller than k is found as a whole.
    assert found == {"val_recall@10": pytest.approx(expected), "val_recall@100": 1.0}
    assert (expected == 1) == (count == 4)


def test_what_the_history_holds_is_left_out_where_it_cannot_come_back():
    data = parity.inputs(40, 300)
    model = build_model(data, RetrievalConfig(dim=4, layers=None, history={"encoder": "none"}))
    batch = next(iter(data.validation.batches(60)))
    scores = model.embed_query(batch).numpy() @ model.embed_catalogue().numpy().T
    best = (-scores).argsort(axis=1)
    # Each wants its eleventh best; a history of two of those before brings it to the ninth place.
    batch = {**batch, "candidate_row": tf.constant(best[:, 10])}
    batch["history"] = tf.constant(np.stack([best[:, 0], best[:, 4], np.full(60, -1)], axis=1))
    batches = tf.data.Dataset.from_tensors(batch)
    assert catalogue_recall(model, batches, exclude_history=False)["val_recall@10"] == 0
    assert catalogue_recall(model, batches, exclude_history=True)["val_recall@10"] == 1


def test_candidates_that_score_alike_are_not_all_hits(tiny):
    data = parity.inputs(40, 300)
    model = build_model(data, RetrievalConfig(dim=4, layers=None))
    for weight in (model.candidate_tower.ids.embeddings, *model.candidate_tower.trainable_variables):
        weight.assign(tf.zeros_like(weight))
    found = catalogue_recall(model, data.validation.batches(100), exclude_history=False)
    assert found["val_recall@10"] == pytest.approx(0.25, abs=0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_of_a_model_of_no_numbers_nothing_is_measured(value):
    data = parity.inputs(40, 300)
    model = build_model(data, RetrievalConfig(dim=4, layers=None))
    model.candidate_tower.ids.embeddings.assign(tf.fill([41, 4], value))
    with pytest.raises(UserError, match="the embedding of 40 of 40 candidates is not a finite number"):
        catalogue_recall(model, data.validation.batches(100), exclude_history=False)


@pytest.mark.parametrize("own", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_is_never_found_and_hides_nothing(own):
    scores = tf.constant([[1.0, own, 0.5], [1.0, own, 0.5], [own] * 3])
    places = training._places(scores, tf.constant([1, 2, 0], tf.int64)).numpy()
    assert places[0] >= 3
    assert places[1] <= 2
    assert places[2] >= 3


def test_validation_looks_at_positive_interactions_only(tiny):
    rows, labels = (0, 2, 3, 1), np.array([1.0, 0.0, 0.0, 1.0])
    callback = CatalogueRecall(
        EncodedInteractions(tiny.batch(rows, labels=labels)), queries=10, exclude_history=True
    )
    (kept,) = callback._batches
    assert kept["candidate_row"].numpy().tolist() == [0, 1]
    with pytest.raises(UserError, match="the eval split has no positive interaction"):
        CatalogueRecall(
            EncodedInteractions(tiny.batch(rows, labels=0 * labels)), queries=10, exclude_history=True
        )


@pytest.mark.parametrize(
    "settings",
    [
        {"layers": (16,)},
        {"layers": None, "loss": {"kind": "full_softmax"}},
        {
            "layers": None,
            "loss": {"kind": "binary_cross_entropy", "in_batch": False, "uniform_negatives": 64},
            "optimizer": {"kind": "adagrad", "learning_rate": 0.5},
        },
        {
            "layers": None,
            "loss": {"kind": "full_binary_cross_entropy", "negative_weight": 8},
            "l2": 0.0025,
            "optimizer": {"kind": "sgd", "learning_rate": 5.0},
        },
    ],
    ids=["sampled_softmax", "full_softmax", "binary_cross_entropy", "full_binary_cross_entropy"],
)
def test_fit_learns_stops_early_and_keeps_the_best_weights(tmp_path, settings):
    data = parity.inputs(200, 4000)
    config = RetrievalConfig(
        **{
            "dim": 8,
            "feature_dim": 8,
            "batch_size": 128,
            "epochs": 30,
            "patience": 2,
            "optimizer": {"learning_rate": 0.02},
        }
        | settings
    )
    model = build_model(data, config)
    history = fit(model, data.train, data.validation, config, str(tmp_path))
    recalls = history["val_recall@100"]
    assert len(recalls) < config.epochs
    assert max(recalls) > 0.8, "half of the catalogue suits each user: knowing which half finds all in 100"
    restored = catalogue_recall(model, data.validation.batches(256), exclude_history=True)
    assert restored["val_recall@100"] == pytest.approx(max(recalls))
    assert list(tmp_path.rglob("events.out.tfevents.*")), "TensorBoard logs are written"


@pytest.fixture
def scripted(tmp_path, monkeypatch):
    """Trains for three epochs with recalls that are given; the model, and what validation was asked."""
    data = parity.inputs(20, 60)

    def train(**settings):
        asked, recalls = [], iter((0.5, 0.4, 0.6))

        def recall(model, batches, *, exclude_history):
            asked.append((sum(len(batch["candidate_row"]) for batch in batches), exclude_history))
            return {"val_recall@10": 0.0, MONITOR: next(recalls)}

        monkeypatch.setattr(training, "catalogue_recall", recall)
        config = RetrievalConfig(**{"dim": 4, "layers": None, "epochs": 3, "patience": 2} | settings)
        model = build_model(data, config)
        fit(model, data.train, data.validation, config, str(tmp_path), exclude_history=False)
        return model, asked

    return train


def test_batch_size_epochs_and_patience_change_what_is_served(scripted):
    whole = scripted()[0].embed_catalogue()
    for settings in ({"batch_size": 20}, {"epochs": 2}, {"patience": 1}):
        assert np.abs(scripted(**settings)[0].embed_catalogue() - whole).max() > 1e-4, settings


def test_the_rate_falls_over_all_epochs_and_validation_looks_at_so_many_queries(scripted):
    schedule = {"learning_rate": 0.1, "schedule": "cosine"}
    stopped, _ = scripted(optimizer=schedule, batch_size=20, patience=1)
    # The last step was the sixth of nine.
    assert float(stopped.optimizer.learning_rate) == pytest.approx(0.1 * (1 + np.cos(np.pi * 5 / 9)) / 2)
    _, asked = scripted(validation_queries=7)
    assert asked == [(7, False)] * 3
