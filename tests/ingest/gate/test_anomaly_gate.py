from __future__ import annotations

import json
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.types import artifact_utils, standard_artifacts
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.example_schema import candidate_features, complete_schema, interaction_features
from components.ingest.gate.anomaly_gate import Executor, feature_sources
from components.ingest.gate.verdict import Verdict, read_verdict


def properties(declaration: Declaration) -> dict[str, str]:
    """The gate's parameters where nothing is compared."""
    sources = json.dumps(feature_sources(declaration))
    return {"sources": sources, "over_threshold": "stop", "published": ""}


def anomalies_of(examples: Path, splits: list[str], schema: schema_pb2.Schema, target: Path):
    """What ExampleValidator writes for an examples artifact, as its artifact."""
    artifact = standard_artifacts.ExampleAnomalies()
    artifact.uri = str(target)
    artifact.split_names = artifact_utils.encode_split_names(splits)
    for split in splits:
        files = sorted(str(path) for path in (examples / f"Split-{split}").glob("*.gz"))
        records = list(tf.data.TFRecordDataset(files, compression_type="GZIP").as_numpy_iterator())
        batch = ExamplesToRecordBatchDecoder().DecodeBatch(records)
        statistics = generate_statistics_in_memory(batch, tfdv.StatsOptions())
        found = tfdv.validate_statistics(statistics, schema)
        directory = target / f"Split-{split}"
        directory.mkdir(parents=True)
        (directory / "SchemaDiff.pb").write_bytes(found.SerializeToString())
    return artifact


@pytest.fixture
def gate(tmp_path, tiny, declare, ingest, ingest_candidates):
    """Ingests the shop, validates both streams, executes the gate; returns its output directory."""

    def run(shop: Path) -> Path:
        log, catalogue = (
            complete_schema(tfdv.load_schema_text(str(tiny / f"{stream}.pbtxt")), features(declare()))
            for stream, features in (
                ("interactions", interaction_features),
                ("candidates", candidate_features),
            )
        )
        inputs = {
            "interaction_anomalies": [
                anomalies_of(ingest(shop), ["train", "eval", "test"], log, tmp_path / "ia")
            ],
            "candidate_anomalies": [
                anomalies_of(ingest_candidates(shop), ["catalogue"], catalogue, tmp_path / "ca")
            ],
        }
        verdict = standard_artifacts.ExampleAnomalies()
        verdict.uri = str(tmp_path / "verdict")
        Executor().Do(inputs, {"verdict": [verdict]}, properties(declare()))
        return Path(verdict.uri)

    return run


def test_clean_data_passes_and_leaves_a_verdict(shop, gate) -> None:
    assert read_verdict(str(gate(shop))) == Verdict(
        examined={"interaction": ("train", "eval", "test"), "candidate": ("catalogue",)}
    )


def test_every_anomaly_is_named_with_file_column_split_and_value(shop, gate) -> None:
    queries, candidates = shop / "queries.csv", shop / "candidates.csv"
    queries.write_text(queries.read_text().replace("Hagen", "Atlantis").replace("1988.5", "88"))
    candidates.write_text(candidates.read_text().replace("cooking", "gardening"))

    with pytest.raises(UserError) as raised:
        gate(shop)

    lines = str(raised.value).splitlines()
    assert lines[0] == "the data is not what its schema says; 6 anomalies:"
    # bob of Hagen is in every split, cyd of 1988.5 in the first two.
    for column, value, splits in (
        ("town", "Atlantis", ["train", "eval", "test"]),
        ("born", "88", ["train", "eval"]),
    ):
        named = [line for line in lines if f"queries.csv, column {column!r} (interactions, split" in line]
        assert [line.split("split ")[1].split(")")[0] for line in named] == splits
        assert all(value in line for line in named)
    assert any(
        "candidates.csv, column 'shelves' (candidates, split catalogue)" in x and "gardening" in x
        for x in lines
    )
    assert "schema" in lines[-1]


def test_an_anomaly_of_a_split_as_a_whole_is_named_too(tmp_path, declare) -> None:
    artifacts = {}
    for stream in ("interaction", "candidate"):
        artifact = standard_artifacts.ExampleAnomalies()
        artifact.uri = str(tmp_path / stream)
        artifact.split_names = artifact_utils.encode_split_names(["train"])
        anomalies = anomalies_pb2.Anomalies()
        if stream == "candidate":
            anomalies.dataset_anomaly_info.reason.add(
                short_description="Low num examples", description="3 < 10"
            )
        (tmp_path / stream / "Split-train").mkdir(parents=True)
        (tmp_path / stream / "Split-train" / "SchemaDiff.pb").write_bytes(anomalies.SerializeToString())
        artifacts[f"{stream}_anomalies"] = [artifact]
    with pytest.raises(
        UserError, match=r"candidates\.csv \(candidates, split train\): Low num examples: 3 < 10"
    ):
        Executor().Do(artifacts, {}, properties(declare()))


def test_a_column_is_looked_for_in_every_file_of_the_log(declare) -> None:
    log = {"sources": [{"files": "views.csv"}, {"files": "bought/*.csv"}]}
    sources = feature_sources(declare(interactions=log))
    assert sources["interaction"][""] == "views.csv, bought/*.csv"
    assert sources["interaction"]["town"] == "queries.csv"
