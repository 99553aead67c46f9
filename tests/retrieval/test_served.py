"""Every option changes what is served, and what is served is what was trained."""

from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import tensorflow as tf
from pydantic import BaseModel

from components.retrieval.config import RetrievalConfig
from components.retrieval.optimizers import make_optimizer
from components.retrieval.trainer import ExportedRetrieval, build_model
from components.retrieval.training_inputs import encoded_query_signature

ATTENTION = {"encoder": "attention", "dropout": 0.0}
LABELLED = {"kind": "binary_cross_entropy"}
SLOW = {"learning_rate": 0.05}
OPTIONS = {
    "default": {},
    "dim": {"dim": 6},
    "feature_dim": {"feature_dim": 2},
    "no_tower": {"layers": None},
    "linear": {"layers": ()},
    "deep": {"layers": (5, 3)},
    "no_query_id": {"query_id": False},
    "cosine": {"similarity": "cosine"},
    "no_bias": {"bias": False},
    "temperature": {"temperature": 0.2},
    "learnt_temperature": {"learn_temperature": True},
    "id_dropout": {"id_dropout": 0.5},
    "dropout": {"dropout": 0.5},
    "l2": {"l2": 0.1},
    "seed": {"seed": 3},
    "history_none": {"history": {"encoder": "none"}},
    "history_shared": {"history": {"shared": True}},
    "history_event_dropout": {"history": {"event_dropout": 0.5}},
    "history_half_life": {"history": {"half_life": 1.0}},
    "history_divisor": {"history": {"divisor": "sqrt_length"}},
    "attention": {"history": ATTENTION},
    "attention_layers": {"history": {**ATTENTION, "layers": 2}},
    "attention_heads": {"history": {**ATTENTION, "heads": 2}},
    "attention_dropout": {"history": {**ATTENTION, "dropout": 0.5}},
    "attention_positions": {"history": {**ATTENTION, "positions": False}},
    "attention_ages": {"history": {**ATTENTION, "ages": False}},
    "attention_actions": {"history": {**ATTENTION, "actions": False}},
    "loss_uniform_negatives": {"loss": {"uniform_negatives": 3}},
    "loss_only_uniform_negatives": {"loss": {"uniform_negatives": 3, "in_batch": False}},
    "loss_positive_not_sampled": {"loss": {"correction": "positive_not_sampled"}},
    "loss_uncorrected": {"loss": {"correction": "none"}},
    "loss_hard_negatives": {"loss": {"hard_negatives": 1}},
    "loss_inverse_propensity": {"loss": {"inverse_propensity": 0.5}},
    "loss_full_softmax": {"loss": {"kind": "full_softmax"}},
    "loss_full_binary_cross_entropy": {"loss": {"kind": "full_binary_cross_entropy"}},
    "labelled": {"loss": LABELLED},
    "labelled_negative_weight": {"loss": {**LABELLED, "negative_weight": 3.0}},
    "labelled_without_negatives": {"loss": {**LABELLED, "in_batch": False}},
    "optimizer_adam": {"optimizer": {**SLOW, "kind": "adam"}},
    "optimizer_adagrad": {"optimizer": {**SLOW, "kind": "adagrad"}},
    "optimizer_sgd": {"optimizer": {**SLOW, "kind": "sgd"}},
    "optimizer_rate": {"optimizer": {"learning_rate": 0.1}},
    "optimizer_cosine": {"optimizer": {**SLOW, "schedule": "cosine"}},
    "optimizer_warmup": {"optimizer": {**SLOW, "warmup_steps": 3}},
    "optimizer_weight_decay": {"optimizer": {**SLOW, "weight_decay": 0.5}},
}
OF_TRAINING = {"batch_size", "epochs", "patience", "validation_queries", "strategy"}
"""What only ``fit`` knows of: see test_training.py and, of the strategy, test_distribution.py."""
OF_LIGHT_RANKER = {"light_ranker"}
"""What leaves the towers alone: see test_light_ranker.py."""
# Those whose functions differ most; the others' differ in weights or in a layer.
EXPORTED = (
    *("default", "no_tower", "no_query_id", "cosine", "learnt_temperature"),
    *("history_shared", "history_half_life", "attention_layers"),
)
STEPS = [((0, 2, 0, 3), (1, 1, 1, 0)), ((3, 2, 2, 3), (1, 0, 1, 1))]
"""Rows and labels of two batches; the second leaves a row out, which a lazy optimiser leaves alone."""


def trained(tiny, settings, weights=None):
    """A model after two steps."""
    config = tiny.config(**{"optimizer": SLOW} | settings)
    model = build_model(tiny.inputs(), config)
    model.compile(optimizer=make_optimizer(config.optimizer, len(STEPS)))
    for rows, labels in STEPS:
        model.train_step(tiny.batch(rows, weights, labels))
    return model


def embeddings(model, batch):
    """Of the batch's queries, of the catalogue, and of candidates outside it: [6 + batch, width]."""
    strangers = tf.constant([-1, -1], tf.int64)
    features = {name: column[:2] for name, column in model.candidate_features.items()}
    return np.concatenate(
        [
            model.embed_query(batch),
            model.embed_catalogue(),
            model.embed_candidates(strangers, features),
        ]
    )


@pytest.fixture(scope="module")
def models(tiny):
    """By option: trained in memory."""
    return {name: trained(tiny, settings) for name, settings in OPTIONS.items()}


@pytest.fixture(scope="module")
def served(tiny, models, tmp_path_factory):
    """By option: exported, saved and loaded again; in one SavedModel, which spares time."""
    folder = str(tmp_path_factory.mktemp("served"))
    signature = encoded_query_signature(tiny.inputs())
    everything = tf.Module()
    for name in EXPORTED:
        setattr(everything, name, ExportedRetrieval(models[name], signature))
    tf.saved_model.save(everything, folder)
    return tf.saved_model.load(folder)


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_served_is_what_was_trained(tiny, models, served, name):
    batch, functions = tiny.batch(), getattr(served, name)
    features = {name: column[:2] for name, column in models[name].candidate_features.items()}
    found = [
        functions.embed_query({key: batch[key] for key in functions.embed_query.input_signature[0]}),
        functions.embed_rows(tf.range(4, dtype=tf.int64)),
        functions.embed_candidate(tf.constant([-1, -1], tf.int64), features),
    ]
    np.testing.assert_allclose(
        np.concatenate([answer["embedding"] for answer in found]),
        embeddings(models[name], batch),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "default"])
def test_every_option_changes_what_is_served(tiny, models, name):
    base = next((base for base in ("attention", "labelled") if name.startswith(f"{base}_")), "default")
    one, other = (embeddings(models[option], tiny.batch()) for option in (name, base))
    assert one.shape != other.shape or np.abs(one - other).max() > 1e-4


def options(model=RetrievalConfig, path=""):
    """Every key of the section, dotted, and what it can be."""
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from options(field.annotation, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


def given(settings, path=""):
    """Key, dotted, and value of nested settings."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from given(value, f"{path}{name}.")
        else:
            yield f"{path}{name}", value


FIELDS = {key: field for key, field in options() if key not in OF_TRAINING | OF_LIGHT_RANKER}


@pytest.mark.parametrize("key", FIELDS)
def test_no_option_is_missing_here(key):
    field = FIELDS[key]
    tried = {value for settings in OPTIONS.values() for name, value in given(settings) if name == key}
    choices = get_args(field.annotation) if get_origin(field.annotation) is Literal else tried
    assert tried and tried | {field.default} >= set(choices)


def test_weights_of_interactions_change_what_is_served(tiny, models):
    weighted = embeddings(trained(tiny, {}, weights=(1.0, 5.0, 1.0, 0.5)), tiny.batch())
    assert np.abs(weighted - embeddings(models["default"], tiny.batch())).max() > 1e-4


@pytest.mark.parametrize("name", ["age", "user", "history", "history_age", "history_action"])
def test_all_that_is_known_of_a_query_has_a_say_in_what_is_served(tiny, served, name):
    functions, batch = served.attention_layers, tiny.batch()
    other = {**batch, name: tf.roll(batch[name], 1, axis=0)}
    one, rolled = (
        functions.embed_query({key: found[key] for key in functions.embed_query.input_signature[0]})
        for found in (batch, other)
    )
    assert np.abs(one["embedding"] - rolled["embedding"]).max() > 1e-4


@pytest.mark.parametrize("name", ["genre", "words"])
def test_each_feature_of_a_candidate_has_a_say_in_what_is_served(tiny, models, served, name):
    features = {key: column[:1] for key, column in models["default"].candidate_features.items()}
    other = {**features, name: models["default"].candidate_features[name][3:]}
    one, changed = (
        served.default.embed_candidate(tf.constant([-1], tf.int64), found) for found in (features, other)
    )
    assert np.abs(one["embedding"] - changed["embedding"]).max() > 1e-4


def test_a_second_training_from_the_same_seed_is_the_same(tiny, models):
    again = embeddings(trained(tiny, {}), tiny.batch())
    np.testing.assert_array_equal(again, embeddings(models["default"], tiny.batch()))
