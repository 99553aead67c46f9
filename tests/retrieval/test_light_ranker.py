"""The light ranker by its weights, in numpy, and what several embeddings of a query can that one cannot."""

import numpy as np
import parity
import pytest
import tensorflow as tf

from components.retrieval.config import LightRankerConfig, RetrievalConfig
from components.retrieval.light_ranker import LightRanker, pooled
from components.retrieval.optimizers import make_optimizer
from components.retrieval.trainer import ExportedRetrieval, build_model
from components.retrieval.training_inputs import TrainingInputs, encoded_query_signature
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

LIGHT = {"query_embeddings": 3, "dim": 2, "temperature": 0.5}
ROWS = (0, 2, 0)


def by_hand(queries, candidates, retrieval, temperature):
    """Of each query, [K, dim], and each of its candidates, [n, dim]: a loop a pair."""
    scores = np.array(retrieval, float)
    for q, several in enumerate(queries):
        for c, candidate in enumerate(candidates[q]):
            logits = np.array([np.dot(one, candidate) for one in several])
            weights = np.exp(logits / temperature) / np.exp(logits / temperature).sum()
            scores[q, c] += (weights * logits).sum()
    return scores


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_candidates_score_is_the_towers_and_the_pooled_logits_of_the_queries_embeddings(temperature):
    random = np.random.default_rng(1)
    ranker = LightRanker(LightRankerConfig(**LIGHT | {"temperature": temperature}), seed=1)
    queries, candidates, retrieval = (
        random.normal(size=size).astype(np.float32) for size in ((5, 3, 2), (5, 7, 2), (5, 7))
    )
    np.testing.assert_allclose(
        ranker.score(queries, candidates, retrieval),
        by_hand(queries, candidates, retrieval, temperature),
        rtol=1e-4,
        atol=1e-5,
    )
    shared = candidates[0]
    np.testing.assert_allclose(
        ranker.score_all(queries, shared, retrieval),
        by_hand(queries, [shared] * 5, retrieval, temperature),
        rtol=1e-4,
        atol=1e-5,
    )


def test_pooling_lies_between_the_mean_and_the_largest_also_of_large_logits():
    logits = tf.constant([[[1.0, 500.0], [3.0, -500.0]]])
    np.testing.assert_allclose(pooled(logits, 1e6), [[2.0, 0.0]], atol=0.3)
    np.testing.assert_allclose(pooled(logits, 0.01), [[3.0, 500.0]], rtol=1e-6)


@pytest.mark.parametrize("layers", [None, (5,)])
def test_embeddings_are_linear_in_what_the_towers_embeddings_are_linear_in(tiny, layers):
    model, batch = tiny.model(layers=layers, light_ranker=LIGHT), tiny.batch()
    query = model._raw_query(batch, training=False)
    kernel, bias = model.light_ranker._query.get_weights()
    expected = (query.hidden.numpy() @ kernel + bias).reshape(3, 3, 2)
    embedding, several = model.embed_query_for_both(batch)
    np.testing.assert_allclose(several, expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(embedding, model.embed_query(batch))
    # The towers' own, but for the bias: what is added up, and the last hidden layer's.
    kernel, bias = model.query_tower._tower._output.get_weights()
    added, last = np.split(query.hidden.numpy(), [-len(kernel)], axis=1)
    towers = added.reshape(3, -1, 4).sum(axis=1) + last @ kernel + bias
    np.testing.assert_allclose(query.embedding[:, :-1], towers, rtol=1e-4, atol=1e-6)


def light_scores(model, batch):
    """Of every query and candidate, by hand."""
    embedding, several = (part.numpy() for part in model.embed_query_for_both(batch))
    retrieval = embedding @ model.embed_catalogue().numpy().T
    candidates = model.embed_catalogue_for_light_ranker(3).numpy()
    return by_hand(several, [candidates] * len(several), retrieval, LIGHT["temperature"])


@pytest.mark.parametrize("stop_gradient", [True, False])
@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "full_softmax"},
        {"kind": "full_binary_cross_entropy", "negative_weight": 2.0},
        {"kind": "binary_cross_entropy", "in_batch": False},
    ],
)
def test_its_loss_is_the_towers_of_its_own_scores_weighted_beside_it(tiny, loss, stop_gradient):
    light = {**LIGHT, "weight": 3.0, "stop_gradient": stop_gradient}
    model, batch = tiny.model(loss=loss, light_ranker=light), tiny.batch(weights=(1.0, 0.5, 2.0))
    towers = tiny.model(loss=loss)
    for weight, value in zip(towers.trainable_variables, model.trainable_variables, strict=False):
        weight.assign(value)
    scores = light_scores(model, batch)
    own = scores[np.arange(3), list(ROWS)]
    if loss["kind"] == "full_softmax":
        losses = np.log(np.exp(scores).sum(axis=1)) - own
    else:
        beside = 2 * np.log1p(np.exp(scores)).mean(axis=1) if "negative_weight" in loss else 0
        losses = np.log1p(np.exp(-own)) + beside
    expected = float(towers.compute_loss(batch)) + 3 * np.mean(losses * batch["weight"].numpy())
    assert float(model.compute_loss(batch)) == pytest.approx(expected, rel=1e-4)
    assert float(model.metrics[-1].result()) == pytest.approx(
        np.mean(losses * batch["weight"].numpy()), rel=1e-4
    )


def test_the_batchs_candidates_are_corrected_and_excluded_as_the_towers_are(tiny):
    model, batch = tiny.model(light_ranker=LIGHT), tiny.batch()
    scores = light_scores(model, batch)
    # Queries 0 and 2 have candidate 0, query 1 has candidate 2; each has two others in the batch.
    shift = np.log(2 * tiny.counts / tiny.counts.sum(), where=tiny.counts > 0, out=np.zeros(4))
    corrected = scores - shift
    losses = [
        np.log1p(sum(np.exp(corrected[q, other]) for other in others) / np.exp(corrected[q, own]))
        for q, (own, others) in enumerate([(0, [2]), (2, [0, 0]), (0, [2])])
    ]
    model.compute_loss(batch)
    assert float(model.metrics[-1].result()) == pytest.approx(np.mean(losses), rel=1e-4)


def trained(tiny, **settings):
    """The towers after three steps."""
    config = tiny.config(optimizer={"learning_rate": 0.05}, dropout=0.5, id_dropout=0.3, **settings)
    model = build_model(tiny.inputs(), config)
    model.compile(optimizer=make_optimizer(config.optimizer, 3))
    for _ in range(3):
        model.train_step(tiny.batch())
    return model


def test_with_the_gradient_stopped_the_towers_learn_as_without_it_and_else_from_it(tiny):
    batch = tiny.batch()
    without = trained(tiny).embed_query(batch)
    stopped = trained(tiny, light_ranker=LIGHT)
    # Without a light ranker TFRS' task computes the same loss, and rounds it in another order.
    np.testing.assert_allclose(stopped.embed_query(batch), without, rtol=1e-5, atol=1e-6)
    assert (
        np.abs(
            trained(tiny, light_ranker={**LIGHT, "stop_gradient": False}).embed_query(batch) - without
        ).max()
        > 1e-3
    )
    again = trained(tiny, light_ranker=LIGHT)
    for one, other in zip(stopped.trainable_variables, again.trainable_variables, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_exported_scores_as_in_training(tiny, tmp_path):
    model, batch = tiny.model(light_ranker=LIGHT), tiny.batch()
    tf.saved_model.save(ExportedRetrieval(model, encoded_query_signature(tiny.inputs())), str(tmp_path))
    served = tf.saved_model.load(str(tmp_path))
    rows = tf.constant([[3, 0, 1], [2, 2, 0], [1, 3, 2]], tf.int64)
    embedded = served.embed_query({key: batch[key] for key in served.embed_query.input_signature[0]})
    retrieval = np.take_along_axis(
        embedded["embedding"].numpy() @ model.embed_catalogue().numpy().T, rows.numpy(), axis=1
    )
    found = served.light_rank(embedded["light_ranker"], rows, retrieval)
    expected = np.take_along_axis(light_scores(model, batch), rows.numpy(), axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert not hasattr(ExportedRetrieval(tiny.model(), encoded_query_signature(tiny.inputs())), "light_rank")


TASTES = 12
PAIRS = np.array([(a, b) for a in range(TASTES) for b in range(a)])


def tastes(asked, rows):
    """Interactions of queries with two tastes each, [n, 2], with candidates, one a taste."""
    n = len(asked)
    both = np.zeros([n, TASTES], np.float32)
    both[np.arange(n)[:, np.newaxis], asked] = 1
    return EncodedInteractions(
        {
            "user": tf.zeros([n], tf.int64),
            "tastes": tf.constant(both),
            "history": tf.fill([n, 1], tf.constant(-1, tf.int64)),
            "history_age": tf.zeros([n, 1]),
            "history_action": tf.zeros([n, 1], tf.int64),
            "candidate_row": tf.constant(rows, tf.int32),
            "weight": tf.ones([n]),
            "positive": tf.ones([n]),
        }
    )


def found_of_two_tastes(query_embeddings):
    """Share of both tastes' candidates among the two best, of the towers and of the light ranker.

    Every pair of twelve tastes is asked for; embeddings are two wide, so that a vector between two tastes is
    nearer to those that lie between them.
    """
    train = tastes(np.tile(np.concatenate([PAIRS, PAIRS]), (8, 1)), np.tile(PAIRS.T.flatten(), 8))
    names = np.array([b"%d" % taste for taste in range(TASTES)], object)
    inputs = TrainingInputs(
        declaration=parity.DECLARATION,
        table=CandidateTable(names, {"taste": np.eye(TASTES, dtype=np.float32)}),
        train=train,
        validation=train,
        query_id=("user", 2),
        query_features=[EncodedFeature("tastes", "dense", 0, TASTES)],
        candidate_features=[EncodedFeature("taste", "dense", 0, TASTES)],
    )
    config = RetrievalConfig(
        dim=2,
        layers=None,
        query_id=False,
        history={"encoder": "none"},
        loss={"kind": "full_softmax"},
        id_dropout=0.0,
        light_ranker={"query_embeddings": query_embeddings, "dim": 2},
        optimizer={"learning_rate": 0.05},
    )
    model = build_model(inputs, config)
    steps = 40 * train.steps(132)
    model.compile(optimizer=make_optimizer(config.optimizer, steps))
    model.fit(train.shuffled_batches(132, 1, range(40)), steps_per_epoch=steps, verbose=0)
    queries = next(iter(tastes(PAIRS, PAIRS[:, 0]).batches(len(PAIRS))))
    embedding, several = model.embed_query_for_both(queries)
    retrieval = tf.matmul(embedding, model.embed_catalogue(), transpose_b=True)
    light = model.light_ranker.score_all(several, model.embed_catalogue_for_light_ranker(), retrieval)
    best = [np.argsort(-scores.numpy(), axis=1)[:, :2] for scores in (retrieval, light)]
    return [(top[:, :, np.newaxis] == PAIRS[:, np.newaxis, :]).any(axis=1).mean() for top in best]


def test_several_embeddings_find_both_of_two_tastes_where_one_as_wide_cannot():
    one, several = (found_of_two_tastes(count) for count in (1, 4))
    assert several[0] == one[0] < 0.6, "the towers, which are the same"
    assert several[1] > 0.85 > one[1]
