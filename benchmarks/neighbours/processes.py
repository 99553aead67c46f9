"""What a contender's two processes do: one builds its index, the other is asked."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from benchmarks.neighbours.contender import Contender
from benchmarks.neighbours.knobs import Setting, tune
from benchmarks.neighbours.problem import Problem, recall
from benchmarks.speed.turns import Turns

BATCHES = (1, 256)
_WARM_UP = 3


@dataclass(frozen=True)
class Opened:
    """A contender that is ready to be asked.

    Attributes:
        bytes: By how much its process grew from the libraries' import to the first answers.
        setting: All knobs.
        tuned_recall: On the queries for tuning; None where building tuned.
    """

    bytes: int
    setting: Setting
    tuned_recall: float | None


@dataclass(frozen=True)
class Answers:
    """What a turn of asking came to.

    Attributes:
        seconds: Of each request, by batch.
        queries: How many were answered in these, by batch.
        recalls: Of the queries for measuring, by batch; of the first turn only.
    """

    seconds: dict[int, list[float]]
    queries: dict[int, int]
    recalls: dict[int, float]


def build(turns: Turns, contender: tuple[str, ...], data: Path, folder: Path, target: float) -> None:
    """Builds an index; the first turn imports and reads, the second one builds and reports the seconds."""
    turns.wait()
    index, problem = _made(contender), Problem.load(data)
    turns.report(None)
    turns.wait()
    started = time.monotonic()
    index.build(problem, folder, target)
    turns.report(time.monotonic() - started)


def answer(
    turns: Turns, contender: tuple[str, ...], data: Path, folder: Path, target: float, seconds: float
) -> None:
    """Answers queries; the first turn opens and tunes (:class:`Opened`), others are :class:`Answers`.

    Args:
        turns: Says when.
        contender: See :func:`_made`.
        data: Folder of the problem.
        folder: Of the index.
        target: Recall that it is tuned to.
        seconds: How long a turn goes on for each batch.
    """
    index, problem = _made(contender), Problem.load(data)
    turns.wait()
    opened = _opened(index, problem, folder, target)
    turns.report(opened)
    recalls: dict[int, float] | None = None
    while True:
        turns.wait()
        first = recalls is None
        if recalls is None:
            recalls = {batch: _recall(index, problem, opened.setting, batch) for batch in BATCHES}
        times = {batch: _times(index, problem.queries, opened.setting, batch, seconds) for batch in BATCHES}
        counts = {batch: batch * len(times[batch]) for batch in BATCHES}
        turns.report(Answers(times, counts, recalls if first else {}))


def _made(contender: tuple[str, ...]) -> Contender:
    """Imports and makes a contender: module of this package, class, arguments."""
    module, name, *arguments = contender
    return getattr(importlib.import_module(f"benchmarks.neighbours.{module}"), name)(*arguments)


def _opened(index: Contender, problem: Problem, folder: Path, target: float) -> Opened:
    process = psutil.Process()
    before = process.memory_info().rss
    index.open(problem, folder)
    ladders = index.ladders(problem)
    setting = ladders[0].setting(ladders[0].start) if ladders else index.built_with(folder)
    for batch in BATCHES:
        index.search(_batch(problem.tuning, 0, batch), setting)
    grown = process.memory_info().rss - before
    if not ladders:
        return Opened(grown, setting, None)
    tuned = tune(
        ladders,
        lambda setting: recall(_found(index, problem.tuning, setting, BATCHES[-1]), problem.tuning_best),
        lambda setting: min(_seconds(index, problem.tuning, setting) for _ in range(_WARM_UP)),
        target,
    )
    return Opened(grown, tuned.setting, tuned.recall)


def _recall(index: Contender, problem: Problem, setting: Setting, batch: int) -> float:
    return recall(_found(index, problem.queries, setting, batch), problem.queries_best)


def _found(index: Contender, queries: np.ndarray, setting: Setting, batch: int) -> np.ndarray:
    starts = range(0, len(queries), batch)
    return np.concatenate([index.search(queries[start : start + batch], setting) for start in starts])


def _seconds(index: Contender, queries: np.ndarray, setting: Setting) -> float:
    started = time.perf_counter()
    _found(index, queries, setting, BATCHES[-1])
    return time.perf_counter() - started


def _times(
    index: Contender, queries: np.ndarray, setting: Setting, batch: int, seconds: float
) -> list[float]:
    """Seconds of each request, one after another for so long; the first few, which warm up, do not count."""
    for number in range(_WARM_UP):
        index.search(_batch(queries, number, batch), setting)
    times: list[float] = []
    until = time.perf_counter() + seconds
    while not times or time.perf_counter() < until:
        some = _batch(queries, len(times), batch)
        started = time.perf_counter()
        index.search(some, setting)
        times.append(time.perf_counter() - started)
    return times


def _batch(queries: np.ndarray, number: int, size: int) -> np.ndarray:
    """The batch of that number, [size, dim]; after the last query comes the first."""
    return queries[np.arange(number * size, (number + 1) * size) % len(queries)]
