"""What a run came to, and how the terminal says it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from components.evaluate.config import (
    CANDIDATE_MEAN,
    LIST_METRICS,
    POPULARITY,
    POSITIVE_PROBABILITY,
    RATING,
    RECOMMEND,
    RETRIEVE,
)
from components.ingest.errors import UserError


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitFacts(_Facts):
    """One split of the interactions; times in seconds since 1970 UTC."""

    count: int
    positives: int
    queries: int
    first: int
    last: int


class Pushed(_Facts):
    """A version in the serving directory."""

    version: str
    path: str


class RunSummary(_Facts):
    """What a run came to."""

    splits: dict[str, SplitFacts]
    """Oldest first."""
    bad_rows: int
    candidates: int
    metrics: dict[str, dict[str, float | None]]
    """Split (``test``, ``eval``) to ``<rival>/<metric>`` to value, over the whole split; None where NaN."""
    failures: tuple[str, ...]
    """A sentence for each bound that was not kept."""
    pushed: Pushed | None
    """The version this run's model is served as; None where it was not blessed."""
    report: str | None = None

    @property
    def blessed(self) -> bool:
        """Whether the model has been pushed: only a blessed one is."""
        return self.pushed is not None


def print_summary(
    console: Console,
    summary: RunSummary,
    seconds: Mapping[str, float | None],
    log: Path,
    serving: Path,
    ask: Sequence[str],
) -> None:
    """Print the closing summary.

    Args:
        console: Where to.
        summary: What the run came to.
        seconds: Step to its time; None where it was cached.
        log: The run's log file.
        serving: Directory of the pushed versions.
        ask: The command that asks for recommendations.
    """
    console.print()
    console.print(_splits(summary))
    console.print()
    _print_times(console, seconds)
    console.print()
    console.print(_list_metrics(summary))
    console.print()
    console.print(_judgement_metrics(summary))
    console.print()
    _print_verdict(console, summary, serving)
    if summary.report:
        _print_line(console, "report", summary.report)
    _print_line(console, "log", str(log))
    if summary.blessed or newest_version(serving) is not None:
        _print_line(console, "ask", shlex.join(ask))


def newest_version(serving: Path) -> Path | None:
    """The newest version in a serving directory (the greatest whole number); None without any."""
    if not serving.is_dir():
        return None
    versions = [path for path in serving.iterdir() if path.name.isdecimal() and path.is_dir()]
    return max(versions, key=lambda path: int(path.name), default=None)


def newest_version_or_refuse(serving: Path) -> Path:
    """The newest version in a serving directory.

    Raises:
        UserError: If nothing has been pushed there.
    """
    version = newest_version(serving)
    if version is None:
        raise UserError(
            f"no model has been pushed to {serving} yet. Run `westwork run` first (with the same --domain "
            "and --root); a model that is not blessed is not pushed."
        )
    return version


def _table(*headers: str, title: str) -> Table:
    table = Table(
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        title=title,
        title_justify="left",
        title_style="bold",
        show_edge=False,
    )
    for number, header in enumerate(headers):
        table.add_column(header, justify="right" if number else "left", no_wrap=True)
    return table


def _splits(summary: RunSummary) -> Table:
    bad = f", {summary.bad_rows:,} bad rows left out" if summary.bad_rows else ""
    title = f"Data: {summary.candidates:,} candidates{bad}"
    table = _table("split", "interactions", "positive", "users", "from (UTC)", "to (UTC)", title=title)
    for name, split in summary.splits.items():
        numbers = (f"{number:,}" for number in (split.count, split.positives, split.queries))
        table.add_row(name, *numbers, _moment(split.first), _moment(split.last))
    return table


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _print_times(console: Console, seconds: Mapping[str, float | None]) -> None:
    ran = {step: taken for step, taken in seconds.items() if taken is not None}
    cached = len(seconds) - len(ran)
    parts = [f"{step} {taken:.1f}" for step, taken in ran.items()]
    parts += [f"{cached} cached"] if cached else []
    total = f"{sum(ran.values()):.0f} in all"
    console.print(
        f"[bold]Steps[/bold] (seconds, {total}): {', '.join(parts)}", highlight=False, soft_wrap=True
    )


def _list_metrics(summary: RunSummary) -> Table:
    rivals = (RETRIEVE, RECOMMEND, POPULARITY)
    headers = [f"{split}\n{rival}" for split in summary.metrics for rival in rivals]
    table = _table("metric", *headers, title="Retrieval beside popularity")
    for metric in LIST_METRICS:
        values = (
            _number(metrics.get(f"{rival}/{metric}"))
            for metrics in summary.metrics.values()
            for rival in rivals
        )
        table.add_row(metric, *values)
    return table


def _judgement_metrics(summary: RunSummary) -> Table:
    headers = [f"{split}\n{side}" for split in summary.metrics for side in ("model", "item mean")]
    table = _table("metric", *headers, title="Ranking beside each candidate's mean rating")
    for label, model, other in (
        ("rating RMSE", f"{RATING}/rmse", f"{CANDIDATE_MEAN}/rmse"),
        ("rating NDCG@10", f"{RATING}/ndcg@10", f"{CANDIDATE_MEAN}/ndcg@10"),
        ("positive AUC", f"{POSITIVE_PROBABILITY}/auc", None),
    ):
        values = (
            _number(metrics.get(name)) if name else "-"
            for metrics in summary.metrics.values()
            for name in (model, other)
        )
        table.add_row(label, *values)
    return table


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def _print_verdict(console: Console, summary: RunSummary, serving: Path) -> None:
    if summary.pushed is not None:
        console.print("[bold green]BLESSED[/bold green]: every bound is kept.")
        _print_line(console, "pushed", f"version {summary.pushed.version}, {summary.pushed.path}")
        if not Path(summary.pushed.path).is_dir():
            console.print(
                "[bold red]That folder is gone since.[/bold red] Run with --no-cache to train and push again."
            )
        return
    console.print("[bold red]NOT BLESSED, NOT PUSHED[/bold red]:")
    for failure in summary.failures or ("no bound failed, but the Evaluator did not bless; see the log",):
        console.print(f"  {escape(failure)}", highlight=False, soft_wrap=True)
    earlier = newest_version(serving)
    stays = f"the earlier version stays in place: {earlier}" if earlier else "nothing is being served yet"
    _print_line(console, "serving", stays)


def _print_line(console: Console, label: str, text: str) -> None:
    console.print(f"[bold]{label:<9}[/bold]{escape(text)}", highlight=False, soft_wrap=True)
