"""Edit, run, see the edit: for every file a user may edit, the steps that read it run anew, and no other.

The keys are TFX's own: the whole graph is compiled, the drivers resolve their settings, and each step's cache
key is computed from these and from the keys of the steps before it. Nothing is run.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.compiler import compiler
from tfx.orchestration import data_types_utils, metadata
from tfx.orchestration.portable import cache_utils
from tfx.proto.orchestration import executable_spec_pb2, pipeline_pb2
from tfx.types import standard_artifacts
from tfx.utils import import_utils

from pipeline.domain import load_domain
from pipeline.graph import create_pipeline, local_places

TINY = Path(__file__).parent.parent / "fixtures" / "tiny"
_DEPLOYMENT = pipeline_pb2.IntermediateDeploymentConfig

Edit = Callable[[Path], None]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A domain's folder, and beside it a run's root with the data."""
    folder = tmp_path / "shop"
    shutil.copytree(TINY, folder)
    shutil.copytree(TINY, tmp_path / "root" / "data")
    return folder


def keys(folder: Path) -> dict[str, str]:
    """Step to its cache key, as a run would find it now."""
    root = folder.parent / "root"
    connection = metadata_store_pb2.ConnectionConfig(fake_database=metadata_store_pb2.FakeDatabaseConfig())
    sqlite = metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite"))
    pipeline = create_pipeline(load_domain(str(folder)), local_places(root), metadata=sqlite)
    compiled = compiler.Compiler().compile(pipeline)
    deployment = _DEPLOYMENT()
    compiled.deployment_config.Unpack(deployment)
    found: dict[str, str] = {}
    with metadata.Metadata(connection) as handle:
        for each in compiled.nodes:
            node = each.pipeline_node
            found[node.node_info.id] = cache_utils.get_cache_context(
                handle,
                node,
                compiled.pipeline_info,
                input_artifacts=_inputs(node, found),
                parameters=_parameters(node, deployment, handle),
            ).name
    return found


def _inputs(node: pipeline_pb2.PipelineNode, found: dict[str, str]) -> dict[str, list[types.Artifact]]:
    """Artifacts that are known by the key of the step they are made by."""
    inputs: dict[str, list[types.Artifact]] = {}
    for key, spec in node.inputs.inputs.items():
        for channel in spec.channels:
            artifact = standard_artifacts.Examples()
            artifact.uri = f"{found[channel.producer_node_query.id]}/{channel.output_key}"
            inputs.setdefault(key, []).append(artifact)
    return inputs


def _parameters(
    node: pipeline_pb2.PipelineNode, deployment: _DEPLOYMENT, handle: metadata.Metadata
) -> dict[str, object]:
    """The step's settings, after its own driver where it has one."""
    fields = {key: value.field_value for key, value in node.parameters.parameters.items()}
    parameters = dict(data_types_utils.build_value_dict(fields))
    packed = deployment.custom_driver_specs.get(node.node_info.id)
    if packed is None:
        return parameters
    spec = executable_spec_pb2.PythonClassExecutableSpec()
    packed.Unpack(spec)
    driver = import_utils.import_class_by_path(spec.class_path)(handle)
    return driver.resolve_exec_properties(parameters, None, None)


def replace(name: str, old: str, new: str) -> Edit:
    """Changes a text in a file of the domain's folder."""

    def edit(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert text.count(old) >= 1
        path.write_text(text.replace(old, new, 1))

    return edit


def data(name: str, change: Callable[[Path], None]) -> Edit:
    """Changes a table."""
    return lambda folder: change(folder.parent / "root" / "data" / name)


def one_digit(path: Path) -> None:
    """A text of the same length, with the same time of writing."""
    state = path.stat()
    before = path.read_bytes()
    path.write_bytes(before[:-2] + bytes([before[-2] ^ 1]) + before[-1:])
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size and path.stat().st_mtime_ns == state.st_mtime_ns


def put_back(path: Path) -> None:
    """Another file of the same size and time in its place, as ``cp -p`` and rsync leave one."""
    other = path.with_name("other")
    shutil.copy2(path, other)
    one_digit(other)
    os.replace(other, path)


def one_row_more(path: Path) -> None:
    with path.open("a") as file:
        file.write(path.read_text().splitlines()[-1] + "\n")


LOG = {"InteractionGen", "InteractionStatistics", "InteractionTransform", "RetrievalTrainer", "Evaluator"}
CATALOGUE = {"CandidateGen", "CandidateStatistics", "CandidateTransform", "RetrievalTrainer", "Evaluator"}
LOG_SCHEMA = {"InteractionSchema", "InteractionValidator", "AnomalyGate", "InteractionTransform"}
CATALOGUE_SCHEMA = {"CandidateSchema", "CandidateValidator", "AnomalyGate", "CandidateTransform"}
READING = {"InteractionGen", "CandidateGen", "InteractionStatistics", "CandidateStatistics"}


@pytest.mark.parametrize(
    ("edit", "anew", "kept"),
    [
        (replace("interactions.pbtxt", 'value: "Hagen"', 'value: "Hamm"'), LOG_SCHEMA, READING),
        (replace("interactions.pbtxt", "min: 1900.0", "min: 1800.0"), LOG_SCHEMA, READING),
        (replace("candidates.pbtxt", 'value: "crime"', 'value: "drama"'), CATALOGUE_SCHEMA, READING),
        (replace("domain.yaml", "length: 3", "length: 4"), LOG | LOG_SCHEMA, {"CandidateGen"}),
        (replace("domain.yaml", "maximum: 5", "maximum: 6"), LOG | LOG_SCHEMA, {"CandidateGen"}),
        (replace("domain.yaml", "max_tokens: 4", "max_tokens: 5"), {"CandidateTransform"}, READING),
        (replace("domain.yaml", "split: {", "retrieval: {epochs: 9}\nsplit: {"),
         {"RetrievalTrainer", "Assembler", "Evaluator"}, READING | {"InteractionTransform"}),
        (replace("domain.yaml", "split: {", "evaluation: {floors: {recommend/recall@10: 0.5}}\nsplit: {"),
         {"Evaluator", "Pusher"}, READING | {"RetrievalTrainer", "Assembler"}),
        (replace("domain.yaml", "split: {", "serving: {latency_p50_ms: 9}\nsplit: {"),
         {"InfraValidator", "Pusher"}, READING | {"Evaluator"}),
        (data("interactions.csv", one_row_more), LOG, {"CandidateGen"}),
        (data("interactions.csv", one_digit), LOG, {"CandidateGen"}),
        (data("interactions.csv", put_back), LOG, {"CandidateGen"}),
        (data("candidates.csv", one_row_more), CATALOGUE | LOG, {"InteractionSchema"}),
        (data("candidates.csv", one_digit), CATALOGUE | LOG, {"InteractionSchema"}),
        (data("queries.csv", one_row_more), LOG, {"CandidateGen"}),
        (data("queries.csv", put_back), LOG, {"CandidateGen"}),
    ],
)  # fmt: skip
def test_the_steps_that_read_an_edited_file_run_anew(
    shop: Path, edit: Edit, anew: set[str], kept: set[str]
) -> None:
    before = keys(shop)
    assert keys(shop) == before
    edit(shop)
    after = keys(shop)
    changed = {step for step in before if before[step] != after[step]}
    assert anew <= changed, anew - changed
    assert not kept & changed, kept & changed


@pytest.mark.parametrize(
    "edit",
    [
        replace("domain.yaml", "Tiny bookshop", "Large bookshop"),
        replace("domain.yaml", "# A bookshop", "# The bookshop"),
        replace("interactions.pbtxt", "feature {", "# What is known of a reader.\nfeature {"),
        replace("interactions.pbtxt", "feature {", 'feature { name: "weight" type: FLOAT } feature {'),
    ],
)
def test_an_edit_that_changes_nothing_repeats_nothing(shop: Path, edit: Edit) -> None:
    before = keys(shop)
    edit(shop)
    assert keys(shop) == before


def test_two_files_that_change_names_are_other_files(shop: Path) -> None:
    replace("domain.yaml", "files: interactions.csv", "files: part-*.csv")(shop)
    tables = shop.parent / "root" / "data"
    lines = (tables / "interactions.csv").read_text().splitlines(keepends=True)
    (tables / "part-a.csv").write_text("".join(lines[:9]))
    (tables / "part-b.csv").write_text(lines[0] + "".join(lines[9:]))
    before = keys(shop)
    os.rename(tables / "part-a.csv", tables / "part-c.csv")
    after = keys(shop)
    assert before["InteractionGen"] != after["InteractionGen"]
    assert before["CandidateGen"] == after["CandidateGen"]
