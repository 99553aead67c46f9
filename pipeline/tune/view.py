"""Shows a search on a terminal: a line a trial, then the best ones."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.tune.domain_edit import as_yaml
from pipeline.tune.trials import Trial, in_yaml, ranked

_SHOWN: Final = 10
_STYLES: Final = {"done": "green", "pruned": "dim", "failed": "bold red"}


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """Dotted key to as much of its end as tells it from the others."""
    names = {}
    for key in keys:
        parts = key.split(".")
        for at in range(len(parts) - 1, -1, -1):
            name = ".".join(parts[at:])
            if not any(other != key and f".{other}".endswith(f".{name}") for other in keys):
                break
        names[key] = name
    return names


def settings_line(settings: Mapping[str, Any]) -> str:
    """``similarity dot, temperature 0.1``."""
    names = short_names(list(settings))
    return ", ".join(f"{names[key]} {in_yaml(value)}" for key, value in settings.items())


def trial_line(trial: Trial, trials: int, best: Trial | None) -> str:
    """A trial that has ended, in rich's markup.

    Args:
        trial: The trial.
        trials: How many there are to be.
        best: The best one of all so far.
    """
    start = f"trial {trial.number:>{len(str(trials))}}/{trials}"
    if trial.state == "failed":
        return f"{start}  [bold red]failed[/bold red] after {trial.seconds:.1f} s: {escape(trial.error)}"
    line = (
        f"{start}  recall@100 {trial.recall_at_100:.4f}  recall@10 {trial.recall_at_10:.4f}"
        f"  {len(trial.curve):>2} epochs {trial.seconds:>6.1f} s"
    )
    if trial.state == "pruned":
        return f"[dim]{line}  pruned[/dim]"
    return f"{line}  [bold green]best so far[/bold green]" if best and best.number == trial.number else line


def print_result(console: Console, title: str, trials: Sequence[Trial], files: Sequence[Path]) -> None:
    """Prints the best trials as a table, how many there were, and where all of them are.

    Args:
        console: Where to.
        title: The domain's title.
        trials: All trials.
        files: The search's table and plot.
    """
    order = ranked(trials)
    table = Table(
        box=box.SIMPLE_HEAD,
        title=f"{escape(title)}: best trials, by recall on the eval split",
        title_justify="left",
        title_style="bold",
        pad_edge=False,
    )
    for header in ("trial", "recall@100", "recall@10", "epochs", "seconds"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("settings", ratio=1)
    shown = order[:_SHOWN]
    # The domain as it stands is what all others are held against.
    shown += [trial for trial in order[_SHOWN:] if trial.number == 1]
    for trial in shown:
        table.add_row(
            str(trial.number),
            f"{trial.recall_at_100:.4f}",
            f"{trial.recall_at_10:.4f}",
            str(len(trial.curve)),
            f"{trial.seconds:.1f}",
            ("as in the file: " if trial.number == 1 else "") + escape(settings_line(trial.settings)),
            style=_STYLES["pruned"] if trial.state == "pruned" else None,
        )
    console.print(table)
    counts = {state: sum(trial.state == state for trial in trials) for state in _STYLES}
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    seconds = sum(trial.seconds for trial in trials)
    console.print(f"{len(trials)} trials ({told}) in {seconds:,.0f} s of training", highlight=False)
    for name, path in zip(("table", "plot"), files, strict=True):
        console.print(f"{name:<7}{path}", highlight=False, markup=False, soft_wrap=True)


def print_best(
    console: Console, best: Trial, changes: Mapping[str, Any], command: Sequence[str], written: Path | None
) -> None:
    """Prints what the best trial changes, as YAML, and what to do next.

    Args:
        console: Where to.
        best: The trial.
        changes: Dotted key to value, as far as they differ from what the domain says.
        command: ``westwork tune ...`` as it was called; with ``--apply`` it writes the settings.
        written: The domain file they have been written to, if they have.
    """

    def say(line: str) -> None:
        console.print(line, highlight=False, soft_wrap=True)

    if not changes:
        say("[bold]best[/bold]   trial 1: nothing tried is better than the settings as they stand.")
        return
    say(f"[bold]best[/bold]   trial {best.number}; in the domain file:")
    say("")
    for line in as_yaml(changes).splitlines():
        say(f"  {escape(line)}")
    say("")
    if written:
        say(f"wrote  {escape(str(written))}")
    else:
        say(f"next   {escape(shlex.join([*command, '--apply']))}")


class TrialView:
    """The trial under way, on a terminal as a line that changes; elsewhere only those that ended are told."""

    def __init__(self, console: Console, trials: int) -> None:
        """Shows nothing yet."""
        self._console = console
        self._trials = trials
        self._status = console.status("") if console.is_terminal else None
        self._number = 0

    def started(self, number: int, settings: Mapping[str, Any]) -> None:
        """A trial begins."""
        self._number = number
        self._show(settings_line(settings))

    def epoch(self, epoch: int, recall: float) -> None:
        """The trial has been validated."""
        self._show(f"epoch {epoch}, recall@100 {recall:.4f}")

    def ended(self, trial: Trial, best: Trial | None) -> None:
        """The trial is over."""
        self.close()
        self._console.print(trial_line(trial, self._trials, best), highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Takes the changing line away."""
        if self._status:
            self._status.stop()

    def _show(self, what: str) -> None:
        if self._status:
            self._status.update(f"trial {self._number}/{self._trials}: {escape(what)}")
            self._status.start()
