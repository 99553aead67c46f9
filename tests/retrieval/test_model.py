"""The loss of a batch by the model's own embeddings, in numpy."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs

from components.retrieval.model import id_embedding_indices, inverse_propensities
from components.retrieval.negatives import NegativePool, sampling_probabilities
from components.retrieval.towers import UNKNOWN_ID

DRAWN = [1, 2, 3]
ROWS = (0, 2, 0)


@pytest.fixture
def drawn(monkeypatch):
    """Even draws are always the same three."""
    monkeypatch.setattr(
        NegativePool, "draw_uniform", lambda pool: tf.constant(DRAWN, tf.int64) if pool._uniform else None
    )


def scores_by_hand(model, batch):
    """Of every query and candidate: [batch, candidates]."""
    return model.embed_query(batch).numpy() @ model.embed_catalogue().numpy().T


def pool_by_hand(tiny, in_batch, uniform):
    """Rows of the pool, and the logarithm of how often each row of the catalogue is expected in it."""
    expected = in_batch * 2 * sampling_probabilities(tiny.counts) + uniform / 4
    return [*(ROWS if in_batch else ()), *(DRAWN if uniform else ())], np.log(expected)


def softmax_by_hand(scores, pool, log_expected, correction="logq", hard=None):
    """Loss of each interaction with the batch's rows as positives and a pool of negatives."""
    losses = []
    for i, row in enumerate(ROWS):
        own = scores[i, row] - (log_expected[row] if correction == "logq" else 0)
        shift = 0 if correction == "none" else log_expected
        negatives = np.sort([(scores[i] - shift)[n] for n in pool if n != row])[::-1][:hard]
        others = np.exp(negatives).sum()
        share = np.exp(own) / (np.exp(own) + others)
        if correction == "positive_not_sampled":
            losses.append((1 - share) * np.log(others / np.exp(own)))
        else:
            losses.append(-np.log(share))
    return np.array(losses)


@pytest.mark.parametrize("correction", ["logq", "positive_not_sampled", "none"])
@pytest.mark.parametrize(("in_batch", "uniform"), [(True, 0), (False, 3), (True, 3)])
def test_sampled_softmax_is_over_the_pool_corrected_by_its_exact_mixture(
    tiny, drawn, correction, in_batch, uniform
):
    loss = {"correction": correction, "in_batch": in_batch, "uniform_negatives": uniform}
    model, batch = tiny.model(loss=loss), tiny.batch()
    by_hand = softmax_by_hand(
        scores_by_hand(model, batch), *pool_by_hand(tiny, in_batch, uniform), correction
    )
    assert float(model.compute_loss(batch)) == pytest.approx(by_hand.mean(), rel=1e-5)


@pytest.mark.parametrize("kind", ["sampled_softmax", "full_softmax"])
def test_what_is_seen_seldom_weighs_more_by_a_power_of_its_count(tiny, kind):
    batch = tiny.batch()
    of_rows = inverse_propensities(tiny.counts, 0.5)[list(ROWS)]
    weighted = tiny.model(loss={"kind": kind, "inverse_propensity": 0.5})
    by_hand = tiny.model(loss={"kind": kind})
    assert float(weighted.compute_loss(batch)) == pytest.approx(
        float(by_hand.compute_loss(tiny.batch(weights=of_rows))), rel=1e-5
    )
    assert float(weighted.compute_loss(batch)) != pytest.approx(float(by_hand.compute_loss(batch)), rel=1e-3)


def test_inverse_propensities_are_powers_of_counts_that_weigh_one_in_the_mean():
    counts = np.array([16, 4, 0, 1])
    weights = inverse_propensities(counts, 0.5)
    # Without an interaction is taken as with one: a labelled negative may have none.
    np.testing.assert_allclose(weights, np.array([1 / 4, 1 / 2, 1, 1]) * 22 / (4 + 2 + 1 + 1), rtol=1e-6)
    np.testing.assert_array_equal(inverse_propensities(counts, 0.0), np.ones(4))


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
def test_what_is_served_is_divided_by_the_temperature_as_in_the_loss(tiny, similarity):
    batch = tiny.batch()
    one, half = (tiny.model(similarity=similarity, temperature=temperature) for temperature in (1.0, 0.5))
    np.testing.assert_allclose(half.embed_query(batch), 2 * one.embed_query(batch), rtol=1e-5)
    np.testing.assert_array_equal(half.embed_catalogue(), one.embed_catalogue())


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0), (1.0, 0.0, 3.0)])
def test_similarities_are_divided_by_the_temperature_and_losses_weighted(
    tiny, similarity, temperature, weights
):
    model = tiny.model(similarity=similarity, temperature=temperature)
    batch = tiny.batch(weights=weights)
    by_hand = softmax_by_hand(scores_by_hand(model, batch), *pool_by_hand(tiny, True, 0))
    assert float(model.compute_loss(batch)) == pytest.approx(np.mean(by_hand * weights), rel=1e-4)


@pytest.mark.parametrize("hard", [None, 1])
def test_in_batch_softmax_is_that_of_tensorflow_recommenders(tiny, hard):
    model, batch = tiny.model(loss={"hard_negatives": hard}), tiny.batch()
    rows = batch["candidate_row"]
    task = tfrs.tasks.Retrieval(num_hard_negatives=hard, remove_accidental_hits=True)
    theirs = task(
        model.embed_query(batch),
        model.embed_rows(rows),
        candidate_ids=rows,
        # Theirs knows shares, not expected counts; in a softmax the constant between them cancels.
        candidate_sampling_probability=tf.gather(sampling_probabilities(tiny.counts), rows),
    )
    assert float(model.compute_loss(batch)) == pytest.approx(float(theirs) / 3, rel=1e-5)


@pytest.mark.parametrize("correction", ["logq", "positive_not_sampled"])
def test_hard_negatives_are_those_with_the_highest_corrected_scores(tiny, drawn, correction):
    loss = {"uniform_negatives": 3, "hard_negatives": 2, "correction": correction}
    model, batch = tiny.model(loss=loss), tiny.batch()
    pool, log_expected = pool_by_hand(tiny, True, 3)
    scores = scores_by_hand(model, batch)
    by_hand = softmax_by_hand(scores, pool, log_expected, correction, hard=2)
    assert float(model.compute_loss(batch)) == pytest.approx(by_hand.mean(), rel=1e-5)
    assert by_hand.mean() != pytest.approx(softmax_by_hand(scores, pool, log_expected, correction).mean())


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_full_softmax_is_over_the_catalogue(tiny, temperature):
    model = tiny.model(loss={"kind": "full_softmax"}, temperature=temperature)
    batch = tiny.batch(weights=(1.0, 0.5, 2.0))
    exponents = np.exp(scores_by_hand(model, batch))
    losses = -np.log(exponents[np.arange(3), ROWS] / exponents.sum(axis=1))
    assert float(model.compute_loss(batch)) == pytest.approx(np.mean(losses * [1, 0.5, 2]), rel=1e-5)


@pytest.mark.parametrize(
    ("in_batch", "uniform", "hard"), [(False, 0, None), (True, 0, None), (True, 3, None), (True, 3, 2)]
)
def test_binary_cross_entropy_is_of_labels_and_beside_positives_of_the_pool(
    tiny, drawn, in_batch, uniform, hard
):
    loss = {
        "kind": "binary_cross_entropy",
        "in_batch": in_batch,
        "uniform_negatives": uniform,
        "negative_weight": 2.0,
        "hard_negatives": hard,
    }
    model, batch = tiny.model(loss=loss), tiny.batch(labels=(1.0, 0.0, 1.0))
    probabilities = 1 / (1 + np.exp(-scores_by_hand(model, batch)))
    pool = [*(ROWS if in_batch else ()), *(DRAWN if uniform else ())]
    losses = []
    for i, (row, label) in enumerate(zip(ROWS, (1, 0, 1), strict=True)):
        own = probabilities[i, row]
        cost = -np.log(own if label else 1 - own)
        negatives = sorted((-np.log(1 - probabilities[i, n]) for n in pool if n != row), reverse=True)[:hard]
        losses.append(cost + (2 * np.mean(negatives) if label and negatives else 0))
    assert float(model.compute_loss(batch)) == pytest.approx(np.mean(losses), rel=1e-5)


def test_full_binary_cross_entropy_is_of_labels_and_beside_positives_of_the_catalogue(tiny):
    loss = {"kind": "full_binary_cross_entropy", "negative_weight": 2.0}
    model = tiny.model(loss=loss)
    batch = tiny.batch(weights=(1.0, 0.5, 2.0), labels=(1.0, 0.0, 1.0))
    probabilities = 1 / (1 + np.exp(-scores_by_hand(model, batch)))
    own = probabilities[np.arange(3), ROWS]
    beside = 2 * -np.log(1 - probabilities).mean(axis=1)
    losses = [-np.log(own[0]) + beside[0], -np.log(1 - own[1]), -np.log(own[2]) + beside[2]]
    assert float(model.compute_loss(batch)) == pytest.approx(
        np.mean(losses * np.array([1, 0.5, 2])), rel=1e-5
    )


def test_l2_of_full_binary_cross_entropy_is_of_its_negatives_too(tiny):
    loss = {"kind": "full_binary_cross_entropy", "negative_weight": 2.0}
    batch = tiny.batch(labels=(1.0, 0.0, 1.0))
    model, plain = (tiny.model(loss=loss, l2=l2) for l2 in (0.1, 0.0))
    queries = np.sum(model.embed_query(batch) ** 2, axis=1)
    candidates = np.sum(model.embed_catalogue() ** 2, axis=1)
    # A positive has its own pair and negatives that weigh two, a negative its own pair alone.
    lengths = queries + candidates[list(ROWS)] + np.array([2, 0, 2]) * (queries + candidates.mean())
    by_hand = float(plain.compute_loss(batch)) + 0.1 * lengths.mean()
    assert float(model.compute_loss(batch)) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "cosine"])
@pytest.mark.parametrize("kind", ["sampled_softmax", "full_softmax"])
def test_l2_adds_the_squared_lengths_of_what_the_towers_make(tiny, kind, similarity):
    batch = tiny.batch()
    model, plain = (tiny.model(loss={"kind": kind}, similarity=similarity, l2=l2) for l2 in (0.1, 0.0))
    towers = tiny.model(similarity="dot")
    lengths = np.sum(towers.embed_query(batch) ** 2, axis=1) + np.sum(
        towers.embed_rows(batch["candidate_row"]) ** 2, axis=1
    )
    by_hand = float(plain.compute_loss(batch)) + 0.1 * lengths.mean()
    assert float(model.compute_loss(batch)) == pytest.approx(by_hand, rel=1e-5)


QUERY_OF = [0, 0, 1, 2]
"""The first of three queries has two positives."""


def query_batch(tiny, rows=(0, 2, 3, 0), labels=(1.0, 1.0, 1.0, 1.0)):
    """Whole queries: columns of queries have three rows, those of interactions four."""
    interactions = tiny.batch(rows, weights=(1.0, 0.5, 2.0, 1.0), labels=labels)
    of_interactions = ("candidate_row", "weight", "positive")
    return {
        **tiny.batch(),
        **{name: interactions[name] for name in of_interactions},
        "query_of": tf.constant(QUERY_OF, tf.int64),
    }


def one_by_one(batch):
    """The same interactions, each with a query of its own."""
    of_queries = ("user", "age", "history", "history_age", "history_action")
    repeated = {name: tf.gather(batch[name], QUERY_OF) for name in of_queries if name in batch}
    return {name: column for name, column in (batch | repeated).items() if name != "query_of"}


@pytest.mark.parametrize(
    "loss",
    [
        {"kind": "full_softmax"},
        {"kind": "full_binary_cross_entropy"},
        {"kind": "binary_cross_entropy", "in_batch": False},
    ],
    ids=str,
)
def test_interactions_that_share_a_query_cost_what_they_cost_alone(tiny, loss):
    model = tiny.model(loss=loss, l2=0.1)
    batch = query_batch(tiny, labels=(1.0, 0.0, 1.0, 1.0))
    alone = float(model.compute_loss(one_by_one(batch)))
    assert float(model.compute_loss(batch)) == pytest.approx(alone, rel=1e-5)


@pytest.mark.parametrize("correction", ["logq", "positive_not_sampled"])
def test_all_positives_of_a_query_are_no_negatives_of_it(tiny, drawn, correction):
    model = tiny.model(loss={"uniform_negatives": 3, "correction": correction})
    batch = query_batch(tiny)
    rows, pool = batch["candidate_row"].numpy(), [*batch["candidate_row"].numpy(), *DRAWN]
    scores, losses = scores_by_hand(model, batch), []
    for row, query in zip(rows, QUERY_OF, strict=True):
        own = {r for r, q in zip(rows, QUERY_OF, strict=True) if q == query}
        # Of a batch of four those of other queries may be negatives: two, or three.
        others = 4 - QUERY_OF.count(query)
        log_expected = np.log(others * sampling_probabilities(tiny.counts) + 3 / 4)
        negatives = np.exp([(scores[query] - log_expected)[n] for n in pool if n not in own]).sum()
        positive = np.exp(scores[query, row] - (log_expected[row] if correction == "logq" else 0))
        share = positive / (positive + negatives)
        losses.append(-np.log(share) if correction == "logq" else (1 - share) * np.log(negatives / positive))
    by_hand = np.mean(losses * batch["weight"].numpy())
    assert float(model.compute_loss(batch)) == pytest.approx(by_hand, rel=1e-4)


def test_a_learnt_temperature_has_a_gradient_and_a_fixed_one_is_no_weight(tiny):
    batch = tiny.batch()
    for learnt in (True, False):
        model = tiny.model(similarity="cosine", temperature=0.5, learn_temperature=learnt)
        assert float(model.temperature) == pytest.approx(0.5)
        names = [weight.name for weight in model.trainable_variables]
        assert ("log_temperature:0" in names) == learnt
        if learnt:
            losses = []
            for step in (-0.01, 0.0, 0.01):
                model.log_temperature.assign(np.log(0.5) + step)
                with tf.GradientTape() as tape:
                    losses.append(model.compute_loss(batch))
                if not step:
                    gradient = tape.gradient(losses[-1], model.log_temperature)
            assert float(gradient) == pytest.approx(float(losses[2] - losses[0]) / 0.02, rel=1e-2)


@pytest.mark.parametrize("kind", ["sampled_softmax", "full_softmax", "full_binary_cross_entropy"])
def test_an_empty_batch_costs_nothing_and_breaks_nothing(tiny, kind):
    model = tiny.model(loss={"kind": kind}, l2=0.1)
    empty = {name: column[:0] for name, column in tiny.batch().items()}
    with tf.GradientTape() as tape:
        loss = model.compute_loss(empty, training=True)
    assert float(loss) == 0
    for gradient in tape.gradient(loss, model.trainable_variables):
        assert gradient is None or np.isfinite(tf.convert_to_tensor(gradient)).all()


def test_only_candidates_with_interactions_have_an_id_embedding_of_their_own(tiny):
    assert id_embedding_indices(tiny.counts).tolist() == [1, UNKNOWN_ID, 2, 3]


def test_a_candidate_outside_the_table_is_embedded_like_one_without_interactions(tiny):
    model = tiny.model()
    features = {name: column[1:2] for name, column in model.candidate_features.items()}
    stranger = model.embed_candidates(tf.constant([-1], tf.int64), features)
    np.testing.assert_allclose(stranger, model.embed_rows(tf.constant([1], tf.int64)))


def test_the_catalogue_is_embedded_in_order_however_large_the_batches(tiny):
    model = tiny.model()
    np.testing.assert_allclose(model.embed_catalogue(batch_size=3), model.embed_catalogue(), rtol=1e-6)
