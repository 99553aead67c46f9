"""What is judged for each query, and the sum of the parts of the loss."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from components.alignment import losses
from components.alignment.model import AlignedModel
from components.alignment.validation import DELIVERED, MONITOR, CascadeValidation
from components.retrieval.trainer import build_model
from components.transform.interaction_dataset import CANDIDATE_ROW, QUERY_OF

ALL = {"retrieved": 200, "retrieved_from": 200, "in_batch": 0, "uniform": 0}


def model_of(world, **section):
    """Towers with weights of their own, so that the reference is another."""
    config = world.config(**section)
    make = functools.partial(AlignedModel, teacher=world.teacher(), config=config)
    model = build_model(world.inputs, config.training(config.retrieval), make)
    batch = next(iter(world.inputs.train.batches(8)))
    model.make_weights(batch)
    random = np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(random.normal(scale=0.5, size=weight.shape))
    model.refresh()
    return model, batch


def test_candidates_are_retrieved_of_the_batch_and_of_the_catalogue(world):
    numbers = {"retrieved": 5, "retrieved_from": 20, "in_batch": 4, "uniform": 6}
    model, batch = model_of(world, distillation={}, candidates=numbers)
    queries = model.embed_query(batch)
    rows, counted = (part.numpy() for part in model.draw(queries, batch))
    assert rows.shape == counted.shape == (8, 15)
    scores = queries @ tf.transpose(model.embed_catalogue())
    held = batch["history"].numpy()[:, :1]
    best = np.argsort(-np.where(np.arange(200) == held, -np.inf, scores), axis=1)[:, :20]
    for retrieved, allowed in zip(rows[:, :5], best, strict=True):
        assert len(set(retrieved)) == 5 and set(retrieved) <= set(allowed)
    assert (rows[:, 5:] == rows[:1, 5:]).all() and set(rows[0, 5:9]) <= set(batch[CANDIDATE_ROW].numpy())
    np.testing.assert_array_equal(counted, rows != held)
    assert counted[:, :5].all()


def test_retrieved_ones_are_drawn_by_the_softmax_of_the_towers(world):
    model, batch = model_of(
        world,
        preference={},
        candidates={"retrieved": 2, "retrieved_from": 4, "in_batch": 0, "uniform": 0},
        repeats=True,
    )
    many = {name: tf.repeat(column[:1], 20_000, axis=0) for name, column in batch.items()}
    rows = model.draw(model.embed_query(many), many).rows.numpy()
    scores = (model.embed_query(batch)[:1] @ tf.transpose(model.embed_catalogue())).numpy()[0]
    best = np.argsort(-scores)[:4]
    shares = np.exp(scores[best]) / np.exp(scores[best]).sum()
    found = [(rows[:, 0] == row).mean() for row in best]
    np.testing.assert_allclose(found, shares, atol=0.015)
    # Without replacement: the second is of what is left.
    second = [
        (shares[np.arange(4) != i] * shares[i] / (1 - shares[np.arange(4) != i])).sum() for i in range(4)
    ]
    np.testing.assert_allclose([(rows[:, 1] == row).mean() for row in best], second, atol=0.015)


def test_with_fewer_candidates_than_are_wanted_those_missing_do_not_count(world):
    model, batch = model_of(world, preference={}, candidates=ALL)
    rows, counted = model.draw(model.embed_query(batch), batch)
    np.testing.assert_array_equal(counted.numpy().sum(axis=1), [199] * 8)
    missing = np.array([row[~kept] for row, kept in zip(rows.numpy(), counted.numpy(), strict=True)])
    np.testing.assert_array_equal(missing[:, 0], batch["history"][:, 0])


def test_the_loss_is_the_weighted_sum_of_its_parts(world):
    section = {
        "distillation": {"weight": 2.0, "temperature": 3.0},
        "preference": {"method": "policy_gradient", "weight": 0.5, "list_size": 4, "beta": 3.0},
        "supervised": 0.1,
        "candidates": ALL,
    }
    model, batch = model_of(world, repeats=True, **section)
    rows = tf.repeat(tf.range(200, dtype=tf.int64)[tf.newaxis], 8, axis=0)
    scores = model.embed_query(batch) @ tf.transpose(model.embed_catalogue())
    judged, counted = world.teacher().judge(batch, rows), tf.ones_like(rows, tf.bool)
    np.testing.assert_allclose(judged.final, judged.reference + judged.rewards, rtol=1e-5)
    by_hand = [
        2.0 * losses.distillation(scores, judged.final, counted, 3.0),
        0.5 * losses.policy_gradient(scores, judged.rewards, counted, 4),
        0.5 * 3.0 * losses.divergence_from_reference(scores, judged.reference, counted),
    ]
    others = sum(float(tf.reduce_mean(part)) for part in by_hand)
    tf.random.set_seed(5)
    total = float(model.compute_loss(batch))
    tf.random.set_seed(5)
    supervised = float(super(AlignedModel, model).compute_loss(batch))
    assert total == pytest.approx(others + 0.1 * supervised, rel=1e-4)


def test_margin_mse_is_of_each_positive_with_the_candidates_of_its_query(world):
    section = {"distillation": {"loss": "margin_mse"}, "supervised": 0.0, "candidates": ALL}
    model, batch = model_of(world, repeats=True, **section)
    # Two queries, of three interactions and one; the second interaction is no positive.
    query_of, rows = [0, 0, 0, 1], [3, 5, 7, 9]
    queries = {name: column[:2] for name, column in batch.items()}
    inputs = {
        **queries,
        QUERY_OF: tf.constant(query_of, tf.int64),
        CANDIDATE_ROW: tf.constant(rows, tf.int64),
        "positive": tf.constant([1.0, 0, 1, 1]),
        "weight": tf.ones([4]),
    }
    student = (model.embed_query(queries) @ tf.transpose(model.embed_catalogue())).numpy()
    every = tf.repeat(tf.range(200, dtype=tf.int64)[tf.newaxis], 2, axis=0)
    teacher = world.teacher().judge(queries, every).final.numpy()
    errors = [
        np.mean(((student[q, own] - student[q]) - (teacher[q, own] - teacher[q])) ** 2)
        for q, own in ((0, 3), (0, 7), (1, 9))
    ]
    assert float(model.compute_loss(inputs)) == pytest.approx(np.mean(errors), rel=1e-4)
    assert float(model.compute_loss({**inputs, "positive": tf.zeros([4])})) == 0


def test_dpo_learns_from_what_is_retrieved_alone(world):
    candidates = {**ALL, "in_batch": 9, "uniform": 9}
    section = {"preference": {"method": "dpo", "beta": 0.7}, "supervised": 0.0, "candidates": candidates}
    model, batch = model_of(world, repeats=True, **section)
    rows = tf.repeat(tf.range(200, dtype=tf.int64)[tf.newaxis], 8, axis=0)
    scores = model.embed_query(batch) @ tf.transpose(model.embed_catalogue())
    judged = world.teacher().judge(batch, rows)
    by_hand = losses.preference(scores, judged.reference, judged.rewards, tf.ones_like(rows, tf.bool), 0.7)
    assert float(model.compute_loss(batch)) == pytest.approx(float(tf.reduce_mean(by_hand)), rel=1e-4)


@pytest.mark.parametrize(
    ("repeats", "rank_history", "keep"), [(False, False, None), (True, True, None), (True, True, 10)]
)
def test_validation_is_of_the_list_shown_and_of_what_is_delivered_of_the_ranker_s_ten(
    world, repeats, rank_history, keep
):
    model, _ = model_of(world, distillation={}, keep=keep)
    settings = {
        "repeats": repeats,
        "rank_history": rank_history,
        "keep": keep,
        "validation_queries": 300,
    }
    teacher, config = world.teacher(), world.config(distillation={}, **settings)
    validation = CascadeValidation(teacher, world.inputs.validation, config)
    batch = next(iter(world.inputs.validation.spread(300).batches(300)))
    rows = tf.repeat(tf.range(200, dtype=tf.int64)[tf.newaxis], 300, axis=0)
    judged = teacher.judge(batch, rows)
    scores = (model.embed_query(batch) @ tf.transpose(model.embed_catalogue())).numpy()
    light = scores
    if keep:
        several = model.embed_query_for_both(batch)[1]
        candidates = model.embed_catalogue_for_light_ranker()
        light = model.light_ranker.score_all(several, candidates, scores).numpy()
    gains, shares = [], []
    for i, own in enumerate(batch[CANDIDATE_ROW].numpy()):
        held = batch["history"].numpy()[i, 0]
        allowed = [row for row in range(200) if row != held or (repeats and not rank_history)]
        found = sorted(allowed, key=lambda row: -scores[i, row])
        kept = sorted(found[:20], key=lambda row: -light[i, row])[:keep]
        ranked = [*kept, *([held] if rank_history else [])]
        final = scores[i] + judged.rewards.numpy()[i]
        shown = sorted(ranked, key=lambda row: -final[row])[:10]
        gains.append(1 / np.log2(2 + shown.index(own)) if own in shown else 0.0)
        best = sorted(allowed, key=lambda row: -judged.final.numpy()[i, row])[:10]
        shares.append(len(set(best) & set(found[:100])) / 10)
    measured = validation.measure(model)
    assert measured[MONITOR] == pytest.approx(np.mean(gains), rel=1e-5) and np.mean(gains) > 0
    assert measured[DELIVERED] == pytest.approx(np.mean(shares), rel=1e-6)
