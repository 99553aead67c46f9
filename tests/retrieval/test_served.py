"""Every option changes what is served, and what is served is what was trained."""

import numpy as np
import pytest
import tensorflow as tf

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
    "loss_full_softmax": {"loss": {"kind": "full_softmax"}},
    "labelled": {"loss": LABELLED},
    "labelled_negative_weight": {"loss": {**LABELLED, "negative_weight": 3.0}},
    "labelled_without_negatives": {"loss": {**LABELLED, "in_batch": False}},
    "optimizer_adam": {"optimizer": {**SLOW, "kind": "adam"}},
    "optimizer_adagrad": {"optimizer": {**SLOW, "kind": "adagrad"}},
    "optimizer_rate": {"optimizer": {"learning_rate": 0.1}},
    "optimizer_cosine": {"optimizer": {**SLOW, "schedule": "cosine"}},
    "optimizer_warmup": {"optimizer": {**SLOW, "warmup_steps": 3}},
    "optimizer_weight_decay": {"optimizer": {**SLOW, "weight_decay": 0.5}},
}
# Those whose functions differ most; the others' differ in weights or in a layer.
EXPORTED = (
    *("default", "no_tower", "no_query_id", "cosine"),
    *("history_shared", "history_half_life", "attention_layers"),
)
STEPS = [((0, 2, 0, 3), (1, 1, 1, 0)), ((3, 2, 2, 3), (1, 0, 1, 1))]
"""Rows and labels of two batches; the second leaves a row out, which a lazy optimiser leaves alone."""


def trained(tiny, settings):
    """A model after two steps."""
    config = tiny.config(**{"optimizer": SLOW} | settings)
    model = build_model(tiny.inputs(), config)
    model.compile(optimizer=make_optimizer(config.optimizer, len(STEPS)))
    for rows, labels in STEPS:
        model.train_step(tiny.batch(rows, labels=labels))
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


def test_a_second_training_from_the_same_seed_is_the_same(tiny, models):
    again = embeddings(trained(tiny, {}), tiny.batch())
    np.testing.assert_array_equal(again, embeddings(models["default"], tiny.batch()))
