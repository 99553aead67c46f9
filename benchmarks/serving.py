"""How fast a served model answers: closed-loop load on ``westwork serve`` from a second process.

    python benchmarks/serving.py --run-root runs/movielens
    python benchmarks/serving.py --run-root runs/movielens --synthetic 1000000 --index ivf
    python benchmarks/serving.py --model DIR --concurrency 32 --api gRPC --seconds 10

For each model, with batching on and off, over gRPC and REST, and for each number of callers: answers a
second, percentiles of the latency that callers see, and what of the processor server and generator took. It
prints one table, one of the server's own overhead, and as its last line one JSON object with all of it.

Requests ask ``recommend`` for one query each: of the run's eval split (``--run-root``), of made-up people
(``--synthetic``), or, for a model without its run (``--model``), its own warm-up requests. They are made
before the load; a caller asks again as soon as it is answered, and none waits in between.

``overhead``: with a single caller, the server's own time of a request (TensorFlow Serving's metric
``request_latency``, from the decoded request to the answer) less what the same requests take in this
process through the same session (``in process``), and the caller's whole time less the same. ``gain``:
answers a second with batching over those without, per number of callers; wanted at 32: at least 3.

Server and generator share the machine, as a service and its clients do not: on two cores every millisecond
that the generator computes is one that the server lacks. Both are in the table.

The synthetic model is built by the Assembler's own code from an untrained recommender whose catalogue has
clustered vectors; it stays in ``--cache`` (a few minutes the first time, about 5 GB of memory at a million).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from benchmarks.load.generator import Api, Generator, Measured, Plan

if TYPE_CHECKING:
    import numpy as np

    from benchmarks.load.served import Served
    from serving.loaded_model import LoadedModel

GAIN_AT, GAIN_WANTED = 32, 3.0
APIS: tuple[Api, ...] = ("gRPC", "REST")
_MOST_REQUESTS = 1000
_IN_PROCESS_SECONDS = 3.0
_WARM_SECONDS = 1.0
_WARM_REQUESTS = 50


@dataclass(frozen=True)
class Model:
    """What is asked, and with what.

    Attributes:
        name: For the table.
        base_path: Directory of its versions.
        inputs: One request each.
        in_process: Milliseconds of a request's run in this process, mean.
        in_process_cpu: Milliseconds of processor of the same.
    """

    name: str
    base_path: Path
    inputs: Sequence[dict[str, np.ndarray]]
    in_process: float
    in_process_cpu: float


@dataclass(frozen=True)
class Point:
    """One load's result; times in milliseconds, processor time a request."""

    model: str
    api: str
    batching: bool
    concurrency: int
    qps: float
    p50: float
    p99: float
    p999: float
    server_ms: float
    server_cpu_ms: float
    generator_cpu_ms: float
    rows_a_run: float
    failures: dict[str, int]


def main() -> None:
    """Measures and prints."""
    given = _arguments()
    # Not above: the generator imports this file, and shall stay without TensorFlow.
    from benchmarks.load.served import end_in_order_when_told

    end_in_order_when_told()
    try:
        models = _models(given)
    except (FileNotFoundError, RuntimeError) as error:
        sys.exit(f"error: {error}")
    points = list(_points(models, given))
    result = summary(models, points)
    print(_table(points), _overhead_table(result), _gain_line(result), sep="\n\n")
    print(json.dumps({**result, "cores": os.cpu_count(), "seconds_a_point": given.seconds}))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run-root", type=Path, help="root of a finished run, such as runs/movielens")
    parser.add_argument("--model", type=Path, help="directory of versions, or one version, without its run")
    parser.add_argument(
        "--synthetic", type=int, metavar="ITEMS", help="a made-up model of so many candidates"
    )
    parser.add_argument(
        "--index", choices=("scann", "ivf", "exact"), default="ivf", help="of the synthetic model"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("runs/benchmarks"),
        help="where synthetic models stay; default: runs/benchmarks",
    )
    parser.add_argument(
        "--concurrency", type=int, nargs="+", default=[1, 8, 32, 128], help="numbers of callers"
    )
    parser.add_argument("--api", choices=APIS, nargs="+", default=list(APIS))
    parser.add_argument("--batching", choices=("on", "off"), nargs="+", default=["off", "on"])
    parser.add_argument("--batch-size", type=int, default=32, help="of batching, when it is on")
    parser.add_argument("--batch-timeout-ms", type=float, default=0.0, help="likewise")
    parser.add_argument(
        "--seconds", type=float, default=5.0, help="of each load; a second of warm-up comes before it"
    )
    parser.add_argument("--k", type=int, default=10, help="candidates a request asks for")
    parser.add_argument(
        "--serve", default="", metavar="OPTIONS", help="further options of westwork serve, in one string"
    )
    given = parser.parse_args()
    if not (given.run_root or given.model or given.synthetic):
        parser.error("nothing to ask: give --run-root, --model or --synthetic")
    return given


def _models(given: argparse.Namespace) -> list[Model]:
    from benchmarks.load.requests import (
        SIGNATURE,
        inputs_of_queries,
        inputs_of_run,
        inputs_of_warmup,
        newest_model,
    )

    models = []
    if given.run_root:
        base_path = given.run_root / "serving"
        with newest_model(base_path) as model:
            signature = model.signature(SIGNATURE)
            inputs = inputs_of_run(given.run_root, signature, _MOST_REQUESTS, given.k)
            models.append(_timed(given.run_root.name, base_path, model, inputs))
    if given.model:
        with newest_model(given.model) as model:
            models.append(_timed(given.model.name, given.model, model, inputs_of_warmup(model)))
    if given.synthetic:
        # Not above: it brings Beam and TFX.
        from benchmarks.load.synthetic import queries, save_synthetic

        base_path = save_synthetic(given.cache, given.synthetic, given.index)
        with newest_model(base_path) as model:
            asked = queries(given.synthetic, _MOST_REQUESTS)
            inputs = inputs_of_queries(asked, model.signature(SIGNATURE), given.k)
            models.append(_timed(f"{given.synthetic:,} made up, {given.index}", base_path, model, inputs))
    return models


def _timed(name: str, base_path: Path, model: LoadedModel, inputs: Sequence[dict[str, np.ndarray]]) -> Model:
    """Times the requests one after the other, for some seconds after each was run once."""
    from benchmarks.load.requests import SIGNATURE

    signature = model.signature(SIGNATURE)
    outputs = tuple(signature.outputs)
    for one in inputs[:_WARM_REQUESTS]:
        model.run(signature, one, outputs)
    runs, began, cpu = 0, time.perf_counter(), time.process_time()
    while (seconds := time.perf_counter() - began) < _IN_PROCESS_SECONDS:
        model.run(signature, inputs[runs % len(inputs)], outputs)
        runs += 1
    cpu = time.process_time() - cpu
    _say(f"{name}: {1000 * seconds / runs:.2f} ms a request in this process")
    return Model(name, base_path, inputs, 1000 * seconds / runs, 1000 * cpu / runs)


def _points(models: Sequence[Model], given: argparse.Namespace) -> Iterator[Point]:
    """All loads, each told when it is done."""
    from benchmarks.load.requests import as_grpc, as_json
    from benchmarks.load.served import Served

    batching = ["--batch-size", str(given.batch_size), "--batch-timeout-ms", str(given.batch_timeout_ms)]
    # Without batching a run for each core is the faster, with it one less: each is given what suits it.
    options = {"on": batching, "off": ["--batch-size", "1", "--concurrency", str(os.cpu_count())]}
    loads = len(models) * len(given.batching) * len(given.api) * len(given.concurrency)
    _say(f"{loads} loads, about {loads * (given.seconds + _WARM_SECONDS) / 60:.1f} minutes in all")
    generator = Generator()
    try:
        for model in models:
            requests = {"gRPC": as_grpc(model.inputs), "REST": as_json(model.inputs)}
            for switch in given.batching:
                with Served(model.base_path, [*options[switch], *given.serve.split()]) as served:
                    addresses = {"gRPC": served.target, "REST": f"{served.url}:predict"}
                    for api in given.api:
                        for concurrency in given.concurrency:
                            plan = Plan(
                                api, addresses[api], requests[api], concurrency, given.seconds, _WARM_SECONDS
                            )
                            point = _point(model, served, generator, plan, switch == "on")
                            _say(_in_words(point))
                            yield point
    finally:
        generator.end()


def _point(model: Model, served: Served, generator: Generator, plan: Plan, batching: bool) -> Point:
    before = _counted(served, plan.api)
    measured: Measured = generator.run(plan)
    after = _counted(served, plan.api)
    cpu, seconds, requests, runs, rows = (b - a for a, b in zip(before, after, strict=True))
    return Point(
        model=model.name,
        api=plan.api,
        batching=batching,
        concurrency=plan.concurrency,
        qps=measured.rate,
        p50=measured.milliseconds(50),
        p99=measured.milliseconds(99),
        p999=measured.milliseconds(99.9),
        # These five are of the warm-up, too.
        server_ms=seconds / max(requests, 1) / 1000,
        server_cpu_ms=1000 * cpu / max(requests, 1),
        rows_a_run=rows / max(runs, 1),
        generator_cpu_ms=1000 * measured.cpu_seconds / max(measured.answers, 1),
        failures=measured.failures,
    )


def _counted(served: Served, api: Api) -> tuple[float, ...]:
    """Seconds of processor, microseconds of requests and their number, runs and their rows."""
    latency, size = (
        ":tensorflow:serving:request_latency",
        ":tensorflow:serving:batching_session:processed_batch_size",
    )
    entrypoint = {"entrypoint": "GRPC" if api == "gRPC" else "REST"}
    return (
        served.cpu_seconds,
        served.metric(f"{latency}_sum", **entrypoint),
        served.metric(f"{latency}_count", **entrypoint),
        served.metric(f"{size}_count"),
        served.metric(f"{size}_sum"),
    )


def summary(models: Sequence[Model], points: Sequence[Point]) -> dict[str, Any]:
    """What the last line says.

    Args:
        models: Those asked.
        points: The loads' results.

    Returns:
        ``points``; ``overhead``, one entry a model and API that was asked by a single caller; ``gain``, one
        a model, API and number of callers that was asked both ways.
    """
    overhead = [
        {
            "model": model.name,
            "api": point.api,
            "in_process_ms": model.in_process,
            "in_process_cpu_ms": model.in_process_cpu,
            "server_ms": point.server_ms,
            "server_overhead_ms": point.server_ms - model.in_process,
            "caller_ms": point.p50,
            "caller_overhead_ms": point.p50 - model.in_process,
            "server_cpu_overhead_ms": point.server_cpu_ms - model.in_process_cpu,
        }
        for model in models
        for point in points
        if (point.model, point.concurrency, point.batching) == (model.name, 1, False)
    ]
    rates = {(p.model, p.api, p.concurrency, p.batching): p.qps for p in points}
    gain = [
        {
            "model": model,
            "api": api,
            "concurrency": concurrency,
            "gain": rate / rates[model, api, concurrency, False],
        }
        for (model, api, concurrency, batching), rate in rates.items()
        if batching and rates.get((model, api, concurrency, False))
    ]
    return {"points": [asdict(point) for point in points], "overhead": overhead, "gain": gain}


def _in_words(point: Point) -> str:
    return (
        f"{point.model}, {point.api}, batching {_switch(point.batching)}, {point.concurrency} callers: "
        f"{point.qps:,.0f} answers/s, p50 {point.p50:.1f} ms"
        + (f", FAILED: {point.failures}" if point.failures else "")
    )


def _table(points: Sequence[Point]) -> str:
    columns = {
        "model": lambda p: p.model,
        "API": lambda p: p.api,
        "batching": lambda p: _switch(p.batching),
        "callers": lambda p: str(p.concurrency),
        "answers/s": lambda p: f"{p.qps:,.0f}",
        "p50 ms": lambda p: f"{p.p50:.1f}",
        "p99 ms": lambda p: f"{p.p99:.1f}",
        "p99.9 ms": lambda p: f"{p.p999:.1f}",
        "rows a run": lambda p: f"{p.rows_a_run:.1f}",
        "server's CPU ms": lambda p: f"{p.server_cpu_ms:.2f}",
        "generator's": lambda p: f"{p.generator_cpu_ms:.2f}",
        "failed": lambda p: str(sum(p.failures.values())),
    }
    return _markdown(list(columns), 3, [[show(point) for show in columns.values()] for point in points])


def _overhead_table(result: dict[str, Any]) -> str:
    columns = {
        "in process ms": "in_process_ms",
        "server ms": "server_ms",
        "its overhead ms": "server_overhead_ms",
        "caller p50 ms": "caller_ms",
        "overhead ms": "caller_overhead_ms",
        "CPU overhead ms": "server_cpu_overhead_ms",
    }
    rows = [
        [entry["model"], entry["api"], *(f"{entry[key]:.2f}" for key in columns.values())]
        for entry in result["overhead"]
    ]
    return _markdown(["model", "API", *columns], 2, rows)


def _markdown(names: Sequence[str], texts: int, rows: Sequence[Sequence[str]]) -> str:
    """A table whose first columns, so many, are text and the others numbers."""
    lines = [names, ["---"] * texts + ["--:"] * (len(names) - texts), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _gain_line(result: dict[str, Any]) -> str:
    gains = [
        f"{gain['model']}, {gain['api']}: {gain['gain']:.2f}"
        for gain in result["gain"]
        if gain["concurrency"] == GAIN_AT
    ]
    return (
        f"answers/s with batching over without, {GAIN_AT} callers (wanted {GAIN_WANTED:g}): "
        f"{'; '.join(gains) or 'not measured'}"
    )


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
