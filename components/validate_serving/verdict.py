"""What came of the check before a push, for the summary and the report."""

from __future__ import annotations

import os

from tfx.dsl.io import fileio
from tfx.utils import io_utils

from components.ingest.strict import Strict
from components.validate_serving.config import Target
from components.validate_serving.target import SERVERS

_FILE = "verdict.json"


class Latency(Strict):
    """How long calls with one recorded request took, as a client sees it.

    Attributes:
        request: Signature and rows, in words.
        calls: How many were measured.
        p50_ms: Median, in milliseconds.
        p99_ms: 99th percentile, in milliseconds.
    """

    request: str
    calls: int
    p50_ms: float
    p99_ms: float

    def in_words(self) -> str:
        """``recommend of 8 rows: p50 3.1 ms, p99 6.2 ms over 100 calls``."""
        calls = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"{self.request}: p50 {self.p50_ms:.1f} ms, p99 {self.p99_ms:.1f} ms over {calls}"


class ServingVerdict(Strict):
    """The outcome of the check.

    Attributes:
        target: Where the model is to be served.
        reasons: Why it must not be; none: it may.
        latencies: Of each recorded request; none where the check did not get there.
    """

    target: Target
    reasons: tuple[str, ...] = ()
    latencies: tuple[Latency, ...] = ()

    @property
    def blessed(self) -> bool:
        """Whether nothing speaks against serving the model."""
        return not self.reasons

    def in_words(self) -> str:
        """What was found, for the summary: how the slowest request did, or that the check failed."""
        if not self.latencies:
            return f"not servable by {SERVERS[self.target]}"
        slowest = max(self.latencies, key=lambda latency: latency.p50_ms)
        return f"recorded requests answered over gRPC: {len(self.latencies)}; slowest {slowest.in_words()}"


def write_verdict(verdict: ServingVerdict, uri: str) -> None:
    """Writes the verdict into its artifact's directory."""
    io_utils.write_string_file(os.path.join(uri, _FILE), verdict.model_dump_json(indent=2) + "\n")


def read_verdict(uri: str) -> ServingVerdict:
    """Reads the verdict of InfraValidator.

    Args:
        uri: Directory of its output ``blessing``.
    """
    with fileio.open(os.path.join(uri, _FILE)) as file:
        return ServingVerdict.model_validate_json(file.read())
