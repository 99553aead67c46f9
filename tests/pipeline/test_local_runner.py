"""The runner, the process it lives in and the view of it, on a real pipeline of three nodes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console

from components.ingest.errors import UserError
from pipeline.live_view import Progress
from pipeline.run_command import RunResult, run_child
from pipeline.run_root import RunRoot

SCRIPT = Path(__file__).with_name("small_pipeline.py")
PARENT = """
import sys
from pathlib import Path
from pipeline.run_process import follow
from pipeline.run_root import RunRoot
root = RunRoot(Path(sys.argv[1]))
with root.locked() as lock:
    follow([sys.executable, sys.argv[2], sys.argv[1]], root.new_log(), lambda event: print(event, flush=True), lock)
"""


class Run:
    """One run of the small pipeline, and what could be seen of it."""

    def __init__(self, root: Path, *arguments: str):
        places = RunRoot(root)
        places.prepare()
        self.log = places.new_log()
        self.progress = Progress()
        with open(os.devnull, "w") as nowhere:
            console = Console(file=nowhere, width=100, record=True)
            command = [sys.executable, str(SCRIPT), str(root), *arguments]
            self.result: RunResult = run_child(console, command, self.log, None, self.progress)
            self.shown = console.export_text()

    @property
    def states(self) -> dict[str, str]:
        return {step: progress.state for step, progress in self.progress.steps.items()}


def _states_in_metadata(root: Path) -> list[str]:
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = str(root / "metadata.sqlite")
    executions = metadata_store.MetadataStore(config).get_executions()
    names = metadata_store_pb2.Execution.State.Name
    return [names(execution.last_known_state) for execution in sorted(executions, key=lambda e: e.id)]


def test_steps_are_done_first_then_cached_and_what_changed_runs_again(tmp_path):
    first = Run(tmp_path)
    assert first.result.failure is None
    assert first.states == {"First": "done", "Second": "done", "Third": "done"}
    assert first.shown.splitlines()[:3] == [
        "3 steps: First, Second, Third",
        "First running",
        first.shown.splitlines()[2],
    ]
    assert first.shown.splitlines()[2].startswith("First done ")

    again = Run(tmp_path)
    assert again.states == {"First": "cached", "Second": "cached", "Third": "cached"}
    assert set(again.progress.seconds_by_step().values()) == {None}

    changed = Run(tmp_path, "--number", "2")
    assert changed.states == {"First": "done", "Second": "done", "Third": "done"}


def test_what_a_step_prints_goes_to_the_log_alone(tmp_path, capfd):
    run = Run(tmp_path)
    assert "chatter of a step on stdout" in run.log.read_text()
    assert capfd.readouterr() == ("", "")
    assert "chatter" not in run.shown


@pytest.mark.parametrize(
    ("kind", "message", "names_the_log"),
    [
        ("beam", "Second: u.data, row 7: found 'x',\nexpected a number", False),
        ("user", "Second: the data are wrong", False),
        ("other", "Second: ValueError: an ordinary fault", True),
    ],
)
def test_a_failed_step_is_told_in_plain_words(tmp_path, kind, message, names_the_log):
    (tmp_path / "fail").write_text(kind)
    run = Run(tmp_path)
    assert run.states == {"First": "done", "Second": "failed", "Third": "waiting"}
    assert run.result.failure == message + (f"\nlog: {run.log}" if names_the_log else "")
    assert "Traceback" in run.log.read_text()


def test_a_killed_run_is_resumed_with_its_finished_steps_and_ends_with_its_parent(tmp_path):
    (tmp_path / "hang").touch()
    RunRoot(tmp_path).prepare()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(SCRIPT)], stdout=subprocess.PIPE
    )
    try:
        _wait_until((tmp_path / "hanging").exists)
        with pytest.raises(UserError, match=f"another run is working in .* \\(process {parent.pid}\\)"):
            with RunRoot(tmp_path).locked():
                pass
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
    # The child holds the lock too: that it can be had shows that the child is gone.
    _wait_until(lambda: _can_lock(tmp_path))
    assert _states_in_metadata(tmp_path) == ["COMPLETE", "RUNNING"]

    (tmp_path / "hang").unlink()
    resumed = Run(tmp_path)
    assert resumed.result.failure is None
    assert resumed.states == {"First": "cached", "Second": "done", "Third": "done"}
    assert _states_in_metadata(tmp_path) == ["COMPLETE", "CANCELED", "CACHED", "COMPLETE", "COMPLETE"]


def test_ctrl_c_ends_the_child(tmp_path):
    (tmp_path / "hang").touch()
    RunRoot(tmp_path).prepare()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(SCRIPT)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    _wait_until((tmp_path / "hanging").exists)
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    assert _can_lock(tmp_path)


def test_a_child_that_dies_is_told_with_its_signal(tmp_path):
    RunRoot(tmp_path).prepare()
    log = tmp_path / "logs" / "a.log"
    with open(os.devnull, "w") as nowhere:
        command = [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"]
        result = run_child(Console(file=nowhere), command, log, None, Progress())
    assert result.failure is not None
    assert "SIGKILL" in result.failure and "memory" in result.failure and str(log) in result.failure


def test_a_root_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="cannot write to the run's root .*taken.*--root"):
        RunRoot(tmp_path / "taken").prepare()


def _can_lock(root: Path) -> bool:
    try:
        with RunRoot(root).locked():
            return True
    except UserError:
        return False


def _wait_until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
