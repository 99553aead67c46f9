"""Histories and rows as the models get them."""

import numpy as np
import tensorflow as tf

from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.interaction_dataset import candidate_counts, latest_history


def test_the_latest_events_are_kept_oldest_first_and_padding_goes_right():
    ids = tf.constant([["a", "b", "c"], ["", "d", ""], ["", "", ""]])
    ages = tf.constant([[3.0, 2.0, 1.0], [0.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    kept, kept_ages = latest_history(ids, ages, 2)
    assert kept.numpy().tolist() == [[b"b", b"c"], [b"d", b""], [b"", b""]]
    np.testing.assert_array_equal(kept_ages, [[2, 1], [9, 0], [0, 0]])


def test_a_history_narrower_than_its_length_is_padded():
    kept, ages = latest_history(tf.constant([["a"]]), tf.constant([[5.0]]), 3)
    assert kept.numpy().tolist() == [[b"a", b"", b""]]
    assert ages.shape == (1, 3)


def test_no_history_at_all_is_all_padding():
    kept, _ = latest_history(tf.zeros([2, 0], tf.string), tf.zeros([2, 0]), 2)
    assert kept.numpy().tolist() == [[b"", b""], [b"", b""]]


def test_rows_follow_the_order_of_ids_and_strangers_get_none():
    table = CandidateTable(np.array([b"1", b"10", b"2"], object), {})
    rows = table.row_lookup().lookup(tf.constant(["10", "2", "1", "3", ""]))
    assert rows.numpy().tolist() == [1, 2, 0, UNKNOWN_ROW, UNKNOWN_ROW]


def test_counts_are_per_candidate_row():
    dataset = tf.data.Dataset.from_tensor_slices({"candidate_row": tf.constant([2, 0, 2], tf.int64)})
    assert candidate_counts(dataset, 4).numpy().tolist() == [1, 0, 2, 0]
