"""The script's command line: what it fills in, and what it says of mistakes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner, Result

GIVEN = {
    "--domain": "movielens",
    "--data": "gs://shop/data",
    "--artifacts": "gs://shop/runs",
    "--serving": "gs://shop/serving",
    "--image": "registry.example/westwork:1",
}
IMAGE_ARGUMENT = "--sdk_container_image=registry.example/westwork:1"


def invoke(runner: ModuleType, *more: str, **changed: str) -> Result:
    options = GIVEN | {f"--{name}": value for name, value in changed.items()}
    return CliRunner().invoke(runner.main, [*(f"{key}={value}" for key, value in options.items()), *more])


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"domain": "nowhere"}, "no domain 'nowhere'"),
        ({"data": "tables"}, "--data tables: a relative path means nothing inside a container"),
        ({"data": "s3://shop/data"}, "found the scheme s3://, which TensorFlow cannot read"),
        ({"serving": "minio://shop/serving"}, "--serving minio://shop/serving: found the scheme minio://"),
        ({"artifacts": "/mnt/runs"}, "--artifacts /mnt/runs: expected a gs:// URI"),
        ({"image": "https://registry.example/westwork"}, "expected an image's name"),
        ({"set": "retrieval.epochs=none"}, "retrieval.epochs: found"),
        ({"beam-arg": "runner=FlinkRunner"}, "--beam-arg runner=FlinkRunner: expected an option of Beam's"),
        ({"output": "pipeline.json"}, "Kubeflow takes files that end in .yaml"),
    ],
)
def test_a_mistake_is_said_without_a_traceback_and_nothing_is_written(
    runner: ModuleType,
    changed: dict[str, str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = invoke(runner, **changed)
    assert result.exit_code == 1
    assert complaint in result.output
    assert "Traceback" not in result.output
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_said(runner: ModuleType, tmp_path: Path) -> None:
    from components.ingest.errors import UserError

    with pytest.raises(UserError, match="cannot be written: No such file or directory"):
        runner.write_yaml({}, tmp_path / "missing" / "pipeline.yaml")


def test_a_file_is_replaced_whole_or_not_at_all(runner: ModuleType, tmp_path: Path) -> None:
    output = tmp_path / "pipeline.yaml"
    output.write_text("earlier")
    with pytest.raises(Exception, match="represent"):
        runner.write_yaml({"a": "b", "z": object()}, output)
    assert output.read_text() == "earlier"
    assert [path.name for path in tmp_path.iterdir()] == ["pipeline.yaml"]
    runner.write_yaml({"a": "b"}, output)
    assert output.read_text() == "a: b\n"


def test_a_folder_whose_name_kubeflow_refuses_is_said(runner: ModuleType) -> None:
    from components.ingest.errors import UserError
    from pipeline.domain import load_domain

    domain = load_domain("movielens").model_copy(update={"name": "My_Shop"})
    with pytest.raises(UserError, match=r"'My_Shop'.*Rename the folder"):
        runner.make_request(domain, data="/d", artifacts="gs://a", serving="/s", image="i")


def test_by_default_statistics_are_among_the_artifacts(runner: ModuleType) -> None:
    from pipeline.domain import load_domain

    request = runner.make_request(
        load_domain("movielens"), data="/d", artifacts="gs://a", serving="/s", image="i"
    )
    assert request.statistics == "gs://a/statistics"


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ((), ("--runner=FnApiRunner", "--direct_num_workers=1", IMAGE_ARGUMENT)),
        (
            ("--direct_num_workers=4", "--direct_running_mode=multi_processing"),
            (
                *("--runner=FnApiRunner", "--direct_num_workers=4"),
                *("--direct_running_mode=multi_processing", IMAGE_ARGUMENT),
            ),
        ),
        (
            ("--runner=FlinkRunner", "--flink_master=flink:8081"),
            ("--runner=FlinkRunner", "--flink_master=flink:8081", IMAGE_ARGUMENT),
        ),
        (
            ("--runner=DataflowRunner", "--sdk_container_image=registry.example/worker:1"),
            ("--runner=DataflowRunner", "--sdk_container_image=registry.example/worker:1"),
        ),
    ],
)
def test_beam_arguments_are_completed_with_a_runner_and_the_real_image(
    runner: ModuleType, given: tuple[str, ...], completed: tuple[str, ...]
) -> None:
    assert runner.complete_beam_args(given, GIVEN["--image"]) == completed


def test_help_teaches_the_places_and_ends_with_examples(runner: ModuleType) -> None:
    result = CliRunner().invoke(runner.main, ["--help"])
    assert result.exit_code == 0
    for taught in ("gs:// only", "--beam-arg=--runner=DataflowRunner", "kfp run create", "Exit codes"):
        assert taught in result.output
