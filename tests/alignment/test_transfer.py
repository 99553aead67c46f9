"""What the towers learn from a ranker that knows something they do not, by the step's own training."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from components.alignment.model import AlignedModel
from components.alignment.trainer import align
from components.alignment.validation import DELIVERED, MONITOR
from components.retrieval.config import LightRankerConfig
from components.retrieval.trainer import ExportedRetrieval, build_model, restore_weights
from components.retrieval.training import without_history

FAST = {"epochs": 3, "batch_size": 256, "optimizer": {"learning_rate": 0.02}}
TAUGHT = {
    "distillation": {"distillation": {}},
    "dpo": {"preference": {}},
    "policy_gradient": {"preference": {"method": "policy_gradient", "list_size": 10, "beta": 0.5}},
}


def delivered(world, embed_query, embed_catalogue):
    """Share of the ranker's ten best songs of all that are among the towers' twenty best."""
    batch = next(iter(world.inputs.validation.batches(300)))
    rows = tf.repeat(tf.range(200, dtype=tf.int64)[tf.newaxis], 300, axis=0)
    final = without_history(world.teacher().judge(batch, rows).final, batch["history"])
    scores = tf.matmul(embed_query(batch), embed_catalogue, transpose_b=True)
    found = tf.math.top_k(without_history(scores, batch["history"]), 20).indices.numpy()
    wanted = tf.math.top_k(final, 10).indices.numpy()
    return (wanted[:, :, None] == found[:, None, :]).any(axis=2).mean()


@pytest.fixture(scope="module")
def before(world):
    """What the towers deliver that have not been taught."""
    model = aligned(world)
    return delivered(world, model.embed_query, model.embed_catalogue())


def aligned(world, **section):
    """The towers restored, with the loss of such a section."""
    config = world.config(**(section or {"distillation": {}}))
    make = functools.partial(AlignedModel, teacher=world.teacher(), config=config)
    model = build_model(world.inputs, config.training(config.retrieval), make)
    restore_weights(model, world.towers, next(iter(world.inputs.train.batches(8))))
    return model


def test_restored_towers_embed_as_the_export_does_to_the_bit(world):
    model, exported = aligned(world), tf.saved_model.load(world.towers)
    # As a graph, as the export is: run one by one, operations that a graph fuses round differently.
    restored = ExportedRetrieval(model, world.signature)
    batch = next(iter(world.inputs.validation.batches(50)))
    query = {name: batch[name] for name in world.signature}
    np.testing.assert_array_equal(
        restored.embed_query(query)["embedding"], exported.embed_query(query)["embedding"]
    )
    rows = tf.range(200, dtype=tf.int64)
    np.testing.assert_array_equal(
        restored.embed_rows(rows)["embedding"], exported.embed_rows(rows)["embedding"]
    )
    assert np.ptp(model.embed_query(batch)) > 0


def test_a_light_ranker_is_restored_with_its_towers(world, tmp_path):
    light = {"light_ranker": LightRankerConfig(query_embeddings=2, dim=4)}
    first, other = (
        build_model(world.inputs, world.retrieval.model_copy(update={**light, "seed": seed}))
        for seed in (1, 2)
    )
    batch = next(iter(world.inputs.train.batches(8)))
    for model in (first, other):
        model.make_weights(batch)
    exported = ExportedRetrieval(first, world.signature)
    tf.saved_model.save(exported, str(tmp_path), signatures=exported.signatures())
    embeddings = first.embed_query_for_both(batch)[1]
    assert np.abs(embeddings - other.embed_query_for_both(batch)[1]).max() > 0.01
    restore_weights(other, str(tmp_path), batch)
    np.testing.assert_array_equal(embeddings, other.embed_query_for_both(batch)[1])
    np.testing.assert_array_equal(
        first.embed_catalogue_for_light_ranker(), other.embed_catalogue_for_light_ranker()
    )


def test_weights_of_another_shape_are_not_restored(world):
    other = build_model(world.inputs, world.retrieval.model_copy(update={"dim": 4}))
    with pytest.raises(ValueError, match="shape"):
        restore_weights(other, world.towers, next(iter(world.inputs.train.batches(8))))


@pytest.mark.parametrize("section", TAUGHT.values(), ids=TAUGHT)
def test_the_ranker_s_ten_best_are_retrieved_more_often(world, before, section, tmp_path):
    model, history = align(
        world.inputs, world.config(**FAST, **section), world.towers, world.ranker, log_dir=str(tmp_path)
    )
    after = delivered(world, model.embed_query, model.embed_catalogue())
    assert after >= 1.2 * before
    # The towers kept are those whose list was the best; it is better than before, as what is chosen goes by
    # what the ranker knows.
    assert max(history[MONITOR]) > history[f"before_{MONITOR}"][0]
    assert len(history[DELIVERED]) == FAST["epochs"]
