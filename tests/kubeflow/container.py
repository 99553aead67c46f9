"""A container's command, run as it stands, in a process of its own."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import subprocess
import sys
from collections.abc import Sequence
from multiprocessing import forkserver
from pathlib import Path

from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor

_TIMEOUT_SECONDS = 300.0
_RUN_EXECUTOR = kubeflow_v2_run_executor.__name__


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


def run_forked(argv: Sequence[str], working: Path, log: Path) -> int:
    """:func:`run_container` without the ten seconds of imports with which every executor's command begins.

    The process is forked from one that has imported what ``python -m`` is told to run, and nothing else: its
    state is that of a new interpreter after these imports. Other commands get a new interpreter.

    Raises:
        TimeoutError: If it takes longer than any step here may; it is killed.
    """
    if list(argv[:3]) != ["python", "-m", _RUN_EXECUTOR]:
        return run_container(argv, working, log)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([_RUN_EXECUTOR])
    process = context.Process(target=_be_container, args=(argv[3:], working, log))
    process.start()
    process.join(_TIMEOUT_SECONDS)
    if process.exitcode is None:
        process.kill()
        process.join()
        raise TimeoutError(f"{log}: not done after {_TIMEOUT_SECONDS:g} s")
    return process.exitcode


def stop_forking() -> None:
    """Ends the process that :func:`run_forked` forks from; it holds a gigabyte."""
    forkserver._forkserver._stop()


def _be_container(arguments: Sequence[str], working: Path, log: Path) -> None:
    with log.open("wb") as stream:
        for descriptor in (1, 2):
            os.dup2(stream.fileno(), descriptor)
    os.environ.update(environment())
    os.chdir(working)
    sys.argv[1:] = arguments
    runpy.run_module(_RUN_EXECUTOR, run_name="__main__", alter_sys=True)


def environment() -> dict[str, str]:
    """As the image's: its ``python`` first on the path, the Keras that TFRS needs."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    variables = {**os.environ, "PATH": path, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    # Without bytecode the imports take five times as long.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    return variables
