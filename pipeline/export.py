"""The command ``export``: a pushed model once more, with another index."""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from components.assemble.export import switch_index
from components.assemble.index_report import IndexReport
from components.ingest.errors import UserError
from components.push.pusher import push


def export_model(source: Path, base: Path, changes: Mapping[str, Any]) -> tuple[Path, IndexReport]:
    """Write a model with another index as a new version of a serving directory.

    Args:
        source: The version to start from.
        base: The serving directory; made if absent. A server that watches it sees the version when it is
            whole.
        changes: Keys of the domain file's assemble section and their new values.

    Returns:
        The new version's directory, and what became of the index.

    Raises:
        UserError: If the model cannot be read, a change is not valid, or ``base`` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="westwork-export-") as scratch:
        model = Path(scratch) / "model"
        report = switch_index(str(source), str(model), changes)
        try:
            version = push(str(model), str(base))
        except OSError as error:
            raise UserError(f"cannot write to {base}: {error}. Name another folder with --to.") from error
    return base / version, report


def print_export(console: Console, version: Path, report: IndexReport) -> None:
    """Say what was exported, and how to look at it."""
    lines = {
        "index": report.in_words(),
        "exported": str(version),
        "look": shlex.join(["westwork", "inspect", str(version)]),
    }
    for name, said in lines.items():
        console.print(f"[bold]{name:<8}[/bold] {escape(said)}", highlight=False, soft_wrap=True)
