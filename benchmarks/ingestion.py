"""Ingestion at scale: Westwork's, with histories and the split by time, beside TFX' CsvExampleGen.

Makes event logs of the sizes asked for (200,000 users, 50,000 items, both Zipf-distributed; CSV with user,
item, second and a rating of 1 to 5), ingests each in a process of its own with Beam's local runner, and
prints a table: seconds, events a second, peak memory of the process and its workers, bytes written. All
in one run, since a machine's speed varies from one to the next.

    python benchmarks/ingestion.py --rows 1000000 5000000 20000000
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.csv as pa_csv

# Before this folder, which has a serving.py of its own.
sys.path.insert(0, str(Path(__file__).parent.parent))

USERS, ITEMS = 200_000, 50_000
HISTORY = 50
SECONDS_OF_A_YEAR = 365 * 86_400
FIRST_SECOND = 1_700_000_000
CHUNK = 1 << 20
SAMPLED_EVERY_SECONDS = 0.2


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000])
    parser.add_argument("--csv-example-gen-rows", type=int, default=1_000_000, help="0 leaves it out")
    parser.add_argument("--work", type=Path, help="directory for the data; a temporary one if not given")
    parser.add_argument("--json", action="store_true", help="print one JSON object a measurement instead")
    parser.add_argument("--measure", choices=[*_MEASURED], help=argparse.SUPPRESS)
    parser.add_argument("--data", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(_MEASURED[given.measure](given.data)))
        return
    if given.work:
        given.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=given.work) as work:
        results = []
        if given.csv_example_gen_rows:
            results.append(_measure("CsvExampleGen", given.csv_example_gen_rows, Path(work)))
        results += [_measure("InteractionGen", rows, Path(work)) for rows in given.rows]
    if given.json:
        for result in results:
            print(json.dumps(result))
    else:
        _print_table(results)


def make_log(rows: int, directory: Path, seed: int = 7) -> None:
    """Writes ``interactions.csv`` and ``candidates.csv``.

    Args:
        rows: How many interactions.
        directory: Where to.
        seed: Of the random generator.
    """
    generator = np.random.default_rng(seed)
    names = ("user_id", "item_id", "timestamp", "rating")
    user_names, item_names = generator.permutation(USERS), generator.permutation(ITEMS)
    with pa_csv.CSVWriter(
        directory / "interactions.csv", pa.schema([(name, pa.int64()) for name in names])
    ) as log:
        for start in range(0, rows, CHUNK):
            count = min(CHUNK, rows - start)
            columns = (
                user_names[_zipf(generator, USERS, count)],
                item_names[_zipf(generator, ITEMS, count)],
                FIRST_SECOND + generator.integers(0, SECONDS_OF_A_YEAR, count),
                generator.integers(1, 6, count),
            )
            log.write_table(pa.table(columns, names=names))
    pa_csv.write_csv(pa.table({"item_id": np.arange(ITEMS)}), directory / "candidates.csv")


def _zipf(generator: np.random.Generator, kinds: int, count: int) -> np.ndarray:
    """[count] ranks from 0 below ``kinds``; the probability of a rank is proportional to 1 / (rank + 1)."""
    cumulative = np.cumsum(1 / np.arange(1, kinds + 1))
    return np.searchsorted(cumulative, generator.random(count) * cumulative[-1]).clip(0, kinds - 1)


def _measure(what: str, rows: int, work: Path) -> dict[str, Any]:
    """Makes a log, ingests it in a process of its own and watches that process' memory."""
    data = work / "data"
    shutil.rmtree(work, ignore_errors=True)
    data.mkdir(parents=True)
    print(f"{what}: making {rows:,} interactions", file=sys.stderr, flush=True)
    make_log(rows, data)
    print(f"{what}: ingesting them", file=sys.stderr, flush=True)
    command = [sys.executable, __file__, "--measure", what, "--data", str(data)]
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as child:
        peak = _PeakMemory(child.pid)
        output, errors = child.communicate()
    if child.returncode:
        sys.exit(f"{what} on {rows:,} rows failed:\n{errors[-3000:]}")
    result = json.loads(output.strip().splitlines()[-1])
    return {
        "what": what,
        "rows": rows,
        **result,
        "events_per_second": rows / result["seconds"],
        "peak_bytes": peak.bytes,
        "input_bytes": (data / "interactions.csv").stat().st_size,
    }


class _PeakMemory:
    """Watches the memory of a process and its descendants; shared pages are counted once (PSS).

    Attributes:
        bytes: The greatest sum seen so far.
    """

    def __init__(self, pid: int):
        self.bytes = 0
        self._pid = pid
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        try:
            root = psutil.Process(self._pid)
            while root.is_running():
                total = 0
                for process in [root, *root.children(recursive=True)]:
                    try:
                        total += process.memory_full_info().pss
                    except psutil.Error:
                        continue
                self.bytes = max(self.bytes, total)
                time.sleep(SAMPLED_EVERY_SECONDS)
        except psutil.Error:
            return


def _ingest_with_westwork(data: Path) -> dict[str, Any]:
    from components.ingest.declaration import Declaration
    from components.ingest.interactions import Executor
    from components.ingest.nodes import interaction_gen

    declaration = Declaration.model_validate(
        {
            "interactions": {
                "sources": [{"files": "interactions.csv"}],
                "query_id": "user_id",
                "candidate_id": "item_id",
                "timestamp": {"column": "timestamp"},
                "rating": {"column": "rating", "minimum": 1, "maximum": 5, "positive_from": 4},
            },
            "candidates": {"files": "candidates.csv", "id": "item_id"},
            "history": {"length": HISTORY},
        }
    )
    return _run(Executor, interaction_gen(declaration, str(data)), data)


def _ingest_with_csv_example_gen(data: Path) -> dict[str, Any]:
    from tfx.components import CsvExampleGen
    from tfx.components.example_gen.csv_example_gen.executor import Executor

    # It reads every CSV file of its directory.
    (data / "candidates.csv").unlink()
    return _run(Executor, CsvExampleGen(str(data)), data)


def _run(executor: Any, node: Any, data: Path) -> dict[str, Any]:
    """Runs a node's executor, as TFX does after the driver; imports are not timed."""
    from tfx.types import standard_artifacts

    from pipeline.graph import LOCAL_BEAM_ARGS

    examples = standard_artifacts.Examples()
    uri = data.parent / "examples"
    uri.mkdir()
    examples.uri = str(uri)
    context = executor.Context(
        beam_pipeline_args=list(LOCAL_BEAM_ARGS), tmp_dir=str(data.parent / "tmp"), unique_id="1"
    )
    started = time.monotonic()
    executor(context).Do({}, {"examples": [examples]}, dict(node.exec_properties))
    seconds = time.monotonic() - started
    size = sum(file.stat().st_size for file in uri.rglob("*.gz"))
    return {"seconds": seconds, "written_bytes": size}


_MEASURED = {"InteractionGen": _ingest_with_westwork, "CsvExampleGen": _ingest_with_csv_example_gen}


def _print_table(results: list[dict[str, Any]]) -> None:
    reference = next((result for result in results if result["what"] == "CsvExampleGen"), None)
    print("| step | interactions | seconds | events/s | × CsvExampleGen | peak memory | written |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for result in results:
        ratio = result["events_per_second"] / reference["events_per_second"] if reference else float("nan")
        print(
            f"| {result['what']} | {result['rows']:,} | {result['seconds']:.1f} | "
            f"{result['events_per_second']:,.0f} | {ratio:.1f} | {result['peak_bytes'] / 1e9:.2f} GB | "
            f"{result['written_bytes'] / 1e6:,.0f} MB |"
        )


if __name__ == "__main__":
    main()
