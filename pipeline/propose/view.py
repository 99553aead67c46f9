"""Prints what ``westwork init`` found and what it is unsure of."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.domain import available_domains
from pipeline.propose.profile import ColumnProfile, TableProfile
from pipeline.propose.proposal import Proposal

_EXAMPLES = 3
_EXAMPLE_WIDTH = 18
_FORMS = {"csv": "CSV", "jsonl": "JSON Lines", "json": "JSON", "parquet": "Parquet", "xlsx": "spreadsheet"}
_SIGNS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars"}


def print_profiles(console: Console, tables: Iterable[TableProfile], proposal: Proposal | None) -> None:
    """A table for each table looked at: a line a column.

    Args:
        console: Where to.
        tables: The tables.
        proposal: What becomes of the columns; None where nothing could be proposed.
    """
    for profile in tables:
        shown = Table(
            title=escape(f"{profile.given.label}: {_described(profile)}"),
            title_justify="left",
            title_style="bold",
            box=None,
            pad_edge=False,
            padding=(0, 2, 0, 0),
        )
        for name, justify in (
            ("column", "left"), ("holds", "left"), ("different", "right"), ("missing", "right"),
            ("range", "left"), ("most frequent", "left"),
        ):  # fmt: skip
            shown.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
        if proposal:
            shown.add_column("becomes", overflow="fold")
        uses = uses_of(profile, proposal) if proposal else {}
        for column in profile.columns:
            cells = [
                column.name,
                "key" if column in profile.keys else _held(column),
                f"{column.distinct:,}",
                f"{column.missing_share:.1%}" if column.missing_share else "-",
                _range(column),
                _examples(column),
            ]
            shown.add_row(*map(escape, [*cells, uses.get(column.name, "-")] if proposal else cells))
        console.print(shown)
        console.print()


def print_proposal(console: Console, proposal: Proposal, folder: Path, remarks: Sequence[str]) -> None:
    """The joins, the doubts and the next commands."""
    roles = proposal.roles
    console.print("[bold]Who, what, when[/bold]")
    when = "the order of the rows"
    if proposal.order == "time" and roles.timestamp:
        when = roles.timestamp.name
    if proposal.order == "column" and roles.order_column:
        when = f"the order of {roles.order_column.name}"
    _bullet(console, f"who: {roles.query.name} ({roles.evidence['interactions.query_id']})")
    item = roles.evidence.get("interactions.candidate_id", "")
    _bullet(console, f"what: {roles.candidate.name}{f' ({item})' if item else ''}")
    _bullet(console, f"when: {when}")
    joins = [join for join in (roles.catalogue, roles.queries) if join]
    if joins:
        console.print("[bold]Joins[/bold]")
    for join in joins:
        _bullet(console, f"{join.evidence}; {join.coverage:.0%} of its rows are mentioned.")
    notes = [f"{table.given.label} is not used: {why}." for table, why in roles.unused]
    for log in roles.logs:
        notes += [f"{log.given.label}: {key}: {why}." for key, why in log.edits.why.items()]
    if proposal.filters.cancellations:
        notes.append(f"interactions.cancellations: {proposal.filters.why}.")
    notes += [*proposal.facts.bad_reasons, *remarks]
    if notes:
        console.print("[bold]Also found[/bold]")
        for note in notes:
            _bullet(console, note)
    if proposal.unsure:
        console.print("[bold]Unsure[/bold] (each stands in domain.yaml, too)")
        for key, doubt in proposal.unsure:
            said, *commands = doubt.split("\n")
            shown = "\n".join([f"[cyan]{escape(key)}[/cyan]: {escape(said)}", *commands])
            _bullet(console, shown, is_markup=True)
    console.print()
    for path in ("domain.yaml", "interactions.pbtxt", "candidates.pbtxt"):
        console.print(f"wrote  {folder / path}", highlight=False, markup=False, soft_wrap=True)
    for command in ("validate", "run"):
        console.print(
            f"next   westwork {command} --domain {shlex.quote(_as_domain(folder))}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def _as_domain(folder: Path) -> str:
    """The folder as ``--domain`` takes it: a domain that comes along goes before a folder of its name."""
    return f"./{folder}" if str(folder) in available_domains() else str(folder)


def uses_of(profile: TableProfile, proposal: Proposal) -> dict[str, str]:
    """Column to what it becomes, of the columns that are used."""
    roles, judgement = proposal.roles, proposal.judgement
    uses: dict[str, str] = {}
    if profile.given.files in [log.given.files for log in roles.logs]:
        uses = {choice.column.name: f"({choice.kind}?)" for choice in proposal.offered}
        uses |= {choice.column.name: choice.kind for choice in proposal.context}
        if roles.catalogue is None:
            uses |= {
                choice.column.name: f"item: {choice.kind}"
                for choice in proposal.candidate_features
                if choice.kind
            }
        for column, use in (
            (roles.query, "query_id"),
            (roles.candidate, "candidate_id"),
            (roles.timestamp if proposal.order == "time" else None, "timestamp"),
            (roles.order_column, "timestamp (order)"),
            (judgement.rating, "rating"),
            (judgement.action_column, "action"),
            (proposal.position, "position"),
            (proposal.propensity, "propensity"),
        ):
            if column:
                uses[column.name] = use
    elif roles.catalogue and set(roles.catalogue.table.given.files) <= set(profile.given.files):
        uses = {choice.column.name: choice.kind for choice in proposal.candidate_features}
        if proposal.candidate_title:
            title = proposal.candidate_title.name
            uses[title] = ", ".join(filter(None, ("title", uses.get(title))))
        uses[roles.catalogue.key.name] = "id"
    elif roles.queries and set(roles.queries.table.given.files) <= set(profile.given.files):
        uses = {choice.column.name: choice.kind for choice in proposal.query_features}
        uses[roles.queries.key.name] = "id"
    return {name: use for name, use in uses.items() if use}


def _described(profile: TableProfile) -> str:
    given, sample = profile.given, profile.sample
    form = _FORMS[given.format]
    if given.format == "csv":
        form += f" with {_SIGNS.get(given.dialect.delimiter, given.dialect.delimiter)}"
    if given.format != "parquet" and given.dialect.encoding != "utf-8":
        form += f", {given.dialect.encoding}"
    if given.compression != "none":
        form += f", {given.compression}"
    files = "1 file" if len(given.files) == 1 else f"{len(given.files):,} files"
    rows = f"{sample.total:,} rows" if sample.whole else f"looked at {sample.note}"
    return f"{rows}, {files}, {form}"


def _held(column: ColumnProfile) -> str:
    if column.moments and (column.moments.named or column.shape == "moment"):
        return f"time ({column.moments.unit})" if column.moments.unit else "time"
    return column.shape


def _range(column: ColumnProfile) -> str:
    if column.moments and (column.moments.named or column.shape == "moment"):
        return column.moments.shown()
    if len(column.numbers):
        form = ",.0f" if column.shape == "integer" else ",.6g"
        return f"{column.numbers.min():{form}} – {column.numbers.max():{form}}"
    if len(column.part_counts):
        return f"{column.part_counts.min()} – {column.part_counts.max()} values"
    words = column.words_per_cell
    if not len(words):
        return "-"
    return "1 word" if words.max() == 1 else f"{words.min()} – {words.max()} words"


def _examples(column: ColumnProfile) -> str:
    if column.moments or not column.distinct:
        return "-"
    return ", ".join(
        value if len(value) <= _EXAMPLE_WIDTH else f"{value[: _EXAMPLE_WIDTH - 1]}…"
        for value in column.values.slice(0, _EXAMPLES).to_pylist()
    )


def _bullet(console: Console, text: str, is_markup: bool = False) -> None:
    hanging = Table.grid(padding=(0, 1, 0, 0))
    said, *commands = text.split("\n")
    hanging.add_row(" -", said if is_markup else escape(said))
    console.print(hanging, highlight=False)
    for command in commands:
        # Unbroken, so that it can be copied.
        console.print(f"  {command}", highlight=False, markup=False, soft_wrap=True)
