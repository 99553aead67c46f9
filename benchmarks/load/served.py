"""``westwork serve`` as a process that is measured from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.client import MODEL_NAME

_STARTED = re.compile(r"serving .* \| gRPC (\S+) \| REST (\S+)\n")
_SAMPLE = re.compile(r"^([\w:]+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_TICKS = os.sysconf("SC_CLK_TCK")
_SECONDS_TO_END = 60


def end_in_order_when_told() -> None:
    """Makes SIGTERM, such as ``timeout`` sends, an exit that takes servers and generators along."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))


class Served:
    """A server on this machine's loopback, on free ports.

    Attributes:
        target: ``HOST:PORT`` of gRPC.
        url: REST's URL of the model.
    """

    def __init__(self, model: Path, arguments: Sequence[str]):
        """Starts it and waits until it answers.

        Args:
            model: Directory of versions, or of one.
            arguments: Further ones of ``westwork serve``.

        Raises:
            RuntimeError: If it does not start; says what it said.
        """
        command = [sys.executable, "-m", "pipeline.cli", "serve", "--model", str(model)]
        command += ["--port", "0", "--rest-port", "0", *arguments]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        # A group of its own: Ctrl-C ends it through its parent.
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self._errors, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        said = _STARTED.fullmatch(self._process.stdout.readline())
        if said is None:
            self.stop()
            raise RuntimeError(f"{' '.join(command)} did not start:\n{self.log()}")
        self.target, self.url = said.groups()

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()

    @property
    def cpu_seconds(self) -> float:
        """What it has computed, all threads together."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    @property
    def resident_bytes(self) -> int:
        """Memory it occupies."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def runs(self) -> bool:
        """Whether it is still there."""
        return self._process.poll() is None

    def log(self) -> str:
        """What it has said on standard error."""
        self._errors.seek(0)
        return self._errors.read()

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 where there are none."""
        with urllib.request.urlopen(f"{self._base}/monitoring/prometheus/metrics") as answer:
            page = answer.read().decode()
        wanted = {f'{key}="{value}"' for key, value in labels.items()}
        return sum(
            float(value)
            for found, has, value in _SAMPLE.findall(page)
            if found == name and wanted <= set(has.split(","))
        )

    def stop(self) -> int:
        """Ends it in order; returns its exit code."""
        if self.runs:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    @property
    def _base(self) -> str:
        return self.url.removesuffix(f"/v1/models/{MODEL_NAME}")
