"""The command line, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WESTWORK = (sys.executable, "-m", "pipeline.cli")


def start_westwork(*words: str) -> subprocess.Popen[str]:
    """Starts ``westwork`` in a process of its own, on a terminal that is none."""
    return subprocess.Popen(
        [*WESTWORK, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "160"},
    )


def westwork(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs ``westwork`` to its end."""
    with start_westwork(*words) as run:
        said, complained = run.communicate()
    return subprocess.CompletedProcess(run.args, run.returncode, said, complained)


def run_movielens(root: Path) -> list[str]:
    """Words that run MovieLens-100K, with fewer epochs than by default: enough to be blessed."""
    return [
        *("run", "--domain", "movielens", "--root", str(root)),
        *("--set", "retrieval.epochs=6", "--set", "ranking.epochs=2"),
    ]
