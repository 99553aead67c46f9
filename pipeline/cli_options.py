"""What several commands of the command line share."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

_WIDTH_OF_LOGS = 100

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
    terminal = Console()
    return terminal if terminal.is_terminal else Console(width=_WIDTH_OF_LOGS)
