"""Histories and rows as the models get them."""

import numpy as np
import tensorflow as tf

from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.interaction_dataset import EncodedInteractions, latest_history


def events(rows, ages):
    return tf.ragged.constant(rows, dtype=tf.int64, ragged_rank=1), tf.ragged.constant(
        ages, dtype=tf.float32, ragged_rank=1
    )


def test_the_latest_events_are_kept_oldest_first_and_padding_goes_right():
    rows, ages = latest_history(*events([[0, 1, 2], [3], []], [[3, 2, 1], [9], []]), 2)
    assert rows.numpy().tolist() == [[1, 2], [3, UNKNOWN_ROW], [UNKNOWN_ROW, UNKNOWN_ROW]]
    np.testing.assert_array_equal(ages, [[2, 1], [9, 0], [0, 0]])


def test_a_history_narrower_than_its_length_is_padded():
    rows, ages = latest_history(*events([[4]], [[5.0]]), 3)
    assert rows.numpy().tolist() == [[4, UNKNOWN_ROW, UNKNOWN_ROW]]
    assert ages.shape == (1, 3)


def test_rows_follow_the_order_of_ids_and_strangers_get_none():
    table = CandidateTable(np.array([b"1", b"10", b"2"], object), {})
    rows = table.row_lookup().lookup(tf.constant(["10", "2", "1", "3", ""]))
    assert rows.numpy().tolist() == [1, 2, 0, UNKNOWN_ROW, UNKNOWN_ROW]


def split(n):
    return EncodedInteractions({"candidate_row": tf.range(n) % 4, "at": tf.range(n, dtype=tf.int64)})


def test_counts_are_per_candidate_row():
    rows = EncodedInteractions({"candidate_row": tf.constant([2, 0, 2])})
    assert rows.candidate_counts(4).numpy().tolist() == [1, 0, 2, 0]


def order(batches):
    return np.concatenate([batch["at"] for batch in batches]).tolist()


def test_batches_keep_the_order_and_hold_rows_as_int64():
    batches = list(split(10).batches(4))
    assert [len(batch["at"]) for batch in batches] == [4, 4, 2]
    assert order(batches) == list(range(10))
    assert batches[0]["candidate_row"].dtype == tf.int64


def test_shuffled_batches_follow_from_the_seed_differ_each_epoch_and_lose_nothing():
    first, second = (split(500).shuffled_batches(64, seed=3) for _ in range(2))
    epochs = [order(first), order(first)]
    assert epochs == [order(second), order(second)]
    assert epochs[0] != epochs[1]
    assert sorted(epochs[0]) == list(range(500)) != epochs[0]
    assert order(split(500).shuffled_batches(64, seed=4)) not in epochs


def test_a_spread_sample_reaches_from_the_first_to_the_last_part():
    assert split(10).spread(5).columns["at"].numpy().tolist() == [0, 2, 4, 6, 8]
    assert len(split(10).spread(11)) == 10
