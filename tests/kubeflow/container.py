"""A container's command, run in a process of its own that need not wait for the entry point's imports.

Three quarters of a step's time here would go into importing TensorFlow and TFX, the same for each. So the
processes are forked from a server (:mod:`multiprocessing`'s) that has imported what ``python -m`` of the
entry point imports first anyway, and nothing else: a module of ours that forgets an import is still found.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ENTRY_POINT = "tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor"
"""What TFX makes the steps' containers run."""
_TIMEOUT_SECONDS = 300.0


def run_container(argv: Sequence[str], working: Path, log: Path) -> int:
    """Runs ``python -m module arguments``.

    Args:
        argv: The container's whole command line.
        working: Working directory.
        log: File for its stdout and stderr.

    Returns:
        The exit code; negative where a signal ended it.

    Raises:
        TimeoutError: If it takes longer than any step here may; it is killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([ENTRY_POINT])
    process = context.Process(target=_become, args=(tuple(argv), str(working), str(log), environment()))
    process.start()
    process.join(_TIMEOUT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"still running after {_TIMEOUT_SECONDS:.0f} s; see {log}")
    return process.exitcode


def environment() -> dict[str, str]:
    """As the image's."""
    return {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}


def _become(argv: Sequence[str], working: str, log: str, variables: Mapping[str, str]) -> None:
    """Turns this process into the one ``argv`` asks for."""
    python, option, module, *_ = argv
    if (python, option) != ("python", "-m"):
        raise ValueError(f"expected python -m, found {argv[:2]}")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(working)
    sys.argv = list(argv[2:])
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
