"""Starts the embedded server on a model and ends it, whatever becomes of either."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

_MODULE = "components.validate_serving.embedded_server"
_GRACE_SECONDS = 5.0
_LAST_LINES = 8


class ServerFailed(Exception):
    """The server did not start, or has ended."""


class ServerProcess:
    """A context within which the embedded server runs on a free port of the loopback interface.

    TFX' own model server runners start containers, by Docker or Kubernetes.
    """

    def __init__(self, model: Path, log: Path) -> None:
        """Nothing is started before the context is entered.

        Args:
            model: The SavedModel's directory.
            log: File for what the server says.
        """
        self._model, self._log = model, log

    def __enter__(self) -> ServerProcess:
        """Starts the process and returns at once."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                # -P: the current folder must not shadow this package.
                [sys.executable, "-P", "-m", _MODULE, str(self._model)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends the process: by asking, and where that does not do within seconds by force."""
        self._process.terminate()
        try:
            # Closes its stdin, which ends it even while it is loading the model.
            self._process.communicate(timeout=_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def wait_until_available(self, deadline: float) -> str:
        """Waits until the model answers.

        Args:
            deadline: Till when, on the monotonic clock.

        Returns:
            gRPC's ``HOST:PORT``.

        Raises:
            ServerFailed: If the process ends, or says nothing till then; with its last lines.
        """
        stdout = self._process.stdout
        assert stdout is not None
        readable, _, _ = select.select([stdout], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise ServerFailed(
                f"the model was not available within serving.timeout_seconds\n{self.last_words()}"
            )
        target = stdout.readline().decode().strip()
        if not target:
            self._process.wait()
            raise ServerFailed(f"the model cannot be served\n{self.last_words()}")
        return target

    def last_words(self) -> str:
        """How the server is, and the last lines that it said."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
        said = "its last lines:\n" + "\n".join(lines) if lines else "it said nothing"
        return f"{_state(self._process.poll())}; {said}"


def _state(code: int | None) -> str:
    """What a process's return code says, None being that of one that has not ended."""
    if code is None:
        return "the server runs"
    if code < 0:
        return f"{signal.Signals(-code).name} ended the server"
    return f"the server ended with code {code}"
