"""Trials and the table they are kept in: CSV, a row as soon as a trial ends."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

import yaml
from pydantic import Field

from components.ingest.errors import UserError
from components.ingest.strict import Strict

TABLE: Final = "trials.csv"
"""Name of the table in a search's folder."""
_FACTS: Final = ("trial", "state", "val_recall@100", "val_recall@10", "epochs", "seconds")
_LAST: Final = ("val_recall@100 by epoch", "error")


class Trial(Strict):
    """Settings, and what training with them came to."""

    number: int = Field(description="From 1; the first is the domain as it stands.")
    settings: dict[str, Any] = Field(description="Dotted key to value.")
    state: Literal["done", "pruned", "failed"]
    seconds: float = Field(description="Since the search began it, or last went on with it.")
    curve: tuple[float, ...] = Field(default=(), description="Recall@100 on the eval split after each epoch.")
    recall_at_100: float | None = Field(default=None, description="In the best epoch; None where it failed.")
    recall_at_10: float | None = Field(default=None, description="In that epoch.")
    error: str = Field(default="", description="Why it failed.")

    @property
    def worth(self) -> tuple[float, float]:
        """What trials are compared by: recall@100, which training goes by, then recall@10."""
        return self.recall_at_100 or 0.0, self.recall_at_10 or 0.0


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that did not fail, the best first, of equal ones the earlier."""
    return sorted(
        (trial for trial in trials if trial.state != "failed"),
        key=lambda trial: (-trial.worth[0], -trial.worth[1], trial.number),
    )


def in_yaml(value: Any) -> str:
    """A value on one line, as a domain file would say it."""
    text = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), sort_keys=False)
    return text.removesuffix("...\n").strip()


def write_trials(path: Path, trials: Sequence[Trial]) -> None:
    """Replaces the table as a whole, so that it is never seen half-written."""
    keys = list(dict.fromkeys(key for trial in trials for key in trial.settings))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*_FACTS, *keys, *_LAST])
    for trial in trials:
        writer.writerow(
            [
                trial.number,
                trial.state,
                "" if trial.recall_at_100 is None else trial.recall_at_100,
                "" if trial.recall_at_10 is None else trial.recall_at_10,
                len(trial.curve),
                trial.seconds,
                *(in_yaml(trial.settings[key]) for key in keys),
                " ".join(map(str, trial.curve)),
                trial.error,
            ]
        )
    aside = path.with_name(f".{path.name}.unfinished")
    aside.write_text(text.getvalue(), encoding="utf-8", newline="")
    os.replace(aside, path)


def read_trials(path: Path) -> list[Trial]:
    """The trials of a table, in their order; none where there is no table.

    Raises:
        UserError: If the table is not as :func:`write_trials` leaves it.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        try:
            return [_read(row) for row in csv.DictReader(file)]
        except (KeyError, ValueError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise UserError(
                f"{path}: cannot be read as a table of trials: {error}. Remove it to search from the start."
            ) from error


def _read(row: dict[str, str]) -> Trial:
    settings = {key: yaml.safe_load(text) for key, text in row.items() if key not in (*_FACTS, *_LAST)}
    return Trial.model_validate(
        {
            "number": int(row["trial"]),
            "settings": settings,
            "state": row["state"],
            "seconds": float(row["seconds"]),
            "curve": tuple(map(float, row[_LAST[0]].split())),
            "recall_at_100": _number(row["val_recall@100"]),
            "recall_at_10": _number(row["val_recall@10"]),
            "error": row["error"],
        }
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
