"""Keeps what libraries print away from the terminal."""

from __future__ import annotations

import faulthandler
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_into(log: Path) -> Iterator[None]:
    """Send this process's stdout and stderr into a file while the block runs, C++'s too.

    A crash of the interpreter is still told on the real stderr.

    Args:
        log: File to append to. Where it cannot be opened, the output is dropped.
    """
    target = _open(log)
    _flush()
    saved = os.dup(1), os.dup(2)
    os.dup2(target, 1)
    os.dup2(target, 2)
    os.close(target)
    faulthandler.enable(file=saved[1])
    try:
        yield
    finally:
        faulthandler.disable()
        _flush()
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)


def _open(log: Path) -> int:
    try:
        return os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    except OSError:
        return os.open(os.devnull, os.O_WRONLY)


def _flush() -> None:
    sys.stdout.flush()
    sys.stderr.flush()
