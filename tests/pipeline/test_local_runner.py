"""The runner, the process it lives in and the view of it, on a real pipeline of three nodes."""

import io
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console

from components.ingest.errors import UserError
from pipeline.live_view import Progress, live_view
from pipeline.local_runner import ReportingDagRunner, StepFailed, tell_failure
from pipeline.run_command import RunResult, run_child
from pipeline.run_events import Event, Failed, Planned, StepEnded, StepStarted
from pipeline.run_root import RunRoot

SCRIPT = Path(__file__).with_name("small_pipeline.py")
PARENT = """
import sys
from pathlib import Path
from pipeline.run_process import follow
from pipeline.run_root import RunRoot
root = RunRoot(Path(sys.argv[1]))
with root.locked() as lock:
    follow([sys.executable, sys.argv[2], sys.argv[1]], root.new_log(), lambda event: None, lock)
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


@pytest.fixture
def run_here(monkeypatch, tmp_path):
    """Runs the small pipeline in this process, which spares the imports; returns the events."""
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import small_pipeline

    def run(number: int = 1) -> list[Event]:
        events: list[Event] = []
        try:
            ReportingDagRunner(events.append).run(small_pipeline.create(tmp_path, number))
        except StepFailed as error:
            tell_failure(error, events.append)
        return events

    return run


def _states(events: list[Event]) -> dict[str, str]:
    progress = Progress()
    for event in events:
        progress.take(event)
    return {step: shown.state for step, shown in progress.steps.items()}


def test_steps_are_done_first_then_cached_and_what_changed_runs_again(run_here):
    first = run_here()
    assert first[0] == Planned(steps=("First", "Second", "Third"))
    assert [type(event) for event in first[1:]] == [StepStarted, StepEnded] * 3
    assert _states(first) == {"First": "done", "Second": "done", "Third": "done"}
    assert _states(run_here()) == {"First": "cached", "Second": "cached", "Third": "cached"}
    assert _states(run_here(number=2)) == {"First": "done", "Second": "done", "Third": "done"}


def test_a_model_that_could_not_be_served_is_checked_again_and_one_that_could_is_not(run_here, tmp_path):
    (tmp_path / "refuse").touch()
    ended = [run_here()[-1]]
    (tmp_path / "refuse").unlink()
    ended += [run_here()[-1], run_here()[-1]]
    assert [(end.state, end.blessed) for end in ended] == [("done", False), ("done", True), ("cached", True)]


@pytest.mark.parametrize(
    ("kind", "message", "user_error"),
    [
        ("beam", "u.data, row 7: found 'x',\nexpected a number", True),
        ("user", "the data are wrong", True),
        ("other", "ValueError: an ordinary fault", False),
    ],
)
def test_a_failed_step_is_told_in_plain_words(run_here, tmp_path, capfd, kind, message, user_error):
    (tmp_path / "fail").write_text(kind)
    events = run_here()
    assert _states(events) == {"First": "done", "Second": "failed", "Third": "waiting"}
    assert events[-1] == Failed(step="Second", message=message, user_error=user_error)
    assert "Traceback" in capfd.readouterr().err


def test_a_step_whose_inputs_cannot_be_resolved_fails_the_run(monkeypatch, tmp_path):
    # TFX's launcher records this and returns as if nothing had happened.
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import small_pipeline
    from tfx.dsl.compiler import compiler

    ir = compiler.Compiler().compile(small_pipeline.create(tmp_path, 1))
    del ir.nodes[0]
    with pytest.raises(StepFailed) as failure:
        ReportingDagRunner(lambda event: None).run_with_ir(ir)
    assert failure.value.step == "Second"
    assert "resolving inputs" in str(failure.value)


def test_a_run_in_a_child_shows_lines_where_there_is_no_terminal_and_logs_what_steps_print(tmp_path, capfd):
    run = Run(tmp_path)
    assert run.result.failure is None
    assert run.states == {"First": "done", "Second": "done", "Third": "done"}
    first, second, third = run.shown.splitlines()[:3]
    assert (first, second) == ("3 steps: First, Second, Third", "First running")
    assert re.fullmatch(r"First done \d+\.\d s", third)
    assert "chatter of a step on stdout" in run.log.read_text()
    assert "chatter" not in run.shown
    assert capfd.readouterr() == ("", "")


def test_a_killed_run_is_resumed_with_its_finished_steps_and_ends_with_its_parent(tmp_path):
    (tmp_path / "hang").touch()
    RunRoot(tmp_path).prepare()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), str(SCRIPT)], stdout=subprocess.PIPE
    )
    try:
        _wait_until((tmp_path / "hanging").exists)
        refused = pytest.raises(UserError, match=f"another run is working in .* \\(process {parent.pid}\\)")
        with refused, RunRoot(tmp_path).locked():
            pass
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    # The child holds the lock too: that it can be had shows that the child is gone.
    _wait_until(lambda: _can_lock(tmp_path))
    assert _states_in_metadata(tmp_path) == ["COMPLETE", "RUNNING"]

    (tmp_path / "hang").unlink()
    resumed = Run(tmp_path)
    assert resumed.result.failure is None
    assert resumed.states == {"First": "cached", "Second": "done", "Third": "done"}
    assert _states_in_metadata(tmp_path) == ["COMPLETE", "CANCELED", "CACHED", "COMPLETE", "COMPLETE"]


def test_ctrl_c_ends_the_child(tmp_path):
    RunRoot(tmp_path).prepare()
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, sys, time; pathlib.Path(sys.argv[1], 'hanging').touch(); time.sleep(600)"
    )
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(child)]
    # A shell's background jobs, of which the tests may be one, have the signal ignored.
    restore = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    parent = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=restore)
    _wait_until((tmp_path / "hanging").exists)
    parent.send_signal(signal.SIGINT)
    _, errors = parent.communicate(timeout=30)
    assert b"KeyboardInterrupt" in errors
    assert _can_lock(tmp_path)


def test_on_a_terminal_the_view_is_a_table_of_all_steps():
    now = [100.0]
    progress = Progress(clock=lambda: now[0])
    console = Console(file=io.StringIO(), force_terminal=True, width=60, legacy_windows=False)
    with live_view(console, progress) as show:
        show(Planned(steps=("First", "Second", "Third", "Fourth")))
        show(StepStarted(step="First"))
        show(StepEnded(step="First", state="cached", seconds=0.1))
        show(StepStarted(step="Second"))
        show(StepEnded(step="Second", state="done", seconds=125.0, blessed=False))
        show(StepStarted(step="Third"))
        now[0] += 7.3
        still = Console(file=io.StringIO(), width=60)
        still.print(progress.table())
    lines = still.file.getvalue().splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "= First cached",
        "! Second done 2:05 min, does not bless the model",
        "▸ Third running 7.3 s",
        "· Fourth waiting",
    ]
    assert "running 7.3 s" in console.file.getvalue()


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
    with pytest.raises(UserError, match=r"cannot write to the run's root .*taken.*--root"):
        RunRoot(tmp_path / "taken").prepare()


@pytest.mark.parametrize("name", ["data [v2]", "runs*", "what?/shop", "[x/y", "a]b[c"])
def test_a_root_that_tfx_would_read_as_a_pattern_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"in its path; expected none of .*--root"):
        RunRoot(tmp_path / name).prepare()
    assert not list(tmp_path.iterdir())


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
