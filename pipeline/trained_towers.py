"""What the trainers measured of the towers, read and in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from components.retrieval.config import TRAINING_HISTORY_FILE

PREFIX: Final = "factorized_top_k/"
"""Of the measures' names in a trainer's history, see :mod:`components.retrieval.factorized_top_k`."""
INTERACTIONS: Final = f"{PREFIX}interactions"


def read_training_history(model_run: Path) -> dict[str, list[float]]:
    """Return what a trainer left in its ModelRun artifact: each metric's value in every epoch, by name."""
    history: dict[str, list[float]] = json.loads(
        (model_run / TRAINING_HISTORY_FILE).read_text(encoding="utf-8")
    )
    return history


def factorized_top_k(history: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Return the measures that a trainer's history holds, by name; empty where it holds none."""
    return {name: values[0] for name, values in history.items() if name.startswith(PREFIX) and values}


def in_words(measures: Mapping[str, float]) -> str:
    """Return the measures by their full names, and on how many interactions they are; empty of none."""
    shown = [f"{name} {value:.4f}" for name, value in measures.items() if name != INTERACTIONS]
    if not shown:
        return ""
    return f"{', '.join(shown)}, on {measures.get(INTERACTIONS, 0):,.0f} interactions of the eval split"
