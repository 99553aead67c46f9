"""Shows a run while it goes on: a table that moves on a terminal, a line an event elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from pipeline.run_events import EndState, Event, Failed, Planned, StepEnded, StepStarted

_REFRESHES_PER_SECOND = 4
_STYLES = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "done": ("✓", "green"),
    "cached": ("=", "blue"),
    "skipped": ("-", "dim"),
    "failed": ("✗", "bold red"),
}
_NOT_BLESSED = ("!", "bold red")
_REFUSED = ", does not bless the model"


@dataclass(frozen=True)
class StepProgress:
    """Where a step is.

    Attributes:
        state: As shown.
        started: When it began, on the monotonic clock in seconds; None while it waits.
        seconds: How long it took; None before its end.
        blessed: What it decided; None: nothing.
    """

    state: Literal["waiting", "running", "failed"] | EndState = "waiting"
    started: float | None = None
    seconds: float | None = None
    blessed: bool | None = None


class Progress:
    """The state of every step, kept up to date by events."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start before the pipeline is known."""
        self._clock = clock
        self._began = clock()
        self._steps: dict[str, StepProgress] = {}

    @property
    def steps(self) -> dict[str, StepProgress]:
        """Step to progress, in the order they run; empty until the pipeline is compiled."""
        return dict(self._steps)

    def take(self, event: Event) -> None:
        """Apply one event."""
        match event:
            case Planned():
                self._steps = {step: StepProgress() for step in event.steps}
            case StepStarted():
                self._steps[event.step] = StepProgress("running", self._clock())
            case StepEnded():
                self._steps[event.step] = replace(
                    self._steps[event.step],
                    state=event.state,
                    seconds=event.seconds,
                    blessed=event.blessed,
                )
            case Failed(step=str(step)):
                known = self._steps[step]
                began = self._clock() if known.started is None else known.started
                self._steps[step] = replace(known, state="failed", seconds=self._clock() - began)

    def seconds_by_step(self) -> dict[str, float | None]:
        """Step to its time in seconds; None where the outputs were reused. Steps that ended only."""
        return {
            step: None if progress.state == "cached" else progress.seconds
            for step, progress in self._steps.items()
            if progress.seconds is not None
        }

    def table(self) -> Table | Text:
        """The steps as they are now."""
        if not self._steps:
            return Text(f"  loading TensorFlow and TFX … {_duration(self._clock() - self._began)}", "cyan")
        table = Table.grid(padding=(0, 1))
        for step, progress in self._steps.items():
            mark, style = _NOT_BLESSED if progress.blessed is False else _STYLES[progress.state]
            table.add_row(Text(mark, style), Text(step, style), Text(self._remark(progress), style))
        return table

    def _remark(self, progress: StepProgress) -> str:
        decided = _REFUSED if progress.blessed is False else ""
        match progress.state:
            case "running" if progress.started is not None:
                return f"running {_duration(self._clock() - progress.started)}"
            case "done" | "failed" if progress.seconds is not None:
                return f"{progress.state} {_duration(progress.seconds)}{decided}"
        return f"{progress.state}{decided}"


@contextmanager
def live_view(console: Console, progress: Progress) -> Iterator[Callable[[Event], None]]:
    """Show ``progress`` until the block ends.

    Yields:
        What to call with each event; it updates ``progress`` too.
    """
    if not console.is_terminal:
        yield lambda event: _print_event(console, progress, event)
        return
    with Live(
        console=console, get_renderable=progress.table, refresh_per_second=_REFRESHES_PER_SECOND
    ) as live:

        def show(event: Event) -> None:
            progress.take(event)
            live.refresh()

        yield show


def _print_event(console: Console, progress: Progress, event: Event) -> None:
    progress.take(event)
    match event:
        case Planned():
            line = f"{len(event.steps)} steps: {', '.join(event.steps)}"
        case StepStarted():
            line = f"{event.step} running"
        case StepEnded():
            duration = f" {_duration(event.seconds)}" if event.state == "done" else ""
            line = f"{event.step} {event.state}{duration}{_REFUSED if event.blessed is False else ''}"
        case Failed(step=str(step)):
            line = f"{step} failed"
        case _:
            return
    console.print(escape(line), highlight=False, soft_wrap=True)


def _duration(seconds: float) -> str:
    """``7.3 s`` or ``2:05 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
