"""What people are told about the candidates, gathered from raw examples as ingestion writes them."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from components.assemble.catalogue_file import catalogue_file
from components.ingest.declaration import Declaration
from components.ingest.examples import encode_examples
from components.transform.candidate_table import CandidateTable

FEATURES = {
    "name": {"kind": "text"},
    "shelves": {"kind": "multivalent"},
    "pages": {"kind": "numeric"},
    "printed": {"kind": "timestamp"},
    "cover": {"kind": "embedding", "dim": 2},
}
BOOKS = {
    "isbn": pa.array(["007", "101", "102"]),
    "name": pa.array(["Ünder", None, "Winter"]),
    "blurb": pa.array(["ü" * 300, "Short.", None]),
    "shelves": pa.array([["crime", "novel"], None, ["novel"]], pa.list_(pa.string())),
    "pages": pa.array([320.5, None, 96.0], pa.float32()),
    "printed": pa.array([86_400, 0, None], pa.int64()),
    "cover": pa.array([[1.0, 2.0], None, [0.0, 1.0]], pa.list_(pa.float32())),
}
LOG = {
    "isbn": pa.array(["102", "102", "007"]),
    "stars": pa.array([5.0, 2.0, 4.0], pa.float32()),
    "positive": pa.array([1.0, 0.0, 1.0], pa.float32()),
}


@pytest.fixture(scope="module")
def gather(tmp_path_factory):
    """Makes the catalogue file of the books under a declaration of some features."""
    folder = tmp_path_factory.mktemp("examples")
    files = {}
    for name, rows in (("books", BOOKS), ("log", LOG)):
        files[name] = str(folder / f"{name}.gz")
        with tf.io.TFRecordWriter(files[name], "GZIP") as writer:
            for example in encode_examples(rows):
                writer.write(example.as_py())
    table = CandidateTable(np.array([b"007", b"101", b"102"], object), {})

    def gather(features, title=None):
        declaration = Declaration.model_validate(
            {
                "interactions": {
                    "sources": [{"files": "log.csv"}],
                    "query_id": "reader",
                    "candidate_id": "isbn",
                    "timestamp": {"column": "at"},
                    "rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4},
                },
                "candidates": {"files": "books.csv", "id": "isbn", "title": title, "features": features},
            }
        )
        return catalogue_file(table, declaration, [files["books"]], [files["log"]])

    return gather


def test_features_are_as_the_data_have_them_before_transform(gather):
    found = gather(FEATURES, "name")
    assert found["features"].to_pylist() == [
        {"name": "Ünder", "shelves": ["crime", "novel"], "pages": 320.5, "printed": 86_400},
        {"name": None, "shelves": None, "pages": None, "printed": 0},
        {"name": "Winter", "shelves": ["novel"], "pages": 96.0, "printed": None},
    ]
    assert found["title"].to_pylist() == ["Ünder", "101", "Winter"]


def test_a_long_text_is_cut_unless_it_is_the_title(gather):
    found = gather({"blurb": {"kind": "text"}})
    assert found["features"].to_pylist() == [{"blurb": "ü" * 200}, {"blurb": "Short."}, {"blurb": None}]
    assert gather({"blurb": {"kind": "text"}}, "blurb")["title"][0].as_py() == "ü" * 300


def test_what_train_says_stands_beside_them(gather):
    found = gather({"pages": FEATURES["pages"]})
    assert found["train_count"].to_pylist() == [1, 0, 2]
    assert found["train_positive_count"].to_pylist() == [1, 0, 1]
    assert found["train_rating_mean"].to_pylist() == [4.0, None, 3.5]
    assert found["title"].to_pylist() == found["id"].to_pylist() == ["007", "101", "102"]


def test_without_readable_features_there_is_no_such_column(gather):
    for features in ({}, {"cover": FEATURES["cover"]}):
        assert "features" not in gather(features).column_names


def test_a_title_need_not_be_a_feature(gather):
    found = gather({"pages": FEATURES["pages"]}, "name")
    assert found["title"].to_pylist() == ["Ünder", "101", "Winter"]
    assert found["features"].type.names == ["pages"]
