"""What ``westwork tune`` does: data, trials in a process of their own, and what came of them."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from components.ingest.errors import UserError
from pipeline.acquire import acquire
from pipeline.domain import DOMAIN_FILE, Domain
from pipeline.live_view import Progress, live_view
from pipeline.metadata_file import check_metadata
from pipeline.quiet import output_into
from pipeline.run_events import EpochEnded, Event, Failed, SearchBegan, TrialEnded, TrialStarted
from pipeline.run_process import follow
from pipeline.run_root import RunRoot
from pipeline.tune.domain_edit import write_settings
from pipeline.tune.trials import TABLE, Trial, ranked, read_trials, write_trials
from pipeline.tune.view import TrialView, print_best, print_result


@dataclass(frozen=True)
class TuneRequest:
    """What the user asked for.

    Attributes:
        domain: As the user named it.
        overrides: ``key=value`` settings.
        trials: How many trials there are to be, those done before included.
        minutes: No trial is begun after so long; None for no bound.
        write: Where a domain file with the best settings goes; None: they are only shown.
    """

    domain: str
    overrides: tuple[str, ...]
    trials: int
    minutes: float | None = None
    write: Path | None = None

    def command(self, root: Path, seconds: float) -> list[str]:
        """The child's argv; it begins no trial after so many seconds."""
        # -P: the current folder must not shadow this package.
        command = [sys.executable, "-P", "-m", "pipeline.tune.child", "--domain", self.domain]
        command += ["--root", str(root), "--trials", str(self.trials), "--seconds", str(seconds)]
        return command + [word for override in self.overrides for word in ("--set", override)]

    def check(self, domain: Domain) -> None:
        """Raises UserError where a search's result could not be written: better before it than after."""
        if self.write is None or self.write.resolve() == domain.folder / DOMAIN_FILE:
            return
        if self.write.exists():
            raise UserError(
                f"--write {self.write} is there already. Name a new file, or change the domain file itself "
                "with --apply."
            )
        if not self.write.absolute().parent.is_dir():
            raise UserError(f"--write {self.write}: there is no folder {self.write.parent}. Make it first.")


class _Sitting:
    """One sitting of a search; it takes another process where one dies with its trial."""

    def __init__(self, console: Console, domain: Domain, root: RunRoot, request: TuneRequest) -> None:
        self._console = console
        self._root = root
        self._request = request
        self._view = TrialView(console, request.trials)
        self._under_way: TrialStarted | None = None
        self._started = 0.0
        self._deadline: float | None = None
        self.failed: list[Failed] = []
        self.folder: Path | None = None
        self.trials: list[Trial] = []

    def run(self, log: Path, lock: int) -> None:
        """Runs processes until the trials are done.

        Raises:
            UserError: If the data cannot be had, or a process dies outside of any trial.
        """
        while True:
            self._under_way = None
            code = self._follow(log, lock)
            if self.failed:
                event = self.failed[0]
                where = f"{event.step}: " if event.step else ""
                raise UserError(f"{where}{event.message}" + ("" if event.user_error else f"\nlog: {log}"))
            if code == 0:
                return
            if self._under_way is None:
                raise UserError(f"the search's process ended with code {code}.\nlog: {log}")
            self._record_death(self._under_way, code)

    def _follow(self, log: Path, lock: int) -> int:
        with ExitStack() as stack:
            stack.callback(self._view.close)
            # After a trial's death the steps are known, and need not be shown again.
            steps = stack.enter_context(ExitStack())
            show = steps.enter_context(live_view(self._console, Progress())) if self.folder is None else None

            def on_event(event: Event) -> None:
                if isinstance(event, SearchBegan):
                    steps.close()
                    self._began(Path(event.folder))
                elif self.folder is None and show:
                    show(event)
                self._take(event)

            return follow(self._request.command(self._root.path, self._seconds_left()), log, on_event, lock)

    def _seconds_left(self) -> float:
        if self._request.minutes is None:
            return float("inf")
        if self._deadline is None:
            return self._request.minutes * 60
        return self._deadline - time.monotonic()

    def _began(self, folder: Path) -> None:
        if self.folder is not None:
            return
        self.folder = folder
        self.trials = read_trials(folder / TABLE)
        self._deadline = time.monotonic() + self._seconds_left()
        if self.trials:
            known = f"{len(self.trials)} of them are there from before"
            self._console.print(
                f"{known}; going on in {folder}", markup=False, highlight=False, soft_wrap=True
            )

    def _take(self, event: Event) -> None:
        match event:
            case TrialStarted():
                self._under_way, self._started = event, time.monotonic()
                self._view.started(event.number, event.settings)
            case EpochEnded():
                self._view.epoch(event.epoch, event.recall_at_100)
            case TrialEnded():
                self._under_way = None
                self._record(event.trial)
            case Failed():
                self.failed.append(event)

    def _record(self, trial: Trial) -> None:
        assert self.folder is not None
        self.trials.append(trial)
        write_trials(self.folder / TABLE, self.trials)
        order = ranked(self.trials)
        self._view.ended(trial, order[0] if order else None)

    def _record_death(self, event: TrialStarted, code: int) -> None:
        """A trial whose process has died, as when memory runs out, is a failed one."""
        how = f"ended with code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
        memory = " (often: the machine ran out of memory)" if code == -signal.SIGKILL else ""
        assert self.folder is not None
        # Where a trial goes on from is of no use when it cannot be gone on with.
        shutil.rmtree(self.folder / "unfinished", ignore_errors=True)
        self._record(
            Trial(
                number=event.number,
                settings=event.settings,
                state="failed",
                seconds=round(time.monotonic() - self._started, 1),
                error=f"the trial's process {how}{memory}",
            )
        )


def tune_domain(
    console: Console, domain: Domain, places: RunRoot, request: TuneRequest, command: Sequence[str]
) -> None:
    """Search for a domain's best retrieval settings and show how it goes.

    Args:
        console: Where to show it.
        domain: The domain, with its overrides.
        places: The run's root.
        request: What the user asked for.
        command: The command that was called, without what it is to write.

    Raises:
        UserError: If the root cannot be used, the data cannot be had, a step fails, no trial succeeds, or
            the result cannot be written.
        KeyboardInterrupt: On Ctrl-C; the child has ended by then.
    """
    request.check(domain)
    places.prepare()
    with places.locked() as lock:
        check_metadata(places)
        if domain.acquire is not None:
            acquire(
                domain.acquire,
                places.data,
                None,
                lambda line: console.print(line, markup=False, highlight=False, soft_wrap=True),
            )
        log = places.new_log()
        console.print(
            f"{domain.title}: {request.trials} trials in {places.path}, log {log}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
        sitting = _Sitting(console, domain, places, request)
        sitting.run(log, lock)
        assert sitting.folder is not None
        order = ranked(sitting.trials)
        if not order:
            raise UserError(f"no trial succeeded; the reasons are in {sitting.folder / TABLE}.\nlog: {log}")
        plot = _write_plot(sitting.folder, domain, sitting.trials, log)
    print_result(console, domain.title, sitting.trials, [sitting.folder / TABLE, plot])
    _show_best(console, domain, request, sitting.trials, command)


def _write_plot(folder: Path, domain: Domain, trials: Sequence[Trial], log: Path) -> Path:
    with output_into(log):
        from pipeline.tune.plot import PLOT, write_plot

        write_plot(folder / PLOT, domain.title, trials, domain.tune.searched)
    return folder / PLOT


def _show_best(
    console: Console, domain: Domain, request: TuneRequest, trials: Sequence[Trial], command: Sequence[str]
) -> None:
    best, first = ranked(trials)[0], trials[0]
    changes = {key: value for key, value in best.settings.items() if value != first.settings[key]}
    unsaid = [override for override in request.overrides if not override.startswith("tune.")]
    if changes and unsaid:
        told = f"found with {', '.join(unsaid)}, which the file does not say"
        console.print(told, markup=False, highlight=False, soft_wrap=True)
    if request.write and changes:
        write_settings(domain.folder / DOMAIN_FILE, request.write, changes)
    print_best(console, best, changes, command, request.write if changes else None)
