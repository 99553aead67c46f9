"""The command line, as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

WESTWORK = (sys.executable, "-m", "pipeline.cli")
MUSIC = str(Path(__file__).resolve().parents[1] / "fixtures" / "music")
"""The domain of :mod:`music_service`."""


def westwork(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs ``westwork`` to its end, in a process of its own, on a terminal that is none."""
    return subprocess.run(
        [*WESTWORK, *words],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "160"},
    )


def run_movielens(root: Path) -> list[str]:
    """Words that run MovieLens-100K, with less training and evaluation than by default: enough to be blessed.

    Its catalogue would be searched exactly; the tests are to see ScaNN.
    """
    return [
        *("run", "--domain", "movielens", "--root", str(root)),
        *("--set", "retrieval.epochs=3", "--set", "ranking.epochs=2", "--set", "assemble.exact_below=0"),
        *("--set", "evaluation.max_interactions=1000", "--set", "evaluation.baselines.trials=2"),
    ]
