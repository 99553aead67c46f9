"""A container's command, run as it stands, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_TIMEOUT_SECONDS = 300.0


def run_container(argv: Sequence[str], working: Path, log: Path) -> int:
    """Runs a container's whole command line.

    Args:
        argv: The command and its arguments.
        working: Working directory.
        log: File for its stdout and stderr.

    Returns:
        The exit code; negative where a signal ended it.

    Raises:
        subprocess.TimeoutExpired: If it takes longer than any step here may; it is killed.
    """
    with log.open("wb") as stream:
        return subprocess.run(
            list(argv),
            cwd=working,
            env=environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        ).returncode


def environment() -> dict[str, str]:
    """As the image's: its ``python`` first on the path, the Keras that TFRS needs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {**os.environ, "PATH": path, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    # Without bytecode the imports take five times as long.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables
