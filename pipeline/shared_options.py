"""Options that several commands of ``westwork`` have."""

from __future__ import annotations

from pathlib import Path

import click

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
