"""What a run costs whose data are next to nothing, with and without what Beam is made to remember.

    python benchmarks/small_run.py --domain tests/fixtures/tiny --data FOLDER --pairs 3

runs the domain in fresh roots, in turns with and without :mod:`pipeline.beam_internals`, prints the CPU
seconds of each run, and as its last line one JSON object with both medians and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from pipeline.run_process import environment

_ROOT = Path(__file__).parent.parent
_CHILD = """
import sys
from pipeline import beam_internals
if sys.argv.pop(1) == "without":
    beam_internals.remember = lambda: None
from pipeline.local_runner import main
sys.exit(main())
"""


def main() -> None:
    """Runs in turns and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--domain", required=True, help="directory with domain.yaml and its schemas")
    parser.add_argument("--data", type=Path, required=True, help="directory of its files")
    parser.add_argument("--pairs", type=int, default=3, help="runs of each")
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {"with": [], "without": []}
    for _ in range(given.pairs):
        for how, measured in seconds.items():
            measured.append(_run(how, given.domain, given.data))
            print(f"{how}: {measured[-1]:.1f} CPU seconds", flush=True)
    medians = {how: statistics.median(measured) for how, measured in seconds.items()}
    print(json.dumps({**medians, "ratio": medians["with"] / medians["without"]}))


def _run(how: str, domain: str, data: Path) -> float:
    """CPU seconds of one run in a fresh root."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder, Path(os.devnull).open("w") as nowhere:
        shutil.copytree(data, Path(folder) / "data")
        command = [sys.executable, "-c", _CHILD, how, "--domain", domain, "--root", folder]
        command += ["--events-fd", "1", "--parent-pid", str(os.getpid())]
        done = subprocess.run(
            command, env=environment(), cwd=_ROOT, stdout=nowhere, stderr=subprocess.PIPE, check=False
        )
    if done.returncode:
        sys.exit(f"error: the run ended with {done.returncode}:\n{done.stderr.decode()[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
