from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tfx.types import standard_artifacts

from components.ingest import worker_processes
from components.ingest.interactions import Executor
from components.ingest.nodes import interaction_gen
from components.ingest.worker_processes import with_worker_processes
from pipeline.graph import LOCAL_BEAM_ARGS

LARGE = 1 << 40


def examples_of(uri: Path) -> dict[str, bytes]:
    return {str(path.relative_to(uri)): gzip.decompress(path.read_bytes()) for path in uri.glob("Split-*/*")}


def test_a_large_log_gets_a_process_for_each_core_of_this_machine(monkeypatch) -> None:
    monkeypatch.setattr(worker_processes.os, "sched_getaffinity", lambda _: {0, 1, 2})
    added = [arg for arg in with_worker_processes(LOCAL_BEAM_ARGS, LARGE) if arg not in LOCAL_BEAM_ARGS]
    assert added == ["--direct_num_workers=3", "--direct_running_mode=multi_processing"]


@pytest.mark.parametrize(
    ("args", "size"),
    [
        (LOCAL_BEAM_ARGS, 1000),
        ((*LOCAL_BEAM_ARGS, "--direct_num_workers=1"), LARGE),
        (("--runner=FlinkRunner",), LARGE),
    ],
    ids=["little to read", "workers are configured", "another runner"],
)
def test_arguments_stay_as_they_are(monkeypatch, args, size) -> None:
    monkeypatch.setattr(worker_processes.os, "sched_getaffinity", lambda _: {0, 1})
    assert with_worker_processes(args, size) == list(args)


def test_worker_processes_write_the_very_same_files(shop, declare, tmp_path, ingest, monkeypatch) -> None:
    alone = examples_of(ingest(shop))
    monkeypatch.setattr(worker_processes, "_WORTH_IT_BYTES", 0)
    monkeypatch.setattr(worker_processes.os, "sched_getaffinity", lambda _: {0, 1})
    examples = standard_artifacts.Examples()
    examples.uri = str(tmp_path / "out")
    context = Executor.Context(
        beam_pipeline_args=list(LOCAL_BEAM_ARGS), tmp_dir=str(tmp_path / "tmp"), unique_id="1"
    )
    Executor(context).Do(
        {}, {"examples": [examples]}, dict(interaction_gen(declare(), str(shop)).exec_properties)
    )
    assert alone == examples_of(tmp_path / "out") and len(alone) == 3
    assert not list((tmp_path / "out").glob(".*"))
