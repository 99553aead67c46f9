"""How soon and how well the product's indices find the best candidates, beside other libraries'.

    pip install --target /tmp/ann --no-deps faiss-cpu hnswlib
    python benchmarks/ann.py --libraries /tmp/ann --output ann.json

prints a table for each data set. To try it in a minute:

    python benchmarks/ann.py --libraries /tmp/ann --size 20000 --seconds 0.2 --set clustered

Data are drawn (--seed) from a mixture of Gaussians, a cluster for every 500 candidates, and queries alike;
what is wanted is the 100 candidates with the largest dot products. In the set "clustered" clusters are of
like size and vectors of like length; in "uneven" both are heavy-tailed.

Contenders (--only):

* westwork-scann, -ivf, -exact: SavedModels with one signature, embeddings and k in, made by the product's own
  building and tuning, asked as the embedded server asks, without its network (serving/loaded_model.py).
* scann: ScaNN's Python binding, with as many leaves and the same codes as ours; its centroids are means.
* tfrs-called: the layer tfrs.layers.factorized_top_k.ScaNN, called from Python as in its tutorial;
  tfrs-exported: the same layer as a SavedModel, asked in the same way as ours.
* faiss-hnsw, faiss-ivfpq (4-bit codes, fast scan, re-ranking) and hnswlib.

Every one is tuned on queries of their own (as many as --queries) to the same --recall: its main knob is
turned up until that is reached, for a few amounts of re-ordering where it has such; the quickest is taken.
Ours tune themselves while they are built. Then other queries are asked, one at a time and 256 at a time, each
contender in a process of its own that sleeps while another has its turn, --rounds turns each. QPS is the
median of the turns, p50 and p99 are of all requests; a request lasts until its answer is a NumPy array.
"Build" holds tuning for ours, but not for others; "peak" is what the building process grew by at most, beside
the candidates it was given; "memory" what the process that answers grew by, from imported libraries to the
first answers. Nobody's threads are set, whatever a library does by itself with the machine's cores; what is
asked as the embedded server asks has what that sets: a thread for a run, two runs for 256 queries to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import PathFinder
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

# TFRS wants Keras 2; before TensorFlow is imported by a contender.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.neighbours import problem
from benchmarks.neighbours.processes import BATCHES, Answers, Opened
from benchmarks.speed.turns import Contestant

CONTENDERS: dict[str, tuple[str, ...]] = {
    "westwork-scann": ("westwork", "Westwork", "scann"),
    "westwork-ivf": ("westwork", "Westwork", "ivf"),
    "westwork-exact": ("westwork", "Westwork", "exact"),
    "scann": ("scann_binding", "ScannBinding"),
    "tfrs-called": ("tfrs_layer", "TfrsCalled"),
    "tfrs-exported": ("tfrs_layer", "TfrsExported"),
    "faiss-hnsw": ("faiss_index", "FaissHnsw"),
    "faiss-ivfpq": ("faiss_index", "FaissIvfPq"),
    "hnswlib": ("hnswlib_index", "Hnswlib"),
}
"""Module, class and arguments of each."""
SAME_INDEX = {"tfrs-called": "tfrs-exported"}
"""Whose index is built as another's."""
NOT_REQUIRED = {
    "faiss_index": ("faiss", "faiss-cpu"),
    "hnswlib_index": ("hnswlib", "hnswlib"),
}
"""Import and distribution of libraries that are not among the project's requirements, by module."""
WANTED = (
    ("westwork-scann", "scann", 256, 0.8),
    ("westwork-scann", "faiss-hnsw", 256, 1.0),
    ("westwork-scann", "faiss-ivfpq", 256, 1.0),
    ("westwork-scann", "hnswlib", 256, 1.0),
    ("westwork-scann", "tfrs-called", 1, 4.0),
    ("westwork-scann", "tfrs-exported", 1, 4.0),
    ("westwork-ivf", "westwork-scann", 1, 1 / 3),
    ("westwork-ivf", "westwork-scann", 256, 1 / 3),
)
"""Whose QPS, over whose, at which batch, is to be at least what."""
IDLE = 0.7
"""The load up to which a machine counts as idle."""
_SAMPLED_EVERY_SECONDS = 0.05


@dataclass(frozen=True)
class Built:
    """What building took."""

    seconds: float
    peak_bytes: int


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=1_000_000, help="candidates (default: %(default)s)")
    parser.add_argument("--dim", type=int, default=64, help="even (default: %(default)s)")
    parser.add_argument(
        "--queries", type=int, default=1000, help="to tune on, and to measure (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the data (default: %(default)s)")
    parser.add_argument("--set", choices=[*problem.SETS], nargs="+", default=[*problem.SETS])
    parser.add_argument(
        "--only", choices=[*CONTENDERS], nargs="+", default=[*CONTENDERS], metavar="CONTENDER"
    )
    parser.add_argument("--recall", type=float, default=0.98, help="to tune to (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of a turn, for each batch")
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of each contender (default: %(default)s)"
    )
    parser.add_argument("--libraries", type=Path, help="folder that holds faiss and hnswlib, if installed so")
    parser.add_argument("--output", type=Path, help="write all that was measured to this file, as JSON")
    given = parser.parse_args()
    if given.size < 1000:
        parser.error(f"--size {given.size}: at least 1000 candidates make sense for the 100 best")
    if given.dim % 2:
        parser.error(f"--dim {given.dim}: codes are of two dimensions, so it must be even")
    load = os.getloadavg()[0]
    missing = missing_libraries(given.only, given.libraries)
    results = {
        "size": given.size,
        "dim": given.dim,
        "recall": given.recall,
        "cores": os.cpu_count(),
        "load_before": load,
        "not_installed": missing,
        "sets": {},
    }
    for kind in given.set:
        with tempfile.TemporaryDirectory() as work:
            names = [name for name in given.only if name not in missing]
            results["sets"][kind] = _measured(kind, names, given, Path(work))
        print(table(kind, results), flush=True)
    print(remarks(results))
    if given.output:
        given.output.write_text(json.dumps(results, indent=2))


def missing_libraries(names: Sequence[str], libraries: Path | None) -> dict[str, str]:
    """What to install, by the contenders that cannot be measured without it."""
    found = {}
    for name in names:
        library, distribution = NOT_REQUIRED.get(CONTENDERS[name][0], (None, None))
        paths = [str(libraries)] if libraries else []
        if library and not (PathFinder.find_spec(library) or PathFinder.find_spec(library, paths)):
            found[name] = distribution
    return found


def _measured(kind: str, names: Sequence[str], given: argparse.Namespace, work: Path) -> dict[str, Any]:
    """One data set: everything measured, by contender."""
    _say(f"{kind}: drawing {given.size:,} candidates and finding the best by brute force")
    data = work / "data"
    data.mkdir()
    problem.make(kind, given.size, given.dim, given.queries, given.seed).save(data)
    library = given.libraries and str(given.libraries)
    built: dict[str, Built] = {}
    for index in dict.fromkeys(SAME_INDEX.get(name, name) for name in names):
        folder = work / index
        folder.mkdir()
        arguments = (CONTENDERS[index], data, folder, given.recall)
        built[index] = _built(Contestant("neighbours.processes.build", *arguments, library=library))
        _say(f"{kind}: {index} built in {built[index].seconds:.1f} s")
    # Not before the last is built: they import their libraries at once.
    contestants = {
        name: Contestant(
            "neighbours.processes.answer",
            *(CONTENDERS[name], data, work / SAME_INDEX.get(name, name), given.recall, given.seconds),
            library=library,
        )
        for name in names
    }
    opened = {}
    for name, contestant in contestants.items():
        opened[name] = contestant.turn()
        _say(f"{kind}: {name} answers with {_setting(opened[name])}")
    turns: dict[str, list[Answers]] = {name: [] for name in names}
    for number in range(given.rounds):
        for name, contestant in contestants.items():
            turns[name].append(contestant.turn())
        _say(f"{kind}: {number + 1} of {given.rounds} rounds")
    for contestant in contestants.values():
        contestant.end()
    return {name: summary(built[SAME_INDEX.get(name, name)], opened[name], turns[name]) for name in names}


def _built(builder: Contestant) -> Built:
    """Lets it build; its memory is sampled meanwhile."""
    builder.turn()
    process = psutil.Process(builder.pid)
    before = peak = process.memory_info().rss
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(_SAMPLED_EVERY_SECONDS):
            peak = max(peak, process.memory_info().rss)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        seconds = builder.turn()
    finally:
        done.set()
        watching.join()
    builder.end()
    return Built(seconds, peak - before)


def summary(built: Built, opened: Opened, turns: Sequence[Answers]) -> dict[str, Any]:
    """What a contender came to.

    Args:
        built: Its building.
        opened: Its tuning.
        turns: At least one; the first has the recalls.

    Returns:
        By name; ``batches`` holds recall, QPS and milliseconds of each batch size.
    """
    batches = {}
    for batch in BATCHES:
        pooled = 1000 * np.concatenate([turn.seconds[batch] for turn in turns])
        batches[batch] = {
            "recall": turns[0].recalls[batch],
            "qps": median(turn.queries[batch] / sum(turn.seconds[batch]) for turn in turns),
            "p50_ms": float(np.percentile(pooled, 50)),
            "p99_ms": float(np.percentile(pooled, 99)),
        }
    return {
        "setting": opened.setting,
        "tuned_recall": opened.tuned_recall,
        "batches": batches,
        "build_seconds": built.seconds,
        "build_peak_bytes": built.peak_bytes,
        "memory_bytes": opened.bytes,
    }


def table(kind: str, results: Mapping[str, Any]) -> str:
    """A data set's results and what was wanted, as Markdown."""
    measured = results["sets"][kind]
    lines = [
        f"\n{kind}: {problem.SETS[kind]}; {results['size']:,} x {results['dim']}\n",
        "| | setting | recall | QPS, 1 | p50 | p99 ms | QPS, 256 | p50 | p99 ms | build | peak | memory |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name, found in measured.items():
        batches = found["batches"].values()
        least = min(batch["recall"] for batch in batches)
        cells = [
            f"{batch['qps']:,.0f} | {batch['p50_ms']:,.2f} | {batch['p99_ms']:,.2f}" for batch in batches
        ]
        setting = ", ".join(f"{value:,} {knob}" for knob, value in found["setting"].items())
        if found["tuned_recall"] is not None and found["tuned_recall"] < results["recall"]:
            setting += " (the most tried)"
        lines.append(
            f"| {name} | {setting} | {least:.4f} | {' | '.join(cells)} | "
            f"{found['build_seconds']:,.0f} s | {found['build_peak_bytes'] / 1e9:.2f} GB | "
            f"{found['memory_bytes'] / 1e9:.2f} GB |"
        )
    lines += ["", "| QPS of | over that of | batch | ratio | wanted |", "|---|---|--:|--:|--:|"]
    for ours, other, batch, wanted in WANTED:
        if ours in measured and other in measured:
            rates = [measured[name]["batches"][batch]["qps"] for name in (ours, other)]
            lines.append(f"| {ours} | {other} | {batch} | {rates[0] / rates[1]:.2f} | ≥ {wanted:.2f} |")
    return "\n".join(lines)


def remarks(results: Mapping[str, Any]) -> str:
    """What else a reader should know."""
    lines = [f"\nThreads: each library's default on {results['cores']} cores."]
    if results["load_before"] > IDLE:
        busy = f"load {results['load_before']:.1f} on {results['cores']} cores"
        lines.append(f"PROVISIONAL: other programs were running ({busy}). Measure on an idle machine.")
    if results["not_installed"]:
        wanted = " ".join(sorted(set(results["not_installed"].values())))
        lines.append(
            f"Not measured: {', '.join(results['not_installed'])}, for their libraries are not installed. "
            f"Install them with 'pip install --target FOLDER --no-deps {wanted}', give '--libraries FOLDER'."
        )
    return "\n".join(lines)


def _setting(opened: Opened) -> str:
    said = ", ".join(f"{value:,} {knob}" for knob, value in opened.setting.items()) or "no knob"
    return said if opened.tuned_recall is None else f"{said}, recall {opened.tuned_recall:.4f}"


def _say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
