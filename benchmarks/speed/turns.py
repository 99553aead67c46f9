"""Contestants that compute in turns, each in a process of its own: a machine's noise hits all alike."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

_SECONDS_TO_END = 30


@dataclass(frozen=True)
class Epoch:
    """Where a training is after an epoch and its validation.

    Attributes:
        seconds: Since it began, validations included.
        validation_seconds: Of these, what all validations took.
        recall: Validation recall@100.
    """

    seconds: float
    validation_seconds: float
    recall: float

    @property
    def training_seconds(self) -> float:
        """Seconds without validations."""
        return self.seconds - self.validation_seconds


class Turns:
    """What a contestant sees of the contest."""

    def __init__(self, connection: Connection):
        """Takes its end of the pipe."""
        self._connection = connection

    def wait(self) -> None:
        """Returns when it is this contestant's turn."""
        self._connection.recv()

    def report(self, result: Any) -> None:
        """Ends the turn."""
        self._connection.send(result)


class Contestant:
    """A process that computes only while it is its turn.

    TensorFlow and PyTorch never share one, nor their threads a core: between turns a process sleeps.
    """

    def __init__(self, name: str, *arguments: Any, library: str | None = None):
        """Starts the process; what it prepares before its first turn is not timed.

        Args:
            name: ``module.function`` of ``benchmarks``, called with :class:`Turns` and the arguments.
            arguments: Picklable.
            library: Folder to import further packages from.
        """
        self.name = name
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_compete, args=(name, other, library, arguments), daemon=True)
        self._process.start()
        other.close()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def turn(self) -> Any:
        """Lets it compute until it reports, and returns that.

        Raises:
            RuntimeError: If it failed; its standard error says why.
        """
        try:
            self._connection.send(None)
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeError(f"{self.name} ended before its result; its error is above") from error

    def end(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join(_SECONDS_TO_END)


def _compete(name: str, connection: Connection, library: str | None, arguments: tuple[Any, ...]) -> None:
    # Standard output is the report's: Keras' progress goes where other progress goes.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    if library:
        # Last: what the project pins comes before what lies beside such a package.
        sys.path.append(library)
    module, _, function = name.rpartition(".")
    getattr(importlib.import_module(f"benchmarks.{module}"), function)(Turns(connection), *arguments)
