"""What ``westwork run`` does: data, the pipeline in a process of its own, the summary."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from components.ingest.errors import UserError
from pipeline.acquire import acquire
from pipeline.domain import Domain
from pipeline.live_view import Progress, live_view
from pipeline.metadata_file import check_metadata
from pipeline.run_events import Event, Failed, Summarised
from pipeline.run_process import follow
from pipeline.run_root import RunRoot
from pipeline.summary import RunSummary, print_summary


@dataclass(frozen=True)
class RunRequest:
    """What the user asked for.

    Attributes:
        domain: As the user named it.
        overrides: ``key=value`` settings.
        source: Path or URL of the publisher's archive, if that is to be used.
        use_cache: Whether unchanged steps are reused.
    """

    domain: str
    overrides: tuple[str, ...] = ()
    source: str | None = None
    use_cache: bool = True

    def command(self, root: Path) -> list[str]:
        """The child's argv."""
        # -P: the current folder must not shadow this package.
        command = [sys.executable, "-P", "-m", "pipeline.local_runner", "--domain", self.domain]
        command += ["--root", str(root)]
        command += [argument for override in self.overrides for argument in ("--set", override)]
        return command if self.use_cache else [*command, "--no-cache"]


@dataclass
class RunResult:
    """How a run ended.

    Attributes:
        summary: What it came to; None where a step of the pipeline failed.
        failure: What to tell the user; None where nothing failed.
    """

    summary: RunSummary | None = None
    failure: str | None = None

    @property
    def blessed(self) -> bool:
        """Whether the model was blessed and pushed."""
        return self.summary is not None and self.summary.blessed


@dataclass
class _Outcome:
    """The events that outlast the live view."""

    summary: RunSummary | None = None
    failed: list[Failed] = field(default_factory=list)

    def take(self, event: Event) -> None:
        match event:
            case Summarised():
                self.summary = event.summary
            case Failed():
                self.failed.append(event)


def run_pipeline(
    console: Console, domain: Domain, places: RunRoot, request: RunRequest, ask: Sequence[str]
) -> RunResult:
    """Run a domain and show how it goes.

    Args:
        console: Where to show it.
        domain: The domain, with its overrides.
        places: The run's root.
        request: What the user asked for.
        ask: The command that asks the model, shown at the end.

    Raises:
        UserError: If the root cannot be used or the data cannot be had.
        KeyboardInterrupt: On Ctrl-C; the child has ended by then.
    """
    places.prepare()
    with places.locked() as lock:
        check_metadata(places)
        _acquire(console, domain, places, request)
        log = places.new_log()
        if request.overrides:
            console.print(f"set for this run: {', '.join(request.overrides)}", markup=False, highlight=False)
        console.print(
            f"{domain.title}: run in {places.path}, log {log}", markup=False, highlight=False, soft_wrap=True
        )
        progress = Progress()
        result = run_child(console, request.command(places.path), log, lock, progress)
    if result.summary:
        print_summary(console, result.summary, progress.seconds_by_step(), log, places.serving, ask)
    return result


def _acquire(console: Console, domain: Domain, places: RunRoot, request: RunRequest) -> None:
    def announce(line: str) -> None:
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    if domain.acquire is not None:
        acquire(domain.acquire, places.data, request.source, announce)
    elif request.source is not None:
        raise UserError(
            f"--source {request.source}: domain {request.domain!r} has no 'acquire' section that says how to "
            "read it. Leave --source out, and name the files in the domain file."
        )


def run_child(
    console: Console, command: Sequence[str], log: Path, lock: int | None, progress: Progress
) -> RunResult:
    """Run a child that speaks :mod:`pipeline.run_events`, and show its steps.

    Args:
        console: Where to.
        command: The child's argv.
        log: Receives the child's output.
        lock: Descriptor of the lock the child is to hold, if any.
        progress: Kept up to date.
    """
    outcome = _Outcome()
    with live_view(console, progress) as show:

        def on_event(event: Event) -> None:
            outcome.take(event)
            show(event)

        code = follow(command, log, on_event, lock)
    return RunResult(outcome.summary, _failure(outcome.failed, code, log))


def _failure(failed: Sequence[Failed], code: int, log: Path) -> str | None:
    """What to tell the user of a child's end; None where all went well."""
    if failed:
        (event,) = failed
        where = f"{event.step}: " if event.step else ""
        return f"{where}{event.message}" + ("" if event.user_error else f"\nlog: {log}")
    if code == 0:
        return None
    if code > 0:
        return f"the run's process ended with code {code}.\nlog: {log}"
    memory = " (often: the machine ran out of memory)" if code == -signal.SIGKILL else ""
    name = signal.Signals(-code).name
    return (
        f"the run's process was ended by {name}{memory}. "
        f"Run again to go on: finished steps are reused.\nlog: {log}"
    )
