"""Every option changes what is served, and what is served is what was trained."""

from typing import Annotated, Literal, get_args, get_origin

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.ranking.config import Negatives, RankingConfig
from components.ranking.negatives import NEGATIVE_ROWS
from components.ranking.trainer import ExportedRanking, build_model
from components.ranking.training import calibrate
from components.retrieval.training_inputs import encoded_query_signature
from components.transform.interaction_dataset import EncodedInteractions

DRAWN = {"negatives": {"popular": 1, "uniform": 2}}
MMOE = {"sharing": "mmoe", "experts": 3}
ATTENTION = {"history": "target_attention", "attention_dim": 4}
OPTIONS = {
    "default": {},
    "feature_dim": {"feature_dim": 2},
    "cross_layers": {"cross_layers": 1},
    "no_cross": {"cross_layers": 0},
    "cross_rank": {"cross_rank": 3},
    "layers": {"layers": (5,)},
    "no_layers": {"layers": ()},
    "parallel": {"structure": "parallel"},
    "attention": ATTENTION,
    "attention_dim": {**ATTENTION, "attention_dim": 2},
    "id_dropout": {"id_dropout": 0.9},
    "dropout": {"dropout": 0.5},
    "heads": {"heads": {"seen": ["view"]}},
    "head_weights": {"head_weights": {"buy": 9.0}},
    "uncertainty": {"weighting": "uncertainty"},
    "mmoe": MMOE,
    "mmoe_parallel": {**MMOE, "structure": "parallel"},
    "mmoe_experts": {**MMOE, "experts": 2},
    "position": {"position": {"maximum": 2}},
    "inverse_propensity": {"inverse_propensity": {}},
    "calibrated": {"calibration": "platt"},
    "calibrated_not": {"calibration": "none"},
    "repeats": {"repeats": True},
    "learning_rate": {"learning_rate": 0.01},
    "drawn": DRAWN,
    "drawn_pairwise": {**DRAWN, "loss": "pairwise"},
    "drawn_softmax": {**DRAWN, "loss": "softmax"},
    "drawn_history": {"negatives": {**DRAWN["negatives"], "history": 1}},
    "drawn_retrieved": {"negatives": {**DRAWN["negatives"], "retrieved": 2}},
    "drawn_no_repeats": {**DRAWN, "repeats": False},
    "seed": {"seed": 3},
}
OF_TRAINING = {"batch_size", "epochs", "patience"}
"""What changes how long training goes on, and nothing else."""
EXPORTED = ("calibrated", "no_cross", "no_layers", "parallel", "attention", "mmoe_parallel", "drawn_softmax")
ROWS = tf.constant([[0, 1, 2, 3], [3, 2, 2, 0], [1, 1, 3, 0]], tf.int64)


def trained(tiny, settings, *, calibrated=False):
    """A model after two steps, without the time that tracing takes."""
    config = tiny.config(**settings)
    model = build_model(tiny.inputs(tiny.shown()), config)
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate))
    batch = tiny.batch(8)
    if model.sampler:
        batch[NEGATIVE_ROWS] = model.sampler.draw(batch, tf.constant([1, 2], tf.int64))
    for _ in range(2):
        model.train_step(batch)
    if calibrated:
        calibrate(model, EncodedInteractions(batch), config)
    return model


@pytest.fixture(scope="module")
def models(tiny):
    """By option: trained in memory."""
    return {
        name: trained(tiny, settings, calibrated="calibrated" in name) for name, settings in OPTIONS.items()
    }


def query(tiny):
    return {name: tiny.batch(3)[name] for name in encoded_query_signature(tiny.inputs())}


@pytest.fixture(scope="module")
def served(tiny, models, tmp_path_factory):
    """By option: exported, saved and loaded again; in one SavedModel, which spares time."""
    folder = str(tmp_path_factory.mktemp("served"))
    everything = tf.Module()
    for name in EXPORTED:
        exported = ExportedRanking(models[name], encoded_query_signature(tiny.inputs()), 4)
        setattr(everything, name, exported)
    tf.saved_model.save(everything, folder)
    return tf.saved_model.load(folder)


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_served_is_what_was_trained(tiny, models, served, name):
    answer, expected = (
        score(query(tiny), ROWS) for score in (getattr(served, name).score, models[name].score)
    )
    assert set(answer) == set(expected) == {head.name for head in models[name].heads}
    for head, values in expected.items():
        np.testing.assert_allclose(answer[head], values, rtol=1e-4, atol=1e-6)
        assert values.dtype == tf.float32 and values.shape == ROWS.shape


@pytest.mark.parametrize("name", [name for name in OPTIONS if name != "default"])
def test_every_option_changes_what_is_served(tiny, models, name):
    base = next(
        (base for base in ("attention", "mmoe", "drawn", "calibrated") if name.startswith(f"{base}_")),
        "default",
    )
    one, other = (models[option].score(query(tiny), ROWS) for option in (name, base))
    assert set(one) != set(other) or max(np.abs(one[head] - other[head]).max() for head in one) > 1e-4


FIELDS = {name: field for name, field in RankingConfig.model_fields.items() if name not in OF_TRAINING}


@pytest.mark.parametrize("key", FIELDS)
def test_no_option_is_missing_here(key):
    field = FIELDS[key]
    tried = {str(settings[key]) for settings in OPTIONS.values() if key in settings}
    annotation = (
        get_args(field.annotation)[0] if get_origin(field.annotation) is Annotated else field.annotation
    )
    choices = get_args(annotation) if get_origin(annotation) is Literal else tried
    assert tried and tried | {str(field.default)} >= set(choices)


def test_no_kind_of_negatives_is_missing_here():
    tried = {kind for settings in OPTIONS.values() for kind in settings.get("negatives", ())}
    # How many are retrieved is for the trainer to know, see test_retrieved.py.
    assert tried == set(Negatives.model_fields) - {"retrieved_from"}


@pytest.mark.parametrize("name", ["age", "user", "history", "history_age"])
def test_all_that_is_known_of_a_query_has_a_say_in_what_is_served(tiny, served, name):
    one = query(tiny)
    # Alone events have no say in how they are weighed, so the second query's three are looked at.
    other = {**one, name: tf.reverse(one[name], [-1 if name.startswith("history") else 0])}
    answers = [served.attention.score(asked, ROWS)["positive"] for asked in (one, other)]
    assert np.abs(answers[0] - answers[1]).max() > 1e-5
