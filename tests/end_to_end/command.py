"""The command line, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys

WESTWORK = (sys.executable, "-m", "pipeline.cli")


def westwork(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs ``westwork`` in a process of its own, on a terminal that is none."""
    return subprocess.run(
        [*WESTWORK, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "160"},
    )
