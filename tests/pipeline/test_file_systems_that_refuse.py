"""A place that cannot be written, and a full disk, are told in plain words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from components.ingest.errors import UserError
from pipeline import cli
from pipeline.failures import explain
from pipeline.run_root import RunRoot


@pytest.mark.parametrize("name", ["data", "artifacts", "serving", "logs"])
@pytest.mark.parametrize("make", [lambda path: path.write_text("x"), lambda path: path.symlink_to("nowhere")])
def test_a_file_where_a_folder_belongs_is_told_before_anything_runs(
    tmp_path: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name} is no folder\. .*Remove it, or name another --root"):
        RunRoot(tmp_path).prepare()


@pytest.mark.parametrize(
    ("folder", "number", "said"),
    [
        ("", errno.ENOSPC, "root: No space left on device"),
        ("", errno.EROFS, "root: Read-only file system"),
        ("logs", errno.EACCES, "root, in .*/root/logs: Permission denied"),
        ("artifacts", errno.EDQUOT, "root, in .*/root/artifacts: Disk quota exceeded"),
        ("serving", errno.EACCES, "root, in .*/root/serving: Permission denied"),
    ],
)
def test_a_folder_that_takes_no_bytes_is_told_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, number: int, said: str
) -> None:
    root = RunRoot(tmp_path / "root")
    for each in (root.artifacts, root.serving):
        each.mkdir(parents=True)
    write = Path.write_bytes

    def refuse(path: Path, content: bytes) -> int:
        if path.parent == root.path / folder and content:
            raise OSError(number, os.strerror(number), str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(UserError, match=rf"cannot write to the run's root .*/{said}\. Name a folder"):
        root.prepare()


def test_a_sound_root_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "serving").mkdir()
    RunRoot(tmp_path).prepare()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["logs", "serving"]


def test_a_lock_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / ".lock").mkdir()
    with pytest.raises(UserError, match=r"\.lock cannot be opened: Is a directory\. .*Remove it"):  # noqa: SIM117
        with RunRoot(tmp_path).locked():
            pass


def raised(cause: BaseException, text: str) -> BaseException:
    try:
        raise RuntimeError(text) from cause
    except RuntimeError as error:
        return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/runs/a.gz"), "the disk is full: "),
        (raised(OSError(errno.ENOSPC, "No space left on device"), "step failed"), "the disk is full: "),
        (RuntimeError("ResourceExhausted: /runs/x.part; No space left on device [while running 'Write']"),
         "the disk is full: "),
        (RuntimeError("INTERNAL: Error when executing: database or disk is full"), "the disk is full: "),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full: "),
        (PermissionError(errno.EACCES, "Permission denied", "/runs/serving/1"),
         "/runs/serving/1: Permission denied. "),
        (OSError(errno.EROFS, "Read-only file system", "/runs/x"), "/runs/x: Read-only file system. "),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/runs/x/y"), "/runs/x/y: Not a directory. "),
    ],
)  # fmt: skip
def test_a_step_that_a_file_system_stops_says_what_to_do(error: BaseException, said: str) -> None:
    message, is_users = explain(error)
    assert is_users and message.startswith(said), message


@pytest.mark.parametrize(
    "error", [OSError("odd"), FileNotFoundError(2, "No such file", "x"), ValueError("disk")]
)
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    assert explain(error)[1] is False


def test_no_command_ends_in_a_traceback_where_a_place_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command(name="refused")
    def refused() -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/runs/report.html")

    monkeypatch.setitem(cli.main.commands, "refused", refused)
    result = CliRunner().invoke(cli.main, ["refused"])
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert result.stderr.startswith("error /runs/report.html: Permission denied. ")
