"""The trained baselines in words."""

from __future__ import annotations

from components.baselines.artifact import Record, Tuned
from components.baselines.search import Settings


def described(settings: Settings) -> str:
    """Hyper-parameters, as in ``factors 64, regularization 30``."""
    return ", ".join(
        f"{name} {value}" if isinstance(value, str) else f"{name} {value:g}"
        for name, value in settings.items()
    )


def how_tuned(tuned: Tuned, record: Record) -> str:
    """How good the chosen hyper-parameters are of how many, measured on what."""
    return (
        f"best of {len(tuned.trials)} tried, recall@100 {tuned.chosen.recall_at_100:.4f} on "
        f"{record.validation_interactions:,} interactions of the eval split"
    )


def in_words(record: Record) -> dict[str, str]:
    """By kind what was chosen, and of how many."""
    return {
        kind: f"{described(tuned.chosen.settings)}: {how_tuned(tuned, record)}"
        for kind, tuned in record.tuned.items()
    }
