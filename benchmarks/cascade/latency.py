"""How long a query takes of several signatures and models, asked in turns in one process."""

from __future__ import annotations

import collections
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import pyarrow.parquet as pq

from components.assemble.catalogue_file import CATALOGUE_FILE
from serving.contract import HISTORY, HISTORY_AGE
from serving.loaded_model import LoadedModel
from serving.queries import Filters, search_of
from serving.tensors import as_inputs

Kind = TypeVar("Kind")
_SEED = 5
_WARM_UP = 5


class Asked(NamedTuple):
    """What is asked, query by query.

    Attributes:
        model: Who is asked.
        signature: The signature's name.
        inputs: A query's inputs each.
    """

    model: LoadedModel
    signature: str
    inputs: Sequence[Mapping[str, np.ndarray]]


def random_queries(model: Path, longest: int, count: int) -> list[dict[str, Any]]:
    """Draws queries whose histories are of a model's catalogue; what else a model takes is missing.

    Args:
        model: A version's directory.
        longest: Of their histories; each length from 1 is as likely.
        count: How many.
    """
    random = np.random.default_rng(_SEED)
    ids = pq.read_table(model / "assets.extra" / CATALOGUE_FILE)["id"].to_pylist()
    queries = []
    for length in random.integers(1, longest + 1, count):
        history = [ids[place] for place in random.integers(0, len(ids), length)]
        queries.append({HISTORY: history, HISTORY_AGE: [3600.0 * (length - n) for n in range(length)]})
    return queries


def search(
    model: LoadedModel,
    signature: str,
    queries: Sequence[Mapping[str, Any]],
    k: int,
    filters: Filters | None = None,
    diversity: float = 0.0,
    *,
    with_history: bool = False,
) -> Asked:
    """Asks ``retrieve`` or ``recommend`` for the k best of each query.

    Args:
        model: Who is asked.
        signature: Which of both.
        queries: As :func:`random_queries` draws them.
        k: How many candidates.
        filters: Which of them.
        diversity: Of ``recommend``.
        with_history: Whether candidates of the query's own history may be among them.
    """
    asked = model.signature(signature)
    inputs = []
    for query in queries:
        excluded = [] if with_history else query[HISTORY]
        inputs.append(as_inputs(asked, search_of(asked, [query], k, [excluded], [filters or {}], diversity)))
    return Asked(model, signature, inputs)


def timed(kinds: Mapping[Kind, Asked]) -> dict[Kind, np.ndarray]:
    """Asks all kinds in turns, so that other programs disturb all alike.

    Args:
        kinds: By name what is asked; of as many queries each.

    Returns:
        By name float [queries, 2], milliseconds that passed and of the processor.
    """
    times: dict[Kind, list[tuple[float, float]]] = collections.defaultdict(list)
    for number, queries in enumerate(zip(*(kind.inputs for kind in kinds.values()), strict=True)):
        for (name, kind), query in zip(kinds.items(), queries, strict=True):
            signature = kind.model.signature(kind.signature)
            for _ in range(0 if number else _WARM_UP):
                kind.model.run(signature, query, tuple(signature.outputs))
            start, processor = time.perf_counter(), time.process_time()
            kind.model.run(signature, query, tuple(signature.outputs))
            times[name].append((time.perf_counter() - start, time.process_time() - processor))
    return {name: 1000 * np.array(taken) for name, taken in times.items()}
