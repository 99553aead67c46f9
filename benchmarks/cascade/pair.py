"""The process that trains and measures one variant of the cascade with one seed."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))
# Before TensorFlow is imported: TFRS needs the Keras of TensorFlow 2.
os.environ["TF_USE_LEGACY_KERAS"] = "1"

from tfx.utils import path_utils

from benchmarks.cascade.results import Evaluated, Latency, Measured
from components.evaluate.results import (
    EVALUATED,
    EVALUATED_NEW,
    EVALUATED_POSITIVES,
    EVALUATED_RANKED,
)
from pipeline.domain import Domain, load_domain
from pipeline.live_view import Progress
from pipeline.local_runner import Send, run_as_child
from pipeline.outcome import EVALUATORS, overall_metrics
from pipeline.partial_run import run_up_to
from pipeline.run_events import Event
from pipeline.run_process import add_child_arguments

_IN_TURNS = Path(__file__).with_name("in_turns.py")
_COUNTS = {
    "interactions": EVALUATED,
    "positives": EVALUATED_POSITIVES,
    "new": EVALUATED_NEW,
    "ranked": EVALUATED_RANKED,
}


def measure(domain: Domain, root: Path, split: str, ranker: Path | None, rounds: int, send: Send) -> Measured:
    """Trains what no earlier pair has trained, evaluates, and asks for the latency.

    Args:
        domain: With the variant's settings and the seed.
        root: Root of the data set's runs; holds the data already.
        split: What to evaluate on.
        ranker: The model of the cascade as it is with the same seed; None where this is that one.
        rounds: How many queries are timed.
        send: Called for each event.
    """
    progress = Progress()

    def follow(event: Event) -> None:
        progress.take(event)
        send(event)

    outputs = run_up_to([EVALUATORS[split]], domain, root, follow)
    (evaluation,) = outputs[EVALUATORS[split]]["evaluation"]
    (assembled,) = outputs["Assembler"]["model"]
    model = Path(path_utils.serving_model_path(assembled.uri))
    metrics = overall_metrics(evaluation.uri)
    return Measured(
        evaluated=Evaluated(**{field: int(metrics.get(name) or 0) for field, name in _COUNTS.items()}),
        metrics=metrics,
        latency=_latency(domain, model, ranker or model, rounds),
        seconds=progress.seconds_by_step(),
        model=str(model),
    )


def _latency(domain: Domain, model: Path, ranker: Path, rounds: int) -> Latency:
    command = [sys.executable, "-P", str(_IN_TURNS), "--model", str(model), "--ranker", str(ranker)]
    command += ["--history", str(domain.history.length), "--rounds", str(rounds)]
    command += ["--with-history"] if domain.evaluation.repeats else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return Latency.model_validate_json(done.stdout.splitlines()[-1])


def main(argv: Sequence[str] | None = None) -> int:
    """Measures a pair, and writes what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--domain", required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="overrides")
    parser.add_argument("--split", choices=[*EVALUATORS], required=True)
    parser.add_argument("--ranker", type=Path)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--measured", type=Path, required=True)
    add_child_arguments(parser)
    given = parser.parse_args(argv)

    def run(send: Send) -> None:
        domain = load_domain(given.domain, given.overrides)
        measured = measure(domain, given.root, given.split, given.ranker, given.rounds, send)
        given.measured.write_text(measured.model_dump_json())

    return run_as_child(given, run)


if __name__ == "__main__":
    sys.exit(main())
