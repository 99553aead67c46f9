"""What several commands of the command line share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
from rich.console import Console

_WIDTH_OF_LOGS = 100


class FiniteRange(click.FloatRange):
    """A number within bounds: click's own range lets NaN, which no bound compares with, pass."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the number, or fail as click does."""
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number.", param, ctx)
        return number


domain_option = click.option(
    "--domain",
    default="movielens",
    show_default=True,
    help="A folder under schemas/, or the path of a folder with a domain.yaml.",
)
root_option = click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the run keeps its data, artifacts, models and logs.  [default: runs/<domain>]",
)


def console() -> Console:
    """The terminal; where there is none, lines of one width."""
    terminal = plain_console()
    return terminal if terminal.is_terminal else plain_console(width=_WIDTH_OF_LOGS)


def plain_console(**options: Any) -> Console:
    """Return a console on which ``:name:`` is no picture: titles, ids and paths are shown as they are.

    What stands in brackets is rich's markup, as everywhere: text of the user's goes through
    :func:`rich.markup.escape`, or is printed with ``markup=False``.

    Args:
        options: Of :class:`rich.console.Console`.
    """
    return Console(emoji=False, **options)
