"""Trains the product's retrieval model on a public split and scores it as published results are scored.

    python benchmarks/retrieval_quality.py --dataset ncf_ml1m

prints one JSON line: data set, metric values, published values, seconds, configuration, seed.
Hyper-parameters are chosen with --choose, which trains without a part of train and scores that part
instead of the test.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
# Before TensorFlow is imported: TFRS needs the Keras of TensorFlow 2.
os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.data_folder import DATA, DATA_HELP
from benchmarks.protocols import PROTOCOLS
from benchmarks.public_splits import trained
from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig

CONFIGURATIONS = Path(__file__).parent / "configurations"


def main() -> None:
    """Trains, scores, prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", choices=[*PROTOCOLS], required=True)
    parser.add_argument("--config", type=Path, help="default: configurations/DATASET.yaml beside this file")
    parser.add_argument("--data", type=Path, default=DATA, help=DATA_HELP)
    parser.add_argument("--seed", type=int, help="default: the configuration's")
    parser.add_argument(
        "--choose", action="store_true", help="score a part kept of train instead of the test"
    )
    parser.add_argument("--set", nargs="*", default=[], metavar="KEY=VALUE", help="change the configuration")
    given = parser.parse_args()
    settings = yaml.safe_load((given.config or CONFIGURATIONS / f"{given.dataset}.yaml").read_text())
    for change in given.set:
        key, _, value = change.partition("=")
        _put(settings, key.split("."), yaml.safe_load(value))
    if given.seed is not None:
        settings["retrieval"]["seed"] = given.seed
    config = RetrievalConfig.model_validate(settings["retrieval"])
    try:
        split = PROTOCOLS[given.dataset](given.data, settings["history_length"], given.choose)
    except UserError as error:
        sys.exit(f"error: {error}")
    start = time.monotonic()
    # Keras writes a line an epoch where the result alone belongs.
    with contextlib.redirect_stdout(sys.stderr):
        model, history = trained(split.inputs, config, exclude_history=split.exclude_history)
    metrics = split.evaluate(model)
    print(
        json.dumps(
            {
                "dataset": given.dataset,
                "scored": "a part of train" if given.choose else "test",
                **{name: round(value, 4) for name, value in metrics.items()},
                "published": split.published,
                "seconds": round(time.monotonic() - start),
                "epochs": len(history["epoch_loss"]),
                "seed": config.seed,
                "configuration": settings,
            }
        )
    )


def _put(settings: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        settings = settings.setdefault(name, {})
    settings[path[-1]] = value


if __name__ == "__main__":
    main()
