"""Runs a pipeline in a process of its own, so that nothing its libraries print reaches the terminal.

The child's stdout and stderr go to a log file at the level of file descriptors, which also catches what
C++ writes. Events come back through a pipe. The child cannot outlive its parent.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.run_events import Event, decode

_PR_SET_PDEATHSIG = 1
_GRACE_SECONDS = 5.0


def environment() -> dict[str, str]:
    """This process's environment with what every process importing TensorFlow needs."""
    changed = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "PYTHONFAULTHANDLER": "1"}
    changed.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # Without bytecode the imports take five times as long.
    changed.pop("PYTHONDONTWRITEBYTECODE", None)
    return changed


def follow(
    command: Sequence[str], log: Path, on_event: Callable[[Event], None], lock: int | None = None
) -> int:
    """Run ``command`` to its end and hand its events on as they come.

    Args:
        command: The child's argv. ``--events-fd`` and ``--parent-pid`` are appended; see
            :func:`add_child_arguments`.
        log: File that receives the child's stdout and stderr.
        on_event: Called in this thread for each event.
        lock: Descriptor of a lock the child is to hold as long as it lives.

    Returns:
        The child's return code; negative where a signal ended it.

    Raises:
        KeyboardInterrupt: On Ctrl-C; the child has been ended by then.
    """
    readable, writable = os.pipe()
    protocol = ["--events-fd", str(writable), "--parent-pid", str(os.getpid())]
    with open(log, "ab") as output, os.fdopen(readable, "rb") as events:
        try:
            child = subprocess.Popen(
                [*command, *protocol],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment(),
                pass_fds=[writable] if lock is None else [writable, lock],
                # Ctrl-C reaches the parent alone, which ends the child in order.
                start_new_session=True,
            )
        finally:
            os.close(writable)
        try:
            for line in events:
                on_event(decode(line))
            return child.wait()
        finally:
            _end(child)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started, unless it has ended by itself."""
    if child.poll() is not None:
        return
    os.killpg(child.pid, signal.SIGTERM)
    try:
        child.wait(timeout=_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def add_child_arguments(parser: argparse.ArgumentParser) -> None:
    """Add to a child's parser the arguments :func:`follow` passes."""
    parser.add_argument("--events-fd", type=int, required=True, help="descriptor events are written to")
    parser.add_argument("--parent-pid", type=int, required=True, help="process this one must not outlive")


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when ``parent`` ends, however that comes about.

    Args:
        parent: Process id of the parent, as it was when this process was started.

    Raises:
        OSError: If the kernel refuses.
        SystemExit: If the parent has ended already.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit(1)
