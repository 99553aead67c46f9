"""How soon retrieval training is good enough, beside the TFRS tutorials' way and beside PyTorch.

    python benchmarks/training_speed.py --torch FOLDER

prints a table and, as its last line, one JSON object with three ratios, all of one run:

* ``time_to_quality``: seconds in which the product's trainer reaches the best validation recall of the
  tutorials' way, over the seconds that one takes to it; at the same dimension, wanted: at most 1/5. The
  same with validations left out of both is beside it.
* ``examples_per_second``: those of the product's trainer over those of an equivalent PyTorch model, for
  each of the batches compared: same model, loss, negatives, optimiser and batch (see ``EqualBatch``);
  wanted: at least 1 for all of them.
* ``validation_share``: of the product's training seconds, what validation takes; wanted: at most 0.1.

The data are a public split without a part of *train* (as hyper-parameters are chosen, see
``benchmarks/protocols.py``), of which ``validation_queries`` interactions, the same for both, are validated
on after every epoch. Recall is the share of them whose item is among the 100 best of the whole catalogue
for its user; items of train are left in, since ``FactorizedTopK`` cannot leave them out. The product counts
by rank and ``FactorizedTopK`` by score. The product is given integers, as its Transform step leaves them,
and the histories that its configuration uses; the tutorials' way is given strings, that is its point, and
trains until its recall has not risen for ``--patience`` epochs. A training's seconds begin before the model
is made and hold the tracing of its graph.

Each contestant is a process of its own that sleeps while another has its turn, and all of them take turns:
after an epoch of the tutorials' way comes a whole training of the product, and epochs of PyTorch and the
product alternate. Of repeated measurements the median counts; a first epoch, which warms up, does not.

PyTorch is not among the project's requirements. Without it the second ratio is reported as not measured;
to have it: ``pip install --target FOLDER torch`` with any pip of the same Python version.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from importlib.machinery import PathFinder
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))

# TFRS wants Keras 2; before TensorFlow is imported here or by a contestant.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.data_folder import DATA, DATA_HELP
from benchmarks.speed.pairs import EqualBatch, Pairs
from benchmarks.speed.turns import Contestant, Epoch
from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig

CONFIGURATIONS = Path(__file__).parent / "configurations" / "training_speed"
FLOORS = {"time_to_quality": 0.2, "examples_per_second": 1.0, "validation_share": 0.1}
BATCHES = {
    "512 uniform negatives, batch 512": {"batch": 512, "in_batch": False, "uniform": 512},
    "in-batch negatives, batch 1024": {"batch": 1024, "in_batch": True, "uniform": 0},
}
IDLE = 0.7
"""The load up to which a machine counts as idle."""
HOW_TO_INSTALL = "Install it with 'pip install --target FOLDER torch' and give '--torch FOLDER'"


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    datasets = sorted(path.stem for path in CONFIGURATIONS.glob("*.yaml"))
    parser.add_argument("--dataset", choices=datasets, default="ncf_ml1m")
    parser.add_argument("--data", type=Path, default=DATA, help=DATA_HELP)
    parser.add_argument(
        "--config", type=Path, help="default: configurations/training_speed/DATASET.yaml beside this file"
    )
    parser.add_argument("--epochs", type=int, default=10, help="of the tutorials' way, at most")
    parser.add_argument("--patience", type=int, default=2, help="of the tutorials' way, in epochs")
    parser.add_argument("--repeats", type=int, default=5, help="of every other measurement")
    parser.add_argument(
        "--interactions", type=int, default=200_000, help="in an epoch at equal batch, at most"
    )
    parser.add_argument(
        "--batch", choices=list(BATCHES), action="append", help="which to compare; default: all of them"
    )
    parser.add_argument("--torch", type=Path, help="folder that holds PyTorch; default: where imports look")
    given = parser.parse_args()
    settings = yaml.safe_load((given.config or CONFIGURATIONS / f"{given.dataset}.yaml").read_text())
    config = RetrievalConfig.model_validate(settings["retrieval"])
    load = os.getloadavg()[0]
    try:
        pairs = _pairs(given, config)
    except UserError as error:
        sys.exit(f"error: {error}")
    curve, trainings = _trainings(given, settings["history_length"], config, pairs)
    rates = _examples_per_second(given, _spread(pairs, given.interactions), config.dim)
    result = {
        "dataset": given.dataset,
        **summary(curve, trainings, rates),
        "dim": config.dim,
        "repeats": given.repeats,
        "cores": os.cpu_count(),
        "load_before": load,
        "configuration": settings,
    }
    _print_table(result)
    print(json.dumps(result))


def _pairs(given: argparse.Namespace, config: RetrievalConfig) -> Pairs:
    """The split; held out is what the product's trainer validates on."""
    # Not above: TensorFlow would also be where PyTorch runs, since a contestant imports this file.
    from benchmarks.protocols import PROTOCOLS
    from benchmarks.public_splits import USER
    from components.transform.interaction_dataset import CANDIDATE_ROW

    inputs = PROTOCOLS[given.dataset](given.data, 1, True).inputs
    columns = [
        interactions.column(name).numpy().astype(np.int64)
        for interactions in (inputs.train, inputs.validation.positives().spread(config.validation_queries))
        for name in (USER, CANDIDATE_ROW)
    ]
    # The last of the numbers a user can have is for unknown ones.
    return Pairs(*columns, user_count=inputs.query_id[1] - 1, item_count=len(inputs.table))


def _spread(pairs: Pairs, most: int) -> Pairs:
    """The same with at most so many interactions to train on, evenly spaced."""
    count = len(pairs.users)
    places = np.arange(min(most, count)) * count // min(most, count)
    return replace(pairs, users=pairs.users[places], items=pairs.items[places])


def _trainings(
    given: argparse.Namespace, history_length: int, config: RetrievalConfig, pairs: Pairs
) -> tuple[list[Epoch], list[list[Epoch]]]:
    """The tutorials' epochs until recall stops rising, and the product's trainings."""
    tutorial = Contestant("speed.tutorial.epochs", pairs, config.dim, given.epochs)
    ours = Contestant("speed.ours.trainings", given.dataset, given.data, history_length, config)
    curve: list[Epoch] = []
    trainings: list[list[Epoch]] = []
    rising = True
    while rising or len(trainings) < given.repeats:
        if rising:
            curve.append(tutorial.turn())
            _say(f"tutorial, epoch {len(curve)}", curve[-1])
            best = max(range(len(curve)), key=lambda epoch: curve[epoch].recall)
            rising = len(curve) < given.epochs and len(curve) - 1 - best < given.patience
        if len(trainings) < given.repeats:
            trainings.append(ours.turn())
            _say(f"ours, training {len(trainings)}", trainings[-1][-1])
    for contestant in (tutorial, ours):
        contestant.end()
    return curve, trainings


def _say(what: str, epoch: Epoch) -> None:
    print(
        f"{what}: recall@100 {epoch.recall:.4f} after {epoch.seconds:.1f} s, "
        f"{epoch.validation_seconds:.1f} s of them validation",
        file=sys.stderr,
        flush=True,
    )


def _examples_per_second(
    given: argparse.Namespace, pairs: Pairs, dim: int
) -> dict[str, dict[str, list[float]]]:
    """Examples a second by batch and contestant; PyTorch is left out where it is missing."""
    rates = {}
    for name in given.batch or BATCHES:
        equal = EqualBatch(dim=dim, **BATCHES[name])
        # The first epoch warms up.
        contestants = {"ours": Contestant("speed.ours.examples_per_second", pairs, equal, given.repeats + 1)}
        if _torch_found(given.torch):
            contestants["pytorch"] = Contestant(
                "speed.pytorch.examples_per_second", pairs, equal, library=given.torch and str(given.torch)
            )
        measured = [{who: each.turn() for who, each in contestants.items()} for _ in range(given.repeats + 1)]
        rates[name] = {who: [turn[who] for turn in measured[1:]] for who in contestants}
        for contestant in contestants.values():
            contestant.end()
    return rates


def _torch_found(folder: Path | None) -> bool:
    return PathFinder.find_spec("torch", [str(folder)] if folder else None) is not None


def summary(
    curve: list[Epoch], trainings: list[list[Epoch]], rates: Mapping[str, Mapping[str, Sequence[float]]]
) -> dict[str, Any]:
    """The ratios and what they are made of.

    Args:
        curve: The tutorials' epochs.
        trainings: The product's trainings, epoch by epoch.
        rates: Examples a second by batch and contestant, ``ours`` and perhaps ``pytorch``.

    Returns:
        By name; a ratio is None where something was not measured or the tutorials' recall not always reached.
    """
    best = max(curve, key=lambda epoch: epoch.recall)
    reached = [epoch for epochs in trainings if (epoch := _first(epochs, best.recall))]
    seconds, training_seconds = {"tutorial": best.seconds}, {"tutorial": best.training_seconds}
    if len(reached) == len(trainings):
        seconds["ours"] = median(epoch.seconds for epoch in reached)
        training_seconds["ours"] = median(epoch.training_seconds for epoch in reached)
    medians = {name: {who: median(each) for who, each in rate.items()} for name, rate in rates.items()}
    return {
        "time_to_quality": _ratio(seconds, "tutorial"),
        "time_to_quality_without_validation": _ratio(training_seconds, "tutorial"),
        "examples_per_second": {name: _ratio(rate, "pytorch") for name, rate in medians.items()},
        "validation_share": median(
            epochs[-1].validation_seconds / epochs[-1].seconds for epochs in trainings
        ),
        "measured": {
            "recall@100": {
                "tutorial": best.recall,
                "ours": median(max(epoch.recall for epoch in epochs) for epochs in trainings),
            },
            "seconds": seconds,
            "training_seconds": training_seconds,
            "examples_per_second": medians,
            "epochs": {
                "tutorial": [asdict(epoch) for epoch in curve],
                "ours": [[asdict(epoch) for epoch in epochs] for epochs in trainings],
            },
        },
    }


def _first(epochs: list[Epoch], recall: float) -> Epoch | None:
    """The first epoch as good as that."""
    return next((epoch for epoch in epochs if epoch.recall >= recall), None)


def _ratio(of: Mapping[str, float], other: str) -> float | None:
    """Ours over the other's, None where one of them is missing."""
    return of["ours"] / of[other] if {"ours", other} <= {*of} else None


def _print_table(result: Mapping[str, Any]) -> None:
    measured = result["measured"]
    recalls, seconds, training = (measured[key] for key in ("recall@100", "seconds", "training_seconds"))
    print(f"{result['dataset']}, dimension {result['dim']}\n")
    print("| | ours | other | ratio | wanted |")
    print("|---|--:|--:|--:|--:|")
    for name, values, key in (
        (f"seconds to the tutorial's recall@100, {recalls['tutorial']:.4f}", seconds, "time_to_quality"),
        ("the same without validations", training, "time_to_quality_without_validation"),
    ):
        wanted = f"≤ {FLOORS[key]}" if key in FLOORS else ""
        _print_row(name, values, "tutorial", ".1f", result[key], wanted)
    for name, rate in measured["examples_per_second"].items():
        wanted = f"≥ {FLOORS['examples_per_second']}"
        _print_row(
            f"examples/s, {name}", rate, "pytorch", ",.0f", result["examples_per_second"][name], wanted
        )
    share, wanted = result["validation_share"], f"≤ {FLOORS['validation_share']:.0%}"
    print(f"| share of training spent in validation | {share:.1%} | | | {wanted} |")
    print(f"\nOur best recall@100: {recalls['ours']:.4f}. Medians of {result['repeats']}.")
    if result["load_before"] > IDLE:
        busy = f"load {result['load_before']:.1f} on {result['cores']} cores"
        print(f"PROVISIONAL: other programs were running ({busy}). Measure on an idle machine.")
    if None in result["examples_per_second"].values():
        print(f"PyTorch is not measured: there is none. {HOW_TO_INSTALL}.")


def _print_row(
    name: str, values: Mapping[str, float], other: str, form: str, ratio: float | None, wanted: str
) -> None:
    cells = [format(values[who], form) if who in values else "–" for who in ("ours", other)]
    print(f"| {name} | {' | '.join(cells)} | {'–' if ratio is None else f'{ratio:.3f}'} | {wanted} |")


if __name__ == "__main__":
    main()
