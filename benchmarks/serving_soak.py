"""Whether a server loses a request while versions come and go and others ask nonsense.

    python benchmarks/serving_soak.py --run-root runs/movielens --minutes 10 --swaps 50

starts ``westwork serve`` on a copy of the run's newest model and asks it over gRPC and REST from processes
that ask again as soon as they are answered. Meanwhile versions are pushed by rename, each after a damaged one
in its place, and rolled back and forward by reload; and requests are sent that must be refused: of wrong
dtypes and shapes, without an input, with strings of 10 MB, ``k`` of 0, no rows; and odd ones that must be
answered.

It ends with exit code 1 if a good request got anything but an answer, a malformed one anything but
INVALID_ARGUMENT or RESOURCE_EXHAUSTED and a word on why, a version did not come to answer, or memory grew
after the first quarter of the time by more than a tenth (and 64 MB). The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

_MOST_REQUESTS = 1000
_K = 10


def main() -> None:
    """Soaks and judges."""
    given = _arguments()
    # Not above: the generators import this file, and shall stay without TensorFlow.
    from benchmarks.load.requests import requests_of
    from benchmarks.load.served import Served, end_in_order_when_told
    from benchmarks.load.soak import Settings, report, soak

    end_in_order_when_told()
    settings = Settings(60 * given.minutes, given.swaps, given.grpc_callers, given.rest_callers)
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        base_path = Path(folder)
        try:
            source, inputs = requests_of(given.run_root, given.model, _MOST_REQUESTS, _K)
        except FileNotFoundError as error:
            sys.exit(f"error: {error}")
        shutil.copytree(source, base_path / "1")
        with Served(base_path, ["--poll-seconds", "0.2", *given.serve.split()]) as served:
            outcome = soak(
                served.target,
                served.url,
                base_path,
                lambda: served.resident_bytes,
                inputs,
                settings,
                lambda line: print(line, file=sys.stderr, flush=True),
            )
            if not served.runs:
                outcome.violations[f"the server ended:\n{served.log()}"] += 1
    print(report(outcome))
    print(
        json.dumps(
            {
                "minutes": given.minutes,
                "swaps": outcome.swaps,
                "good": {api: measured.answers for api, measured in outcome.good.items()},
                "malformed": dict(outcome.malformed),
                "megabytes_a_minute": 60 * outcome.growth / (1 << 20),
                "violations": dict(outcome.violations),
            }
        )
    )
    sys.exit(1 if outcome.violations else 0)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--run-root", type=Path, help="root of a finished run, such as runs/movielens")
    source.add_argument("--model", type=Path, help="directory of versions, or one version, without its run")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--swaps", type=int, default=50, help="how often another version is to answer")
    parser.add_argument("--grpc-callers", type=int, default=8)
    parser.add_argument("--rest-callers", type=int, default=4)
    parser.add_argument(
        "--work", type=Path, help="folder for the copies; default: the system's temporary one"
    )
    parser.add_argument(
        "--serve", default="", metavar="OPTIONS", help="further options of westwork serve, in one string"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
