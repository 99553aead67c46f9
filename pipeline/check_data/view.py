"""A report on the terminal, in plain words."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from rich import box
from rich.console import Console, JustifyMethod
from rich.markup import escape
from rich.table import Table

from components.ingest.event_order import Order, shown_place
from pipeline.check_data.report import BadRow, Finding, Level, LogFacts, Report, TableFacts

_SHOWN_REASONS = 8
_SHOWN_BAD_ROWS = 8
_LONG_SECONDS = 60 * 86_400
"""Of a log at least this long, only the days are shown."""
_STYLES: dict[Level, str] = {"error": "bold red", "warning": "yellow", "suggestion": "cyan"}
_UNITS = ("kB", "MB", "GB", "TB")


def print_report(console: Console, report: Report) -> None:
    """Prints everything found: facts first, then what to do, the verdict last."""
    _say(console, f"{report.title}: {report.folder}, data in {report.data}")
    console.print(_tables(report))
    if report.log is not None:
        _print_log(console, report.log)
    if report.splits:
        console.print(_splits(report))
        _print_actions(console, report)
    if report.history is not None:
        history = report.history
        _say(
            console,
            f"history: {history.median:g} events at the median, none for {history.empty:.0%} of the "
            f"interactions, more than {history.length} for {history.truncated:.0%}",
        )
    if report.features:
        console.print(_features(report))
    _print_findings(console, report)


def _say(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)


def _tables(report: Report) -> Table:
    table = _table("table", "files", "", "size", "rows", left=3)
    for facts in report.tables:
        size = sum(file.bytes for file in facts.files)
        rows = "–" if facts.rows is None else f"{facts.rows:,}"
        table.add_row(facts.table, escape(facts.pattern), _files(facts), _size(size), rows)
    return table


def _files(facts: TableFacts) -> str:
    found = f"{len(facts.files):,} file{'' if len(facts.files) == 1 else 's'}"
    if not facts.spans:
        return found
    return f"{found}, spans {facts.spans[0]} to {facts.spans[-1]} ({len(facts.spans):,})"


def _print_log(console: Console, log: LogFacts) -> None:
    if not log.rows:
        return
    parts = [f"{log.usable:,} of {log.rows:,} interactions can be used"]
    if log.bad:
        parts.append(f"{log.bad:,} are bad ({log.bad / log.rows:.2%})")
    if log.left_out:
        parts.append(f"{log.left_out:,} are left out by 'where'")
    if log.cancellations:
        parts.append(f"{log.cancellations:,} cancel one, which leaves out {log.cancelled:,}")
    if log.before_since:
        parts.append(f"{log.before_since:,} are before 'since'")
    if log.duplicates:
        about = "" if log.exact else "about "
        parts.append(f"{about}{log.duplicates:,} repeat another")
    _say(console, "; ".join(parts))
    if log.in_catalogue is not None:
        of_queries = "" if log.in_queries is None else f"; {log.in_queries:.1%} find their query"
        _say(
            console,
            f"joins: {log.in_catalogue:.1%} find their candidate in the catalogue{of_queries}; "
            f"{log.candidates_met:,} candidates are met",
        )
    if not log.exact:
        _say(
            console,
            f"{log.share_of_rows:.0%} of the usable rows were looked at for duplicates, splits and "
            "histories: those of some queries, whole; their counts are estimates, cold shares of candidates "
            "upper bounds",
        )
    reasons = list(log.bad_by_reason.items())
    for reason, count in reasons[:_SHOWN_REASONS]:
        _say(console, f"  {count:,} × {reason}")
    if len(reasons) > _SHOWN_REASONS:
        _say(console, f"  … and {len(reasons) - _SHOWN_REASONS:,} other reasons")
    for row in log.bad_rows[:_SHOWN_BAD_ROWS]:
        _say(console, f"    {_bad_row(row)}")


def _bad_row(row: BadRow) -> str:
    cell = f", column {row.column!r}: found {row.value or 'nothing'!r}" if row.column else ""
    return f"{row.file}, row {row.row}{cell}: {row.reason}"


def _splits(report: Report) -> Table:
    splits = report.splits.values()
    repeating = any(facts.repeats for facts in splits)
    days = max(facts.last for facts in splits) - min(facts.first for facts in splits) > _LONG_SECONDS
    ends = ("from (UTC)", "to (UTC)") if report.order == "time" else ("from", "to")
    headers = ["split", "rows", "positive", *(["repeats"] if repeating else []), "users"]
    table = _table(*headers, *ends, "cold items", "cold users", left=1)
    for name, facts in report.splits.items():
        cold = (facts.cold_candidates, facts.cold_queries)
        table.add_row(
            name,
            f"{facts.interactions:,}",
            f"{facts.positives:,}",
            *([f"{facts.repeats:,}"] if repeating else []),
            f"{facts.queries:,}",
            _moment(report.order, facts.first, days),
            _moment(report.order, facts.last, days),
            *("" if share is None else f"{share:.1%}" for share in cold),
        )
    return table


def _print_actions(console: Console, report: Report) -> None:
    actions = next(iter(report.splits.values())).actions
    if actions:
        counts = {name: sum(split.actions[name] for split in report.splits.values()) for name in actions}
        _say(console, f"actions: {', '.join(f'{name} {count:,}' for name, count in counts.items())}")


def _features(report: Report) -> Table:
    table = _table("feature", "kind", "missing", "values", left=2)
    table.columns[-1].justify = "left"
    for facts in report.features:
        name = escape(f"{facts.table}: {facts.name}")
        table.add_row(name, escape(facts.kind), f"{facts.missing:.1%}", escape(facts.seen))
    return table


def _print_findings(console: Console, report: Report) -> None:
    console.print()
    levels: tuple[Level, ...] = ("error", "warning", "suggestion")
    for level in levels:
        for finding in report.of(level):
            console.print(_finding(finding), highlight=False, soft_wrap=True)
    counts = ", ".join(
        f"{len(found):,} {level}{'' if len(found) == 1 else 's'}"
        for level in levels
        if (found := report.of(level))
    )
    if report.ok:
        verdict = "[bold green]ok[/bold green] a run would take domain and data as they are"
    else:
        verdict = "[bold red]not ok[/bold red] a run would stop"
    console.print(f"{verdict}{f' ({counts})' if counts else ''}", highlight=False, soft_wrap=True)


def _finding(finding: Finding) -> str:
    style = _STYLES[finding.level]
    return f"[{style}]{finding.level}[/{style}] {escape(finding.about)}: {escape(finding.message)}"


def _table(*headers: str, left: int) -> Table:
    """A table whose first columns are aligned left, the others right."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for place, header in enumerate(headers):
        justify: JustifyMethod = "left" if place < left else "right"
        table.add_column(escape(header), justify=justify, no_wrap=place != left - 1 or left == 1)
    return table


def _size(size: int) -> str:
    if size < 1000:
        return f"{size} B"
    power = min(int(math.log10(size)) // 3, len(_UNITS))
    return f"{size / 1000**power:.1f} {_UNITS[power - 1]}"


def _moment(order: Order, seconds: int, day_only: bool) -> str:
    if order != "time":
        return shown_place(order, seconds)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d" if day_only else "%Y-%m-%d %H:%M")
