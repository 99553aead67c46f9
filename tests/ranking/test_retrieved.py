"""Negatives among what the towers retrieve."""

import numpy as np
import pytest
import tensorflow as tf

from components.ranking.config import Negatives
from components.ranking.negatives import NegativeSampler
from components.ranking.retrieved import RETRIEVED_POSITIVE, RETRIEVED_ROWS, with_retrieved
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import EncodedInteractions

RANDOM = np.random.default_rng(4)
USERS, ITEMS = RANDOM.normal(size=(3, 2)).astype(np.float32), RANDOM.normal(size=(6, 2)).astype(np.float32)
HISTORIES = [[2, 5, -1], [-1, -1, -1], [0, 1, 4]]


class Towers(tf.Module):
    """As the export of the towers, of fixed embeddings."""

    @tf.function(input_signature=[{"user": tf.TensorSpec([None], tf.int64)}])
    def embed_query(self, query):
        """Of the user."""
        return {"embedding": tf.gather(tf.constant(USERS), query["user"])}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int64)])
    def embed_rows(self, rows):
        """Of the candidates."""
        return {"embedding": tf.gather(tf.constant(ITEMS), rows)}


def log(users, rows, positive, **by_query):
    """Interactions of users; those of one user are one query's where it says so."""
    of_user = {"user": tf.constant(users, tf.int64), "history": tf.gather(HISTORIES, users)}
    own = {"candidate_row": tf.constant(rows), "positive": tf.constant(positive, tf.float32)}
    return EncodedInteractions({**own, **({} if by_query else of_user)}, **by_query)


def retrieved(interactions, top=3):
    found = with_retrieved(interactions, Towers(), ["user"], 6, top)
    return found.column(RETRIEVED_ROWS).numpy(), found.column(RETRIEVED_POSITIVE).numpy()


def by_hand(user, top):
    order = np.argsort(-ITEMS @ USERS[user])
    kept = [row for row in order if row not in HISTORIES[user]][:top]
    return kept + [UNKNOWN_ROW] * (top - len(kept))


@pytest.mark.parametrize("top", [1, 3, 6])
def test_the_best_by_dot_product_are_retrieved_without_the_history(top):
    rows, _ = retrieved(log([0, 1, 2, 0], [0, 1, 2, 3], [1, 1, 0, 1]), top)
    assert rows.tolist() == [by_hand(user, top) for user in (0, 1, 2, 0)]


def test_positives_of_the_query_are_marked_be_it_one_interaction_or_a_basket():
    alone = log([1, 1, 1], [0, 1, 2], [1, 1, 0])
    rows, own = retrieved(alone, 6)
    assert [rows[i][own[i]].tolist() for i in range(3)] == [[0], [1], []]
    queries = {"user": tf.constant([1], tf.int64), "history": tf.gather(HISTORIES, [1])}
    basket = log([1] * 3, [0, 1, 2], [1, 1, 0], queries=queries, query_of=tf.zeros([3], tf.int32))
    rows, own = retrieved(basket, 6)
    assert [sorted(rows[i][own[i]].tolist()) for i in range(3)] == [[0, 1]] * 3


def test_what_comes_later_changes_nothing_that_is_retrieved_before():
    users, rows = [0, 1, 2, 1, 0], [0, 1, 2, 3, 4]
    early, own = retrieved(log(users[:3], rows[:3], [1] * 3))
    everything, all_own = retrieved(log(users, rows, [1] * 5))
    np.testing.assert_array_equal(early, everything[:3])
    np.testing.assert_array_equal(own, all_own[:3])


def test_they_are_drawn_as_often_as_the_correction_says_and_positives_never():
    sampler = NegativeSampler(Negatives(uniform=1, retrieved=4), np.ones(6, int))
    n = 20_000
    pool = tf.constant([[3, 0, 4, UNKNOWN_ROW]], tf.int64)
    batch = {
        "candidate_row": tf.fill([n], tf.constant(5, tf.int64)),
        "history": tf.fill([n, 1], tf.constant(-1, tf.int64)),
        RETRIEVED_ROWS: tf.repeat(pool, n, axis=0),
        RETRIEVED_POSITIVE: tf.repeat(tf.constant([[False, True, False, False]]), n, axis=0),
    }
    drawn = sampler.draw(batch, tf.constant([1, 2], tf.int64)).numpy()[:, 1:]
    found = [(drawn == row).sum() / n for row in range(6)]
    np.testing.assert_allclose(found, [0, 0, 0, 4 / 3, 4 / 3, 0], atol=0.03)
    one = {name: column[:1] for name, column in batch.items()}
    expected = np.exp(sampler.log_expected(one, tf.constant([range(6)], tf.int64)))[0]
    np.testing.assert_allclose(expected, 1 / 6 + np.array([4, 0, 0, 4, 4, 0]) / 3, rtol=1e-5)


def test_where_nothing_is_retrieved_nothing_is_drawn():
    sampler = NegativeSampler(Negatives(uniform=1, retrieved=2), np.ones(6, int))
    batch = {
        "candidate_row": tf.constant([5], tf.int64),
        "history": tf.constant([[-1]], tf.int64),
        RETRIEVED_ROWS: tf.constant([[UNKNOWN_ROW] * 2], tf.int64),
        RETRIEVED_POSITIVE: tf.constant([[False, False]]),
    }
    assert (sampler.draw(batch, tf.constant([1, 2], tf.int64)).numpy()[:, 1:] == UNKNOWN_ROW).all()
    found = sampler.log_expected(batch, tf.constant([[0, 5]], tf.int64))
    np.testing.assert_allclose(np.exp(found), [[1 / 6, 1 / 6]], rtol=1e-5)
