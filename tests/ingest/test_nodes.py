from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
import yaml
from tensorflow_metadata.proto.v0 import schema_pb2
from tensorflow_transform.tf_metadata import schema_utils
from tfx import v1 as tfx
from tfx.components.example_gen import utils as tfx_utils
from tfx.orchestration import metadata
from tfx.utils import proto_utils
from tfx.v1 import proto

from components.ingest.declaration import DERIVED, Declaration
from components.ingest.errors import UserError
from components.ingest.example_schema import candidate_features, complete_schema, interaction_features
from components.ingest.files.columns import column_of
from components.ingest.gate.anomaly_gate import AnomalyGate
from components.ingest.interactions import input_files
from components.ingest.nodes import candidate_gen, interaction_gen
from components.ingest.schema_gen import SchemaGen

ROOT = Path(__file__).parents[2]
DOMAINS = [
    *sorted(path.parent for path in ROOT.glob("schemas/*/domain.yaml")),
    ROOT / "tests" / "fixtures" / "tiny",
]


def completed(declaration: Declaration, domain: Path, stream: str) -> schema_pb2.Schema:
    """A stream's schema as a run has it."""
    features = {"interactions": interaction_features, "candidates": candidate_features}[stream]
    return complete_schema(tfdv.load_schema_text(str(domain / f"{stream}.pbtxt")), features(declaration))


def run_pipeline(
    declaration: Declaration, data: Path, root: Path, domain: Path, beam_args: list[str]
) -> None:
    """Both ExampleGens, validation, gate, by TFX' own local runner."""
    nodes, anomalies, measured = [], [], {}
    for stream, generator in (
        ("interactions", interaction_gen(declaration, str(data))),
        ("candidates", candidate_gen(declaration, str(data))),
    ):
        statistics = tfx.components.StatisticsGen(generator.outputs["examples"]).with_id(
            f"{stream}_statistics"
        )
        schema = SchemaGen(completed(declaration, domain, stream)).with_id(f"{stream}_schema")
        validator = tfx.components.ExampleValidator(
            statistics.outputs["statistics"], schema.outputs["schema"]
        ).with_id(f"{stream}_validator")
        anomalies.append(validator.outputs["anomalies"])
        measured[stream.removesuffix("s")] = statistics.outputs["statistics"]
        nodes += [generator, statistics, schema, validator]
    gate = AnomalyGate(*anomalies, measured, {}, declaration, over_threshold="stop", published="")
    pipeline = tfx.dsl.Pipeline(
        pipeline_name="shop",
        pipeline_root=str(root / "artifacts"),
        components=[*nodes, gate],
        enable_cache=True,
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        beam_pipeline_args=beam_args,
    )
    tfx.orchestration.LocalDagRunner().run(pipeline)


def executions(root: Path) -> dict[str, int]:
    """How often each node's output was really made, not taken from the cache."""
    made = {}
    for node, output in (
        ("InteractionGen", "examples"),
        ("CandidateGen", "examples"),
        ("AnomalyGate", "verdict"),
    ):
        directory = root / "artifacts" / node / output
        made[node] = len([path for path in directory.iterdir() if path.is_dir()]) if directory.is_dir() else 0
    return made


def test_the_nodes_run_once_then_come_from_the_cache_until_a_file_changes(
    shop, tmp_path, tiny, declare, beam_args
) -> None:
    root = tmp_path / "run"
    root.mkdir()
    once = {"InteractionGen": 1, "CandidateGen": 1, "AnomalyGate": 1}
    run_pipeline(declare(), shop, root, tiny, beam_args)
    assert executions(root) == once
    # How a feature is encoded later is none of ingestion's business.
    run_pipeline(declare(history={"length": 3}, queries={"features": {
        "town": {"kind": "hash", "bins": 9}, "postcode": {"kind": "vocabulary"},
        "joined": {"kind": "timestamp"}, "born": {"kind": "numeric", "scale": "log1p"},
    }}), shop, root, tiny, beam_args)  # fmt: skip
    assert executions(root)["InteractionGen"] == executions(root)["CandidateGen"] == 1

    queries = shop / "queries.csv"
    queries.write_text(queries.read_text().replace("Hagen", "Atlantis"))
    with pytest.raises(UserError, match="Atlantis"):
        run_pipeline(declare(), shop, root, tiny, beam_args)
    assert executions(root) == {**once, "InteractionGen": 2}

    # The gate says to fix the schema; that is seen, and nothing is read again.
    fixed = tmp_path / "fixed"
    shutil.copytree(tiny, fixed)
    schema = fixed / "interactions.pbtxt"
    schema.write_text(schema.read_text().replace('value: "Hagen"', 'value: "Hagen" value: "Atlantis"'))
    run_pipeline(declare(), shop, root, fixed, beam_args)
    assert executions(root) == {**once, "InteractionGen": 2, "AnomalyGate": 2}


def test_dead_letters_outlive_the_output_directory_tfx_removes(
    shop, tmp_path, tiny, declare, beam_args
) -> None:
    root = tmp_path / "run"
    root.mkdir()
    with (shop / "interactions.csv").open("a") as file:
        file.write("ada,007,99,1500\n")
    with pytest.raises(UserError) as raised:
        run_pipeline(declare(), shop, root, tiny, beam_args)
    kept = str(raised.value).split("All of them: ")[1].splitlines()[0]
    assert os.path.isfile(kept) and executions(root)["InteractionGen"] == 0


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.name)
def test_a_domains_schemas_cover_its_declaration_with_types_transform_reads(domain: Path) -> None:
    content = yaml.safe_load((domain / "domain.yaml").read_text())
    declaration = Declaration(**{key: content[key] for key in content if key in Declaration.model_fields})
    log = declaration.interactions
    types = {"string": "string", "strings": "string", "number": "float32", "moment": "int64"}
    interactions = {log.query_id: "string", log.candidate_id: "string", log.timestamp.column: "int64"}
    interactions |= {"history": "string", **({log.rating.column: "float32"} if log.rating else {})}
    words = ("history", "history_action", "action", "event_order")
    interactions |= {name: "float32" for name in DERIVED if name not in words}
    interactions |= {"action": "string"} if log.actions else {}
    interactions |= {"history_action": "string"} if declaration.history_actions else {}
    interactions |= {n: types[column_of(n, f).type] for n, f in declaration.query_features.items()}
    table = declaration.candidates
    candidates = {table.id: "string", table.title: "string"}
    candidates |= {n: types[column_of(n, f).type] for n, f in table.features.items()}

    for stream, expected in (("interactions", interactions), ("candidates", candidates)):
        schema = completed(declaration, domain, stream)
        spec = schema_utils.schema_as_feature_spec(schema).feature_spec
        assert {name: feature.dtype.name for name, feature in spec.items()} == expected
        fixed = {name for name, feature in spec.items() if hasattr(feature, "default_value")}
        required = [
            log.query_id,
            log.candidate_id,
            log.timestamp.column,
            "positive",
            "weight",
            "repeat",
            *([log.rating.column] if log.rating else []),
            *(["action"] if log.actions else []),
        ]
        assert fixed == set(required if stream == "interactions" else [table.id])


def test_an_object_stores_uri_reaches_the_steps_as_it_is(declare: Callable[..., Declaration]) -> None:
    for make in (interaction_gen, candidate_gen):
        assert make(declare(), "gs://shop/data").exec_properties["input_base"] == "gs://shop/data"


@pytest.mark.parametrize("name", ["data [v2]", "d*a", "what?", "[!a]", "{SPAN}"])
def test_tfx_finds_the_files_that_the_steps_read(
    tmp_path: Path, declare: Callable[..., Declaration], name: str
) -> None:
    data = tmp_path / name
    for folder in (data, tmp_path / "data v", tmp_path / "dxa", tmp_path / "whatx", tmp_path / "b"):
        folder.mkdir()
        for file in ("interactions.csv", "candidates.csv", "queries.csv"):
            (folder / file).write_text(str(folder))
    node = interaction_gen(declare(), str(data))
    config = proto.Input()
    proto_utils.json_to_proto(node.exec_properties["input_config"], config)
    print_of, _, _ = tfx_utils.calculate_splits_fingerprint_span_and_version(
        node.exec_properties["input_base"], config.splits
    )
    assert print_of.count(f"num_files:1,total_bytes:{len(str(data))}") == len(config.splits) == 3
    assert input_files(node.exec_properties)["interactions-0"] == [str(data / "interactions.csv")]


def test_a_uri_named_by_a_table_is_not_below_the_data_directory(
    tmp_path: Path, declare: Callable[..., Declaration]
) -> None:
    declaration = declare()
    elsewhere = declaration.candidates.model_copy(update={"files": "gs://shop/items.csv"})
    for make in (interaction_gen, candidate_gen):
        node = make(declaration.model_copy(update={"candidates": elsewhere}), str(tmp_path))
        config = proto.Input()
        proto_utils.json_to_proto(node.exec_properties["input_config"], config)
        base = node.exec_properties["input_base"]
        patterns = {split.name: os.path.join(base, split.pattern) for split in config.splits}
        assert patterns.pop("candidates") == "gs://shop/items.csv"
        assert all(pattern.startswith(f"{tmp_path}/") for pattern in patterns.values())
