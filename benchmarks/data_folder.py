"""Where the public data sets are, unless a benchmark is told otherwise."""

from __future__ import annotations

from pathlib import Path

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
"""The folder ``shared/data`` beside the project."""
DATA_HELP = "folder of the data sets; default: shared/data beside the project"
