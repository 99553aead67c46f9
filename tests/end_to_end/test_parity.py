"""Training and serving see the same query: one raw example, two paths, one embedding."""

import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from components.transform.candidate_table import read_candidate_table
from components.transform.interaction_dataset import read_interactions
from pipeline.domain import load_domain

EXAMPLES = 256


@pytest.fixture(scope="module")
def declaration():
    return load_domain("movielens").declaration


@pytest.fixture(scope="module")
def table(movielens, declaration):
    graph = tft.TFTransformOutput(str(movielens.artifact("CandidateTransform", "transform_graph")))
    files = movielens.split("CandidateTransform", "transformed_examples", "catalogue")
    return read_candidate_table(files, declaration.candidates.id, graph)


@pytest.fixture(scope="module")
def served(movielens):
    from scann import scann_ops

    assert scann_ops
    return tf.saved_model.load(str(movielens.model)).signatures


@pytest.fixture(scope="module")
def trained(movielens):
    return tf.saved_model.load(str(movielens.artifact("RetrievalTrainer", "model") / "Format-Serving"))


def raw_queries(movielens, split):
    """The first raw examples of a split, as a client would send them."""
    spec = {
        "user_id": tf.io.FixedLenFeature([], tf.string),
        "timestamp": tf.io.FixedLenFeature([], tf.int64),
        "age": tf.io.FixedLenFeature([], tf.float32, math.nan),
        "gender": tf.io.FixedLenFeature([], tf.string, ""),
        "occupation": tf.io.FixedLenFeature([], tf.string, ""),
        "zip_code": tf.io.FixedLenFeature([], tf.string, ""),
        "history": tf.io.RaggedFeature(tf.string),
        "history_age": tf.io.RaggedFeature(tf.float32),
    }
    files = movielens.split("InteractionGen", "examples", split)
    records = next(iter(tf.data.TFRecordDataset(files, compression_type="GZIP").batch(EXAMPLES)))
    parsed = tf.io.parse_example(records, spec)
    return {
        **parsed,
        "history": parsed["history"].to_tensor(""),
        "history_age": parsed["history_age"].to_tensor(0.0),
    }


@pytest.mark.parametrize("split", ["train", "eval"])
def test_a_query_has_the_same_embedding_in_training_and_in_serving(
    movielens, declaration, table, served, trained, split
):
    graph = tft.TFTransformOutput(str(movielens.artifact("InteractionTransform", "transform_graph")))
    files = movielens.split("InteractionTransform", "transformed_examples", split)
    interactions = read_interactions(files, declaration, graph, table.row_lookup(), positives_only=False)
    batch = next(iter(interactions.batches(EXAMPLES)))
    names = trained.signatures["embed_query"].structured_input_signature[1]
    expected = trained.embed_query({name: batch[name] for name in names})["embedding"]
    actual = served["embed_query"](**raw_queries(movielens, split))["embedding"]
    assert np.abs(expected.numpy()).max() > 0.1
    np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_a_candidate_has_the_same_embedding_in_training_and_in_serving(movielens, table, served, trained):
    spec = {
        "movie_id": tf.io.FixedLenFeature([], tf.string),
        "title": tf.io.FixedLenFeature([], tf.string, ""),
        "year": tf.io.FixedLenFeature([], tf.float32, math.nan),
        "genres": tf.io.RaggedFeature(tf.string),
    }
    files = movielens.split("CandidateGen", "examples", "catalogue")
    records = next(iter(tf.data.TFRecordDataset(files, compression_type="GZIP").batch(len(table))))
    raw = tf.io.parse_example(records, spec)
    actual = served["embed_candidate"](**{**raw, "genres": raw["genres"].to_tensor("")})["embedding"]
    rows = table.row_lookup().lookup(raw["movie_id"])
    np.testing.assert_allclose(actual, trained.embed_rows(rows)["embedding"], atol=1e-5)
