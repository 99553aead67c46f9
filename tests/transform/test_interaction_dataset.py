"""Histories and rows as the models get them."""

import numpy as np
import pytest
import tensorflow as tf

from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.interaction_dataset import (
    QUERY_OF,
    UNKNOWN_ACTION,
    EncodedInteractions,
    action_lookup,
    held_by_query,
    latest_history,
)


def latest(rows, ages, actions, length):
    return latest_history(
        {
            "history": tf.ragged.constant(rows, dtype=tf.int64, ragged_rank=1),
            "history_age": tf.ragged.constant(ages, dtype=tf.float32, ragged_rank=1),
            "history_action": tf.ragged.constant(actions, dtype=tf.int16, ragged_rank=1),
        },
        length,
    )


def test_the_latest_events_are_kept_oldest_first_and_padding_goes_right():
    history = latest([[0, 1, 2], [3], []], [[3, 2, 1], [9], []], [[1, 2, 3], [1], []], 2)
    assert history["history"].numpy().tolist() == [[1, 2], [3, UNKNOWN_ROW], [UNKNOWN_ROW, UNKNOWN_ROW]]
    np.testing.assert_array_equal(history["history_age"], [[2, 1], [9, 0], [0, 0]])
    assert history["history_action"].numpy().tolist() == [[2, 3], [1, UNKNOWN_ACTION], [UNKNOWN_ACTION] * 2]


def test_a_history_narrower_than_its_length_is_padded():
    history = latest([[4]], [[5.0]], [[2]], 3)
    assert history["history"].numpy().tolist() == [[4, UNKNOWN_ROW, UNKNOWN_ROW]]
    assert history["history_action"].numpy().tolist() == [[2, UNKNOWN_ACTION, UNKNOWN_ACTION]]
    assert history["history_age"].shape == (1, 3)


def test_actions_are_numbered_from_1_in_the_order_given_and_0_is_any_other():
    numbers = action_lookup(["play", "buy"]).lookup(tf.constant([["buy", "play"], ["skip", ""]]))
    assert numbers.numpy().tolist() == [[2, 1], [UNKNOWN_ACTION, UNKNOWN_ACTION]]
    assert numbers.dtype == tf.int64


def test_rows_follow_the_order_of_ids_and_strangers_get_none():
    table = CandidateTable(np.array([b"1", b"10", b"2"], object), {})
    rows = table.row_lookup().lookup(tf.constant(["10", "2", "1", "3", ""]))
    assert rows.numpy().tolist() == [1, 2, 0, UNKNOWN_ROW, UNKNOWN_ROW]


def split(n):
    return EncodedInteractions(
        {
            "candidate_row": tf.range(n) % 4,
            "history_action": tf.zeros([n, 2], tf.int16),
            "at": tf.range(n, dtype=tf.int64),
        }
    )


def test_counts_are_per_candidate_row():
    rows = EncodedInteractions({"candidate_row": tf.constant([2, 0, 2])})
    assert rows.candidate_counts(4).numpy().tolist() == [1, 0, 2, 0]


def order(batches):
    return np.concatenate([batch["at"] for batch in batches]).tolist()


def test_batches_keep_the_order_and_hold_rows_and_actions_as_int64():
    batches = list(split(10).batches(4))
    assert [len(batch["at"]) for batch in batches] == [4, 4, 2]
    assert order(batches) == list(range(10))
    specs = split(10).signature(["candidate_row", "history_action"])
    for name, spec in specs.items():
        assert batches[0][name].dtype == spec.dtype == tf.int64
    assert specs["history_action"].shape.as_list() == [None, 2]


def epochs(interactions, batch_size, seed, numbers):
    """The order of each epoch."""
    batches = list(interactions.shuffled_batches(batch_size, seed, numbers))
    steps = interactions.steps(batch_size)
    assert len(batches) == steps * len(numbers)
    return [order(batches[start : start + steps]) for start in range(0, len(batches), steps)]


def test_each_epoch_holds_every_interaction_once_in_an_order_of_its_own():
    found = epochs(split(500), 64, 3, range(3))
    for number, one in enumerate(found):
        assert sorted(one) == list(range(500)) != one
        assert one not in found[:number]


def test_an_epochs_order_follows_from_the_seed_and_its_number_alone():
    whole = epochs(split(500), 64, 3, range(4))
    assert epochs(split(500), 64, 3, range(2, 4)) == whole[2:], "as after an interruption"
    assert epochs(split(500), 100, 3, range(1)) == whole[:1]
    assert epochs(split(500), 64, 4, range(1))[0] not in whole


def test_the_last_batch_of_an_epoch_holds_what_is_left():
    sizes = [len(batch["at"]) for batch in split(10).shuffled_batches(4, 1, range(2))]
    assert sizes == [4, 4, 2, 4, 4, 2]
    assert split(10).steps(4) == 3 and split(8).steps(4) == 2


def test_a_spread_sample_reaches_from_the_first_to_the_last_part():
    assert split(10).spread(5).columns["at"].numpy().tolist() == [0, 2, 4, 6, 8]
    assert len(split(10).spread(11)) == 10


def baskets(sizes):
    """Queries of so many interactions each; the interactions are numbered, and those of a query alike."""
    query_of = np.repeat(np.arange(len(sizes)), sizes)
    return EncodedInteractions(
        {
            "candidate_row": tf.constant(query_of * 10, tf.int32),
            "at": tf.range(len(query_of), dtype=tf.int64),
        },
        {"user": tf.range(len(sizes)), "history": tf.reshape(tf.range(2 * len(sizes)), [-1, 2])},
        tf.constant(query_of, tf.int32),
    )


def test_interactions_of_a_query_share_its_columns():
    split = baskets([2, 1, 3])
    assert (len(split), split.query_count) == (6, 3)
    assert split.column("user").numpy().tolist() == [0, 0, 1, 2, 2, 2]
    assert split.column("at").numpy().tolist() == list(range(6))
    (batch,) = split.batches(10)
    assert batch["user"].numpy().tolist() == [0, 0, 1, 2, 2, 2]
    assert batch["history"].numpy().tolist() == [[0, 1], [0, 1], [2, 3], [4, 5], [4, 5], [4, 5]]
    assert {column.dtype for column in batch.values()} == {tf.int64}
    assert split.signature(["history"])["history"].shape.as_list() == [None, 2]


def test_batches_of_whole_queries_hold_each_query_once_an_epoch_with_all_it_has():
    sizes = np.random.default_rng(0).integers(1, 6, 100)
    split, seen = baskets(sizes), []
    steps = split.query_steps(30)
    batches = list(split.shuffled_query_batches(30, 5, range(2)))
    assert len(batches) == 2 * steps
    assert np.mean([len(batch["at"]) for batch in batches[: steps - 1]]) == pytest.approx(30, rel=0.1)
    for batch in batches:
        users, query_of = batch["user"].numpy(), batch[QUERY_OF].numpy()
        seen += users.tolist()
        np.testing.assert_array_equal(users[query_of] * 10, batch["candidate_row"])
        np.testing.assert_array_equal(np.bincount(query_of), sizes[users])
        np.testing.assert_array_equal(batch["history"], np.stack([2 * users, 2 * users + 1], axis=1))
    assert sorted(seen[:100]) == sorted(seen[100:]) == list(range(100))
    assert seen[:100] != seen[100:]
    again = list(split.shuffled_query_batches(30, 5, range(1, 2)))
    assert order(again) == order(batches[steps:]), "as after an interruption"


def test_where_each_interaction_is_a_query_batches_of_queries_are_batches_of_interactions():
    queries, interactions = split(20).shuffled_query_batches(6, 1, range(2)), split(20)
    assert order(queries) == order(interactions.shuffled_batches(6, 1, range(2)))
    assert interactions.query_steps(6) == interactions.steps(6)
    assert QUERY_OF not in next(iter(queries))


def test_a_spread_sample_takes_along_the_queries_it_needs():
    sample = baskets([2, 1, 3]).spread(3)
    assert sample.columns["at"].numpy().tolist() == [0, 2, 4]
    assert sample.column("user").numpy().tolist() == [0, 1, 2]
    sample = baskets([4, 1, 1]).spread(2)
    assert (len(sample), sample.query_count) == (2, 1)
    assert sample.column("history").numpy().tolist() == [[0, 1], [0, 1]]


def test_positives_come_with_their_queries():
    split = baskets([2, 1, 3])
    labelled = EncodedInteractions(
        {**split.columns, "positive": tf.constant([0.0, 1, 0, 0, 1, 1])}, split.queries, split.query_of
    )
    positives = labelled.positives()
    assert positives.columns["at"].numpy().tolist() == [1, 4, 5]
    assert (positives.query_count, positives.column("user").numpy().tolist()) == (2, [0, 2, 2])
    assert positives.positives() is positives


def unordered(n=40, seed=0):
    """Interactions of queries that differ in one place only, in no order, in two chunks."""
    rng = np.random.default_rng(seed)
    user, history, age = rng.integers(0, 2, n), rng.integers(-1, 2, (n, 2)), rng.integers(0, 2, (n, 2)) / 8
    columns = {
        "user": tf.constant(user),
        "history": tf.constant(history, tf.int32),
        "history_age": tf.constant(age, tf.float32),
        "history_action": tf.zeros([n, 2], tf.int16),
        "candidate_row": tf.range(n),
    }
    chunks = [
        {name: column[start:stop] for name, column in columns.items()} for start, stop in ((0, 15), (15, n))
    ]
    keys = [(user[i], *history[i], *age[i]) for i in range(n)]
    return held_by_query(chunks, {"user", "history", "history_age", "history_action"}), keys


def test_equal_queries_are_held_once_wherever_their_interactions_are():
    grouped, keys = unordered()
    assert grouped.query_count == len(set(keys)) < len(grouped) == 40
    assert grouped.columns["candidate_row"].numpy().tolist() == list(range(40)), "in their own order"
    assert grouped.query_of.numpy().tolist() == [list(dict.fromkeys(keys)).index(key) for key in keys]
    histories, ages, users = (grouped.column(name).numpy() for name in ("history", "history_age", "user"))
    found = [(users[i], *histories[i], *ages[i]) for i in range(40)]
    assert found == keys


def test_batches_of_whole_queries_gather_interactions_from_wherever_they_are():
    grouped, keys = unordered()
    rows = []
    for batch in grouped.shuffled_query_batches(8, 3, range(1)):
        for place, row in zip(batch[QUERY_OF].numpy(), batch["candidate_row"].numpy(), strict=True):
            query = (batch["user"][place], *batch["history"][place], *batch["history_age"][place])
            assert tuple(float(value) for value in query) == keys[row]
            rows.append(row)
    assert sorted(rows) == list(range(40))
