"""What a run came to, and how the terminal says it."""

from __future__ import annotations

import math
import shlex
import textwrap
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
    EXACT_RANKER,
    FUNNEL,
    LIST_METRICS,
    RATING,
    all_later,
    new_to_query,
)
from components.ingest.errors import UserError
from components.ingest.event_order import Order, shown_place, what_is_lost
from pipeline.against_baselines import NAMES, has_repeats, shortfalls, trained_in, winners
from pipeline.trained_towers import in_words as factorized_in_words
from serving.contract import is_version

_MOST_REASONS = 3
_HEADERS = {"own most frequent": "own most\nfrequent"}
"""Names that would make a table too wide."""


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SplitFacts(_Facts):
    """One split of the interactions; times in seconds since 1970 UTC, or places in the order there is."""

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
    order: Order = "time"
    """What orders the interactions."""
    split: str = "time"
    """Kind of the split."""
    bad_by_reason: dict[str, int]
    """Why rows became dead letters, and how many; the most frequent reason first."""
    left_out: dict[str, int]
    """Why other rows are in no split, and how many."""
    candidates: int
    stubs: int = 0
    """Candidates that only the log knows."""
    warnings: tuple[str, ...] = ()
    """What the gate on the data let pass, but wants to be looked at."""
    evaluated: dict[str, int]
    """Split to how many of its interactions were evaluated."""
    metrics: dict[str, dict[str, float | None]]
    """Split (``test``, ``eval``) to ``<rival>/<metric>`` to value, over all slices; None where NaN."""
    baselines: dict[str, str] = {}
    """Trained baseline to its hyper-parameters, in words."""
    factorized_top_k: dict[str, float] = {}
    """What TFRS' ``FactorizedTopK`` says of the trained towers, by name."""
    failures: tuple[str, ...]
    """A sentence for each bound that was not kept."""
    not_servable: tuple[str, ...] = ()
    """Why the model must not be served, whatever its metrics are."""
    served: str | None = None
    """How it did on a server, in words."""
    index: str | None = None
    """Which index the model has and why, in words."""
    pushed: Pushed | None
    """The version this run's model is served as; None where it was not blessed."""
    report: str | None = None

    @property
    def blessed(self) -> bool:
        """Whether the model has been pushed: only one that is blessed by both gates is."""
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
    _print_rows(console, summary)
    console.print()
    _print_times(console, seconds)
    _print_lists(console, summary)
    judgements = _judgement_table(summary)
    if judgements.row_count:
        console.print()
        console.print(judgements)
    console.print()
    _print_evaluation(console, summary)
    _print_funnel(console, summary)
    if towers := factorized_in_words(summary.factorized_top_k):
        _print_line(console, "towers", towers)
    if summary.index:
        _print_line(console, "index", summary.index)
    if summary.served:
        _print_line(console, "served", summary.served)
    _print_verdict(console, summary, serving)
    if summary.report:
        _print_line(console, "report", summary.report)
    _print_line(console, "log", str(log))
    if summary.blessed or newest_version(serving) is not None:
        _print_line(console, "ask", shlex.join(ask))


def newest_version(serving: Path) -> Path | None:
    """Return the newest version's folder in a serving directory; None without any."""
    if not serving.is_dir():
        return None
    versions = [path for path in serving.iterdir() if is_version(path.name) and path.is_dir()]
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
        title=escape(title),
        title_justify="left",
        title_style="bold",
        show_edge=False,
    )
    for number, header in enumerate(headers):
        table.add_column(escape(header), justify="right" if number else "left", no_wrap=True)
    return table


def _splits(summary: RunSummary) -> Table:
    stubs = f", {summary.stubs:,} of them known to the log alone" if summary.stubs else ""
    title = f"Data: {summary.candidates:,} candidates{stubs}"
    ends = ("from (UTC)", "to (UTC)") if summary.order == "time" else ("from", "to")
    table = _table("split", "interactions", "positive", "users", *ends, title=title)
    for name, split in summary.splits.items():
        numbers = (f"{number:,}" for number in (split.count, split.positives, split.queries))
        moments = (_moment(summary.order, moment) for moment in (split.first, split.last))
        table.add_row(escape(name), *numbers, *moments)
    return table


def _print_rows(console: Console, summary: RunSummary) -> None:
    """What became of the rows that are in no split, and what the gate on the data remarks."""
    bad = summary.bad_by_reason
    if bad:
        reasons = [f"{count:,} {reason}" for reason, count in bad.items()]
        more = [f"{len(bad) - _MOST_REASONS} more reasons, in the report"] if len(bad) > _MOST_REASONS else []
        told = "; ".join([*reasons[:_MOST_REASONS], *more])
        _print_line(console, "bad rows", f"{sum(bad.values()):,} left out: {told}")
    if summary.left_out:
        _print_line(console, "left out", "; ".join(f"{n:,} {why}" for why, n in summary.left_out.items()))
    if summary.order != "time":
        _print_line(console, "no time", what_is_lost(summary.order, summary.split))
    for warning in summary.warnings:
        console.print(
            f"[bold yellow]warning[/bold yellow]  {escape(warning)}", highlight=False, soft_wrap=True
        )


def _moment(order: Order, seconds: int) -> str:
    if order != "time":
        return shown_place(order, seconds)
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


def _print_lists(console: Console, summary: RunSummary) -> None:
    """The makers of lists, a table each split, and with repeats another; who is best in what below it."""
    for split, values in summary.metrics.items():
        repeats, trained = has_repeats(values), trained_in(values)
        title = f"{split.capitalize()} split: {'all later interactions' if repeats else 'lists'}"
        _print_list_table(console, title, values, all_later(repeats, trained))
        if repeats:
            title = f"{split.capitalize()} split: candidates new to the user"
            _print_list_table(console, title, values, new_to_query(trained))


def _print_list_table(
    console: Console, title: str, metrics: Mapping[str, float | None], rivals: Sequence[str]
) -> None:
    table = _table("metric", *(_HEADERS.get(NAMES[rival], NAMES[rival]) for rival in rivals), title=title)
    for metric in LIST_METRICS:
        names = [f"{rival}/{metric}" for rival in rivals]
        if any(name in metrics for name in names):
            label = metric.replace("popularity_bias", "pop. bias")
            table.add_row(escape(label), *(_number(metrics.get(name)) for name in names))
    if table.row_count:
        console.print()
        console.print(table)
        best = ", ".join(f"{metric} {NAMES[rival]}" for metric, rival in winners(metrics, rivals).items())
        _print_line(console, "best", best)


def _judgement_table(summary: RunSummary) -> Table:
    """The ranking model's heads; only those it has, and beside the item mean only ratings."""
    rows = [
        (label, model, other)
        for label, model, other in (
            ("rating RMSE", f"{RATING}/rmse", f"{CANDIDATE_MEAN}/rmse"),
            ("rating NDCG@10", f"{RATING}/ndcg@10", f"{CANDIDATE_MEAN}/ndcg@10"),
            *((f"{head} AUC", f"{head}/auc", "") for head in _heads(summary)),
        )
        if any(model in values for values in summary.metrics.values())
    ]
    rated = any(other for _, _, other in rows)
    sides = ("model", NAMES[CANDIDATE_MEAN]) if rated else ("model",)
    title = "Ranking beside each candidate's mean rating" if rated else "Ranking"
    table = _table(
        "metric", *(f"{split}\n{side}" for split in summary.metrics for side in sides), title=title
    )
    for label, *names in rows:
        table.add_row(
            escape(label),
            *(
                _number(values.get(name))
                for values in summary.metrics.values()
                for name in names[: len(sides)]
            ),
        )
    return table


def _heads(summary: RunSummary) -> list[str]:
    """The probability heads that were measured."""
    names = dict.fromkeys(name for values in summary.metrics.values() for name in values)
    return [name.removesuffix("/auc") for name in names if name.endswith("/auc")]


def _print_funnel(console: Console, summary: RunSummary) -> None:
    """What the cascade keeps of the ranker over the exact catalogue."""
    for split, values in summary.metrics.items():
        shares = ("top10_retrieved", "top10_delivered", "top10_kept", "positives_kept")
        found, delivered, kept, shown, bound = (
            values.get(name)
            for name in (*(f"{FUNNEL}/{share}" for share in shares), f"{EXACT_RANKER}/recall@10")
        )
        if found is None or delivered is None or kept is None:
            continue
        # Only a light ranker leaves out what the index has found.
        index = f"the index finds {found:.1%}, " if found > delivered else ""
        text = (
            f"{split} split, a sample: of the ranker's best ten of everything, {index}retrieval delivers "
            f"{delivered:.1%}, and {kept:.1%} are shown; recall@10 {_number(shown)}, were everything "
            f"delivered {_number(bound)}"
        )
        _print_line(console, "cascade", text)


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4f}"


def _print_evaluation(console: Console, summary: RunSummary) -> None:
    """How much was evaluated, if not all, and where the model is not above a baseline."""
    for split, evaluated in summary.evaluated.items():
        available = summary.splits[split].count if split in summary.splits else evaluated
        if evaluated < available:
            sample = f"{evaluated:,} of {available:,} interactions, a sample (evaluation.max_interactions)"
            _print_line(console, split, sample)
    for kind, words in summary.baselines.items():
        _print_line(console, NAMES[kind], words)
    for split, values in summary.metrics.items():
        for text, loud in shortfalls(values):
            style = "bold red" if loud else "bold yellow"
            shown = f"[{style}]{escape(split):<9}{'LOSES: ' if loud else '[/]'}{escape(text)}"
            console.print(shown, highlight=False, soft_wrap=True)


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
    reasons = (*summary.failures, *summary.not_servable)
    for reason in reasons or ("no bound failed, but the Evaluator did not bless; see the log",):
        console.print(escape(textwrap.indent(reason, "  ")), highlight=False, soft_wrap=True)
    earlier = newest_version(serving)
    stays = f"the earlier version stays in place: {earlier}" if earlier else "nothing is being served yet"
    _print_line(console, "serving", stays)


def _print_line(console: Console, label: str, text: str) -> None:
    console.print(f"[bold]{label:<9}[/bold]{escape(text)}", highlight=False, soft_wrap=True)
