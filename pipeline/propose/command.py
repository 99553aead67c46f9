"""``westwork init``: from raw files to a domain folder."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from components.ingest.errors import UserError
from pipeline.domain import DOMAIN_FILE, load_domain
from pipeline.propose.chosen import Chosen
from pipeline.propose.domain_text import domain_text
from pipeline.propose.given import given_tables
from pipeline.propose.profile import profile_table
from pipeline.propose.proposal import Proposal, propose
from pipeline.propose.reshaped import reshaped
from pipeline.propose.schema_text import candidates_schema_text, interactions_schema_text
from pipeline.propose.view import print_profiles, print_proposal


def init_domain(
    console: Console,
    paths: Sequence[str | os.PathLike[str]],
    folder: Path,
    name: str | None = None,
    force: bool = False,
    chosen: Chosen | None = None,
) -> Proposal:
    """Looks at the files, prints what they hold, and writes a domain for them.

    Args:
        console: Where the profile and the doubts are printed.
        paths: Files, or folders of files.
        folder: Where the domain goes; made if need be.
        name: What people call the data set; the folder's name where absent.
        force: Whether a domain that is there already is replaced.
        chosen: Columns and tables that the user names, instead of having them guessed.

    Returns:
        What was proposed.

    Raises:
        UserError: If a file cannot be read, there is no event log or no catalogue among them, or there is
            a domain in the folder already.
    """
    if not force:
        _refuse_existing(folder)
    given, remarks = given_tables(paths)
    tables = [reshaped(profile_table(table)) for table in given]
    title = name or re.sub(r"[_-]+", " ", folder.absolute().name).strip().capitalize() or "Mine"
    try:
        proposal = propose(tables, title, chosen)
    except UserError:
        print_profiles(console, tables, None)
        raise
    _write(proposal, folder)
    print_profiles(console, tables, proposal)
    print_proposal(console, proposal, folder, remarks)
    return proposal


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; expected a folder for the domain. Name another with --to.")
    there = [
        name for name in (DOMAIN_FILE, "interactions.pbtxt", "candidates.pbtxt") if (folder / name).exists()
    ]
    if there:
        raise UserError(
            f"{folder} holds a domain already ({', '.join(there)}). Name another folder with --to, or "
            "replace it with --force."
        )


def _write(proposal: Proposal, folder: Path) -> None:
    """Writes the three files beside the folder, reads them as a run would, then moves them in."""
    contents = {
        "interactions.pbtxt": interactions_schema_text(proposal),
        "candidates.pbtxt": candidates_schema_text(proposal),
        # Last, so that a folder with a domain file has its schemas.
        DOMAIN_FILE: domain_text(proposal),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".unfinished-") as aside:
            for name, content in contents.items():
                (Path(aside) / name).write_text(content, encoding="utf-8")
            load_domain(aside)
            for name in contents:
                os.replace(Path(aside) / name, folder / name)
    except OSError as error:
        raise UserError(
            f"cannot write to {folder}: {error.strerror or error}. Name a folder you may write to with --to."
        ) from error
