"""The process that times two models beside each other: the cascade as it is, and with an addition.

It is a process of its own, for TensorFlow's threads are a process's: here a query runs in one, as it does by
default in the server.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
# Before TensorFlow is imported.
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np

from benchmarks.cascade.latency import random_queries, search, timed
from benchmarks.cascade.results import Latency
from serving.loaded_model import LoadedModel

_SIGNATURES = ("retrieve", "recommend")
_K = 10


def main() -> None:
    """Asks, and prints a :class:`Latency` as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a version's directory")
    parser.add_argument("--ranker", type=Path, required=True, help="that of the cascade as it is")
    parser.add_argument("--history", type=int, required=True, help="longest history")
    parser.add_argument("--rounds", type=int, required=True, help="queries of each signature and model")
    parser.add_argument("--with-history", action="store_true", help="lists may hold what histories hold")
    given = parser.parse_args()
    queries = random_queries(given.ranker, given.history, given.rounds)
    kinds = {
        (path, signature): search(loaded, signature, queries, _K, with_history=given.with_history)
        for path in dict.fromkeys([given.ranker, given.model])
        for loaded in [LoadedModel(path, run_threads=1)]
        for signature in _SIGNATURES
    }
    medians = {kind: float(np.median(taken[:, 0])) for kind, taken in timed(kinds).items()}
    ranker, own = ([medians[path, name] for name in _SIGNATURES] for path in (given.ranker, given.model))
    latency = Latency(
        ranker_retrieve=ranker[0], ranker_recommend=ranker[1], retrieve=own[0], recommend=own[1]
    )
    print(latency.model_dump_json())


if __name__ == "__main__":
    main()
