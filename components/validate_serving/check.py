"""Puts a candidate model on the embedded server and asks it what its users will ask."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.assemble.op_census import read_meta_graph, take_census
from components.ingest.errors import UserError
from components.validate_serving.answers import complaints
from components.validate_serving.config import ServingConfig
from components.validate_serving.server_process import ServerFailed, ServerProcess
from components.validate_serving.target import why_not_loaded
from components.validate_serving.verdict import Latency, ServingVerdict
from serving.client import Recommender
from serving.errors import ModelError, RequestError
from serving.loaded_model import DEFAULT_SIGNATURE
from serving.model_files import ModelFiles
from serving.warmup import recorded_requests

_CALL_SECONDS = 30.0
_ROUNDS = 100
_MEASURED_SECONDS = 2.0
_MOST_REASONS = 5


class NotServable(Exception):
    """What was found that speaks against serving the model."""


@dataclass(frozen=True)
class RecordedRequest:
    """One of the requests beside a model.

    Attributes:
        signature: Its name.
        inputs: By name; strings as object arrays of bytes.
    """

    signature: str
    inputs: Mapping[str, np.ndarray]

    def __str__(self) -> str:
        rows = max((len(array) for array in self.inputs.values() if array.ndim), default=0)
        return f"{self.signature} of {rows} {'row' if rows == 1 else 'rows'}"


def check_model(path: Path, config: ServingConfig) -> ServingVerdict:
    """Finds out whether a model can be served.

    First its ops are held against those of the target. Then the embedded server is started on it in a
    process of its own; each recorded request is sent over gRPC, and its answer examined
    (:func:`components.validate_serving.answers.complaints`); at last the requests are repeated, 100 times
    or for two seconds, and the slowest of them is held against the latencies declared. No wait is longer
    than the time-out and one call's half a minute, and the process is ended in any case.

    Args:
        path: The SavedModel's directory, on this machine.
        config: The ``serving`` section.
    """
    try:
        refused = why_not_loaded(take_census(read_meta_graph(str(path))), config.target)
        if refused:
            raise NotServable(refused)
        latencies = _ask(path, config)
    except (NotServable, ServerFailed, ModelError, UserError) as error:
        return ServingVerdict(target=config.target, reasons=(str(error),))
    return ServingVerdict(
        target=config.target, reasons=tuple(_too_slow(latencies, config)), latencies=latencies
    )


def _ask(path: Path, config: ServingConfig) -> tuple[Latency, ...]:
    """Starts the server and asks it."""
    deadline = time.monotonic() + config.timeout_seconds
    requests = _requests(path)
    catalogue = _catalogue(path)
    with (
        tempfile.TemporaryDirectory() as folder,
        ServerProcess(path, Path(folder, "server.log")) as server,
        Recommender(server.wait_until_available(deadline), timeout=_CALL_SECONDS, attempts=1) as client,
    ):
        try:
            if "AVAILABLE" not in client.versions().values():
                raise NotServable(f"the server does not say that it has the model: {client.versions()}")
            _examine(client, requests, catalogue, deadline)
            return _measure(client, requests, deadline)
        except RequestError as error:
            raise NotServable(f"{error}\n{server.last_words()}") from error


def _requests(path: Path) -> list[RecordedRequest]:
    requests = [
        RecordedRequest(
            request.model_spec.signature_name or DEFAULT_SIGNATURE,
            {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()},
        )
        for _, request in recorded_requests(path)
    ]
    if not requests:
        raise NotServable(
            f"{path} has no recorded requests to be checked with; expected those that the Assembler writes "
            "into assets.extra"
        )
    return requests


def _catalogue(path: Path) -> pa.Array:
    """Every candidate's id; string [candidates]."""
    try:
        return ModelFiles(path).catalogue["id"].combine_chunks()
    except (ModelError, KeyError) as error:
        raise NotServable(f"{path} has no catalogue whose ids can be read: {error}") from error


def _examine(
    client: Recommender, requests: Iterable[RecordedRequest], catalogue: pa.Array, deadline: float
) -> None:
    """Sends each request once and looks at its answer."""
    wrong = []
    for request in requests:
        answered = _call(client, request, deadline)
        signature = client.signature(request.signature)
        found = complaints(signature, request.inputs, answered, catalogue)
        wrong += [f"{request}: {complaint}" for complaint in found]
    if wrong:
        more = [f"and {len(wrong) - _MOST_REASONS} more"] if len(wrong) > _MOST_REASONS else []
        raise NotServable("\n".join([*wrong[:_MOST_REASONS], *more]))


def _measure(client: Recommender, requests: list[RecordedRequest], deadline: float) -> tuple[Latency, ...]:
    """Repeats the requests in turn, so that a moment's disturbance falls on all of them."""
    taken: list[list[float]] = [[] for _ in requests]
    enough = time.monotonic() + _MEASURED_SECONDS
    for _ in range(_ROUNDS):
        for request, milliseconds in zip(requests, taken, strict=True):
            started = time.perf_counter()
            _call(client, request, deadline)
            milliseconds.append(1000 * (time.perf_counter() - started))
        if time.monotonic() > enough:
            break
    return tuple(
        Latency(
            request=str(request),
            calls=len(milliseconds),
            p50_ms=float(np.percentile(milliseconds, 50)),
            p99_ms=float(np.percentile(milliseconds, 99)),
        )
        for request, milliseconds in zip(requests, taken, strict=True)
    )


def _call(client: Recommender, request: RecordedRequest, deadline: float) -> Mapping[str, np.ndarray]:
    if time.monotonic() > deadline:
        raise NotServable(
            "the recorded requests were not answered within serving.timeout_seconds; the last one was "
            f"{request}. Make the model faster, or allow more."
        )
    return client.ask(request.signature, request.inputs).outputs


def _too_slow(latencies: Iterable[Latency], config: ServingConfig) -> Iterable[str]:
    """A sentence for each latency declared that is not kept, on the request that is furthest from it."""
    for name in ("p50_ms", "p99_ms"):
        key = f"latency_{name}"
        slowest = max(latencies, key=lambda latency: getattr(latency, name))
        most = getattr(config, key)
        if getattr(slowest, name) > most:
            yield (
                f"too slow: {slowest.in_words()}, where serving.{key} allows {most:g}. Run again where the "
                "machine was busy; else search fewer candidates (assemble.ann_recall, assemble.retrieve), or "
                "allow more."
            )
