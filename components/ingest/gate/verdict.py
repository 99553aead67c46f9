"""What the anomaly gate let pass, for the summary and the report."""

from __future__ import annotations

import os
from typing import Literal

from tfx.dsl.io import fileio

from components.ingest.gate.comparison import Comparison
from components.ingest.strict import Strict

_FILE = "verdict.json"


class ComparedStream(Strict):
    """A comparison of distributions."""

    stream: Literal["interaction", "candidate"]
    kind: Literal["drift", "skew"]
    comparison: Comparison

    @property
    def first(self) -> bool:
        """Whether there was nothing to compare with: these are the first data that pass."""
        return self.comparison.baseline_span is None


class Verdict(Strict):
    """What was looked at before the data passed; there are no anomalies, or they would not have."""

    examined: dict[str, tuple[str, ...]]
    """Stream to the splits that were held against the schema."""
    compared: tuple[ComparedStream, ...] = ()
    """The comparisons asked for."""
    warnings: tuple[str, ...] = ()
    """A line for each distance above its threshold, where the domain says to warn."""


def write_verdict(verdict: Verdict, uri: str) -> None:
    """Writes the verdict into its artifact's directory."""
    with fileio.open(os.path.join(uri, _FILE), "w") as file:
        file.write(verdict.model_dump_json(indent=2) + "\n")


def read_verdict(uri: str) -> Verdict:
    """Reads the verdict of AnomalyGate.

    Args:
        uri: Directory of its output ``verdict``.
    """
    with fileio.open(os.path.join(uri, _FILE)) as file:
        return Verdict.model_validate_json(file.read())
