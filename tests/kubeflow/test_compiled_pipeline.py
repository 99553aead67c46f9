"""The compiled file: what is in it, and what its containers do when Kubeflow runs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from container import run_forked, stop_forking
from kfp import components
from launcher import Launcher, Step, steps_of
from reading_club import BOOKS_A_SHELF, IMAGE, INTERACTIONS, SHELVES, Compiled

UPSTREAM = {
    "InteractionGen": set(),
    "CandidateGen": set(),
    "InteractionStatistics": {"InteractionGen"},
    "CandidateStatistics": {"CandidateGen"},
    "InteractionSchema": set(),
    "CandidateSchema": set(),
    "InteractionValidator": {"InteractionStatistics", "InteractionSchema"},
    "CandidateValidator": {"CandidateStatistics", "CandidateSchema"},
    "AnomalyGate": {
        *("InteractionValidator", "CandidateValidator", "InteractionStatistics", "CandidateStatistics"),
    },
    "InteractionTransform": {"InteractionGen", "InteractionSchema", "AnomalyGate"},
    "CandidateTransform": {"CandidateGen", "CandidateSchema", "AnomalyGate"},
    "RetrievalTrainer": {"InteractionTransform", "CandidateTransform", "InteractionSchema"},
    "RankingTrainer": {"InteractionTransform", "CandidateTransform", "InteractionSchema"},
    "BaselineTrainer": {"InteractionTransform", "CandidateTransform", "InteractionSchema"},
    "Assembler": {
        *("RetrievalTrainer", "RankingTrainer", "InteractionTransform", "CandidateTransform"),
        *("InteractionGen", "CandidateGen"),
    },
    "InfraValidator": {"Assembler"},
    "BaselineResolver": {"Assembler"},
    "Evaluator": {
        *("InteractionGen", "Assembler", "BaselineResolver", "BaselineTrainer", "InteractionSchema"),
    },
    "TestEvaluator": {"InteractionGen", "Assembler", "BaselineTrainer", "InteractionSchema"},
    "Pusher": {"Assembler", "Evaluator", "InfraValidator"},
}


@pytest.fixture(scope="module")
def steps(compiled: Compiled) -> dict[str, Step]:
    """The steps as kfp reads them from the file."""
    return steps_of(components.load_component_from_file(str(compiled.file)).pipeline_spec)


def test_every_step_waits_for_the_steps_it_needs(steps: dict[str, Step]) -> None:
    assert {name: set(step.upstream) for name, step in steps.items()} == UPSTREAM


def test_every_step_runs_in_the_image_given(compiled: Compiled) -> None:
    spec = components.load_component_from_file(str(compiled.file)).pipeline_spec
    executors = spec.deployment_spec["executors"]
    assert {executors[name]["container"]["image"] for name in executors} == {IMAGE}
    assert len(executors) == len(UPSTREAM)


def test_the_file_says_where_kubeflow_puts_artifacts_and_caches_nothing_unasked(compiled: Compiled) -> None:
    spec = components.load_component_from_file(str(compiled.file)).pipeline_spec
    assert spec.default_pipeline_root == "gs://shop/runs"
    assert spec.schema_version == "2.1.0"
    assert not any(task.caching_options.enable_cache for task in spec.root.dag.tasks.values())


def test_beam_runs_inside_the_containers_and_knows_the_real_image(steps: dict[str, Step]) -> None:
    for step in steps.values():
        beam = [word for word in step.argv if word.startswith(("--runner", "--sdk_container_image"))]
        assert beam == ["--runner=FnApiRunner", f"--sdk_container_image={IMAGE}"], step.name


def test_the_script_prints_what_it_wrote_and_no_library_chatter(compiled: Compiled) -> None:
    lines = compiled.said.splitlines()
    assert lines[0] == f"{compiled.file}: westwork-tiny, {len(UPSTREAM)} steps of {IMAGE}"
    assert len(lines) == 3


@pytest.fixture(scope="module")
def executed(steps: dict[str, Step], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """Every container command run, with the checks before the ExampleGens, as on Vertex AI."""
    launcher = Launcher(tmp_path_factory.mktemp("run"), run_forked)
    try:
        launcher.run_all(steps, at_once=2)
        yield launcher
    finally:
        stop_forking()


def test_every_container_command_runs_down_to_a_blessed_and_pushed_model(
    executed: Launcher, compiled: Compiled
) -> None:
    assert set(executed.outputs) == set(UPSTREAM)
    for gate in ("Evaluator", "InfraValidator"):
        assert executed.outputs[gate]["blessing"]["metadata"]["blessed"] == 1
    pushed = executed.outputs["Pusher"]["pushed_model"]["metadata"]
    assert pushed["pushed"] == 1
    (version,) = compiled.serving.iterdir()
    assert version.name == pushed["pushed_version"]
    assert Path(pushed["pushed_destination"]) == version


def test_the_pushed_model_recommends_from_the_shelf_a_reader_loves(
    executed: Launcher, compiled: Compiled
) -> None:
    tf = importlib.import_module("tensorflow")
    importlib.import_module("scann.scann_ops.py.scann_ops")
    (version,) = compiled.serving.iterdir()
    recommend = tf.saved_model.load(str(version)).signatures["recommend"]
    poetry = SHELVES.index("poetry")
    history = [f"{poetry:02d}{book:03d}" for book in range(3)]
    answer = recommend(
        k=tf.constant(10),
        exclude=tf.constant([history]),
        diversity=tf.constant(0.0),
        history=tf.constant([history]),
        history_age=tf.constant([[86_400.0] * len(history)]),
        reader=tf.constant(["somebody new"]),
        rated_at=tf.constant([1_704_000_000], tf.int64),
        town=tf.constant([""]),
        postcode=tf.constant([""]),
        joined=tf.constant([0], tf.int64),
        born=tf.constant([np.nan]),
    )
    (ids,) = answer["candidate_ids"].numpy()
    assert len(set(ids)) == 10
    assert not {book.encode() for book in history} & set(ids)
    shelves = [int(book[:2]) for book in ids]
    # One of eight shelves: by chance it would be one or two.
    assert shelves.count(poetry) >= 4, shelves


def test_the_split_sizes_add_up_to_the_interactions_written(executed: Launcher) -> None:
    tf = importlib.import_module("tensorflow")
    uri = executed.outputs["InteractionGen"]["examples"]["uri"]
    sizes = [
        sum(1 for _ in tf.data.TFRecordDataset(tf.io.gfile.glob(f"{uri}/Split-{split}/*"), "GZIP"))
        for split in ("train", "eval", "test")
    ]
    assert sum(sizes) == INTERACTIONS
    assert sizes[0] > sizes[1] > 0 < sizes[2]


def test_an_example_gen_needs_no_check_before_it_as_on_kubeflows_own_backend(
    executed: Launcher, steps: dict[str, Step], tmp_path: Path
) -> None:
    tf = importlib.import_module("tensorflow")
    assert steps["CandidateGen"].pre_cache_check
    plain = Launcher(tmp_path, run_forked, pre_cache_checks=False)
    plain.run(steps["CandidateGen"])
    read = []
    for launcher in (executed, plain):
        artifact = launcher.outputs["CandidateGen"]["examples"]
        assert artifact["metadata"]["split_names"] == '["catalogue"]'
        files = tf.io.gfile.glob(f"{artifact['uri']}/Split-catalogue/*")
        read.append(sorted(record.numpy() for record in tf.data.TFRecordDataset(files, "GZIP")))
    assert read[0] == read[1]
    assert len(read[0]) == len(SHELVES) * BOOKS_A_SHELF
