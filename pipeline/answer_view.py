"""Shows recommendations on a terminal."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.recommend import Answer, Item, Recommendation


def print_answer(console: Console, answer: Answer, k: int, ask: Sequence[str]) -> None:
    """Print the list beside the latest of the user's history.

    Args:
        console: Where to.
        answer: What to show.
        k: How many were asked for.
        ask: The command that asks for another user, without the user.
    """
    user, version = escape(answer.user), escape(answer.version)
    moment = "after the latest of the history"
    if answer.moment is not None:
        moment = f"at {datetime.fromtimestamp(answer.moment, UTC):%Y-%m-%d %H:%M} UTC"
    if not answer.known:
        console.print(
            f"[bold yellow]User {user} is not in the data[/bold yellow]: recommended from the request's "
            "context alone, without history.",
            soft_wrap=True,
        )
    elif not answer.trained_on:
        console.print(
            f"[yellow]User {user} was not there when the model was trained[/yellow]: recommended from "
            "attributes and history.",
            soft_wrap=True,
        )
    console.print(_table(answer, f"Recommended to user {user}, asked {moment}, version {version}"))
    found = len(answer.recommendations)
    if found < k:
        left = "" if k > answer.catalogue else ", the others being excluded"
        console.print(
            f"{found} of {k}: the catalogue has {answer.catalogue:,} candidates{left}.", highlight=False
        )
    command = shlex.join([*ask, "--user", answer.another])
    console.print(f"[bold]ask for another user[/bold]  {escape(command)}", highlight=False, soft_wrap=True)


def _table(answer: Answer, title: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    table.add_column("#", justify="right")
    table.add_column("recommended", ratio=3)
    rated = "rating" in answer.heads
    headers = {"positive": "P(liked)" if rated else "P(positive)"}
    # Heads are called after the actions, whose names are the user's.
    for header in ("score", *(escape(headers.get(head, head)) for head in answer.heads)):
        table.add_column(header, justify="right", no_wrap=True)
    if answer.history:
        table.add_column("liked most recently" if rated else "most recently", ratio=2, style="dim")
    history = answer.history[: len(answer.recommendations)]
    for recommendation, item in zip_longest(answer.recommendations, history):
        beside = [_title(item)] if history else []
        table.add_row(*_places(recommendation), *beside)
    return table


def _places(item: Recommendation) -> tuple[str, ...]:
    numbers = (_number(value) for value in (item.score, *item.heads.values()))
    return (str(item.rank), _title(item), *numbers)


def _number(value: float | None) -> str:
    """A score or a probability; of a small one, such as to be the next purchase, more digits."""
    if value is None:
        return "-"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.4f}"


def _title(item: Item | None) -> str:
    return escape(item.title) if item else ""
