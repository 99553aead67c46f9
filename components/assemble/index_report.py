"""What is written down of a model's index, for whoever looks at the model later."""

from __future__ import annotations

import json
import os
from typing import TypeVar

import tensorflow as tf
from pydantic import ValidationError

from components.assemble.config import AssembleConfig, IndexKind
from components.assemble.tuning import Tuning
from components.ingest.errors import UserError
from components.ingest.strict import Strict
from serving.contract import DESCRIPTION_FILE, EXTRA

Part = TypeVar("Part", bound=Strict)


class IndexReport(Strict):
    """Which index a model has, and why; ``index_report`` in ``model.json``."""

    kind: IndexKind
    asked: IndexKind
    candidates: int
    width: int
    """Of an embedding."""
    reason: str | None = None
    """Why it is not the kind asked for."""
    tuned_on: str | None = None
    tuning: Tuning | None = None
    """Of the kind asked for, if it was built."""

    def in_words(self) -> str:
        """One sentence for the log and the summary."""
        said = f"{self.kind} over {self.candidates:,} candidates"
        if self.reason:
            return f"{said}, not {self.asked}: {self.reason}"
        if self.tuning is None or self.tuning.chosen is None:
            return said
        chosen = self.tuning.chosen
        return (
            f"{said}: {chosen.in_words(self.tuning)}, in {chosen.milliseconds:.2f} ms a query, exact search "
            f"in {self.tuning.exact_milliseconds:.2f}; tuned on {self.tuning.queries:,} {self.tuned_on}"
        )


def read_index_report(path: str) -> IndexReport | None:
    """What :func:`components.assemble.saved.write_model` said of a model's index; None for others' models.

    Raises:
        UserError: If the file it is in is damaged.
    """
    return _read(path, "index_report", IndexReport)


def read_settings(path: str) -> AssembleConfig | None:
    """The assemble section that a model was made by; None, and raises, as :func:`read_index_report` does."""
    return _read(path, "assemble", AssembleConfig)


def _read(path: str, key: str, kind: type[Part]) -> Part | None:
    name = os.path.join(path, EXTRA, DESCRIPTION_FILE)
    if not tf.io.gfile.exists(name):
        return None
    try:
        with tf.io.gfile.GFile(name) as file:
            part = json.load(file).get(key)
        return None if part is None else kind.model_validate(part)
    except (ValueError, ValidationError) as error:
        raise UserError(f"{name} cannot be read: {error}. Export or push the model again.") from error
