"""TFRS' task and the project's own losses are the same where both can be computed."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval.model import RetrievalModel
from components.retrieval.negatives import NegativePool
from components.retrieval.task import retrieval_task
from components.transform.interaction_dataset import QUERY_OF

DRAWN = [1, 2, 3, 3]
ROWS = (0, 2, 0, 3, 2, 0, 1)


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Even draws are always the same."""
    monkeypatch.setattr(
        NegativePool, "draw_uniform", lambda pool: tf.constant(DRAWN, tf.int64) if pool._uniform else None
    )


def linear(tiny, **settings):
    """A model of ids alone, which is quick to make."""
    return tiny.model(**{"features": False, "layers": None, "history": {"encoder": "none"}} | settings)


def batch_of(tiny, rows, query_of=None):
    """Interactions, each a query, or of several queries with the query's columns once each."""
    weights = np.linspace(0.5, 2.0, len(rows))
    batch = dict(tiny.batch(rows, weights, features=False))
    if query_of is None:
        return batch
    firsts = [query_of.index(query) for query in range(max(query_of) + 1)]
    by_interaction = ("candidate_row", "weight", "positive")
    of_queries = {name: tf.gather(batch[name], firsts) for name in batch if name not in by_interaction}
    return batch | of_queries | {QUERY_OF: tf.constant(query_of, tf.int64)}


def loss_and_gradients(model, batch):
    """The loss of a batch, and what training would do with it, as arrays."""
    with tf.GradientTape() as tape:
        loss = model.compute_loss(batch)
    gradients = tape.gradient(loss, model.trainable_variables)
    return [loss.numpy(), *(tf.convert_to_tensor(each).numpy() for each in gradients if each is not None)]


def assert_agree(model, batch):
    """The task, which has to be asked, gives what the losses beside it do."""
    with mock.patch.object(model.task, "call", wraps=model.task.call) as asked:
        of_task = loss_and_gradients(model, batch)
        asked.assert_called_once()
        with mock.patch.object(RetrievalModel, "_task_applies", return_value=False):
            beside = loss_and_gradients(model, batch)
        asked.assert_called_once()
    for one, other in zip(of_task, beside, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"temperature": 0.3},
        {"temperature": 0.3, "learn_temperature": True},
        {"similarity": "cosine", "temperature": 0.1, "l2": 0.1},
        {"loss": {"correction": "none"}},
        {"loss": {"hard_negatives": 2}, "temperature": 2.0},
        {"loss": {"hard_negatives": 50}},
        {"loss": {"inverse_propensity": 0.5, "uniform_negatives": 0}, "bias": False},
    ],
    ids=str,
)
def test_the_task_and_the_losses_beside_it_agree_in_loss_and_gradient(tiny, settings):
    model = linear(tiny, **settings)
    for query_of in (None, [0, 0, 0, 1, 1, 2, 3], [0, 0, 0, 0, 0, 0, 0]):
        assert_agree(model, batch_of(tiny, ROWS, query_of))


@pytest.mark.parametrize("loss", [{}, {"correction": "none"}, {"hard_negatives": 3}], ids=str)
def test_evenly_drawn_candidates_are_the_tasks_extra_candidates(tiny, loss):
    model = linear(tiny, loss={"uniform_negatives": 4, **loss}, temperature=0.5)
    assert_agree(model, batch_of(tiny, ROWS))


def test_whole_queries_beside_evenly_drawn_candidates_are_not_asked_of_the_task(tiny, monkeypatch):
    model = linear(tiny, loss={"uniform_negatives": 4})
    monkeypatch.setattr(model.task, "call", lambda *_, **__: pytest.fail("the task was asked"))
    assert model.compute_loss(batch_of(tiny, ROWS, [0, 0, 0, 1, 1, 2, 3])) > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"loss": {"in_batch": False, "uniform_negatives": 3}},
        {"loss": {"correction": "positive_not_sampled"}},
        {"loss": {"kind": "full_softmax"}},
        {"loss": {"kind": "binary_cross_entropy"}},
        {"loss": {"kind": "full_binary_cross_entropy"}},
        {"light_ranker": {}},
    ],
    ids=str,
)
def test_there_is_no_task_where_it_cannot_express_the_loss(tiny, settings):
    config = tiny.config(**settings)
    pool = NegativePool(tiny.counts, in_batch=config.loss.in_batch, uniform=config.loss.uniform_negatives)
    assert retrieval_task(config, pool, 1.0) is None


@pytest.mark.parametrize(("per_query", "asked"), [(1.0, True), (1.7, True), (2.5, False), (40.0, False)])
def test_baskets_are_left_to_the_losses_that_score_once_a_query(tiny, per_query, asked):
    pool = NegativePool(tiny.counts, in_batch=True, uniform=0)
    assert bool(retrieval_task(tiny.config(), pool, per_query)) == asked


def test_a_candidate_rarer_than_the_task_can_express_is_left_to_the_losses_beside_it(tiny):
    counts = np.array([4_000_000, 1, 2])
    pool = NegativePool(counts, in_batch=True, uniform=0)
    assert pool.least_relative_probability == pytest.approx(1 / 4_000_000)
    assert retrieval_task(tiny.config(), pool, 1.0) is None
    assert retrieval_task(tiny.config(loss={"correction": "none"}), pool, 1.0)
    # Beside even draws none is as rare.
    drawn_too = NegativePool(counts, in_batch=True, uniform=3)
    assert drawn_too.least_relative_probability > 0.4
    assert retrieval_task(tiny.config(loss={"uniform_negatives": 3}), drawn_too, 1.0)


def test_probabilities_are_the_exact_mixture_but_for_its_scale(tiny):
    pool = NegativePool(tiny.counts, in_batch=True, uniform=3)
    rows, others = tf.range(4), tf.constant(6.0)
    relative = pool.relative_probabilities(rows, others).numpy()
    expected = np.exp(pool.log_expected_counts(rows, others).numpy())
    np.testing.assert_allclose(relative, expected / expected.max(), rtol=1e-6)


@pytest.mark.parametrize("uniform", [0, 3])
def test_a_replica_that_gets_nothing_of_the_last_batch_loses_nothing(tiny, uniform):
    model = linear(tiny, strategy="mirrored", loss={"uniform_negatives": uniform})
    batch = {name: column[:0] for name, column in batch_of(tiny, ROWS).items()}
    loss, *gradients = loss_and_gradients(model, batch)
    assert loss == 0
    assert all(not gradient.any() for gradient in gradients)
