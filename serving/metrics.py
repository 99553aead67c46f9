"""Counts and times for Prometheus, under TensorFlow Serving's names where it has them.

TensorFlow Serving exposes ``/tensorflow/serving/request_count`` as ``:tensorflow:serving:request_count``, and
its times are in microseconds. Labels, too, are its own, so that its dashboards and alerts work unchanged.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator

import grpc
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

_PREFIX = ":tensorflow:serving:"
_LATENCIES = tuple(10 * 1.8**power for power in range(33))
"""TensorFlow Serving's limits, 10 microseconds to about 20 minutes."""
_SIZES = tuple(2.0**power for power in range(11))


class Metrics:
    """What one server counts."""

    def __init__(self) -> None:
        """Everything at zero."""
        self._registry = CollectorRegistry()
        self._requests = _Count(
            f"{_PREFIX}request_count", "The total number of requests.", ("model_name", "status")
        )
        self._registry.register(self._requests)
        self._request_latency = self._times(
            "request_latency",
            "Wall time (in microseconds) of a request.",
            ("model_name", "API", "entrypoint"),
        )
        self._runtime_latency = self._times(
            "runtime_latency", "Wall time (in microseconds) in TensorFlow.", ("model_name", "API", "runtime")
        )
        self._queuing_latency = self._times(
            "batching_session:queuing_latency",
            "Wall time (in microseconds) from a request's arrival to its run.",
            ("model_name",),
        )
        self._batch_sizes = Histogram(
            f"{_PREFIX}batching_session:processed_batch_size",
            "Rows of a run.",
            ("model_name",),
            registry=self._registry,
            buckets=_SIZES,
        )
        self._in_flight = Gauge(
            "westwork_requests_in_flight", "Requests being answered or waiting.", registry=self._registry
        )
        self._version = Gauge(
            "westwork_version_available",
            "1 for a version that answers, 0 for one that could not be loaded.",
            ("model_name", "version"),
            registry=self._registry,
        )

    def request(self, model: str, api: str, entrypoint: str, code: grpc.StatusCode, seconds: float) -> None:
        """A request was answered, or refused.

        Args:
            model: Its name; "" for one that is not served.
            api: ``Predict`` over gRPC, ``predict`` over REST, as TensorFlow Serving has it.
            entrypoint: ``GRPC`` or ``REST``.
            code: How it went.
            seconds: How long it took.
        """
        self._requests.add(model, code.name)
        if code is grpc.StatusCode.OK:
            self._request_latency.labels(model, api, entrypoint).observe(seconds * 1e6)

    def run(self, model: str, rows: int, waited: float, seconds: float) -> None:
        """A signature was run.

        Args:
            model: Its model's name.
            rows: How many queries it was run for.
            waited: Seconds from the first request's arrival to the run's start.
            seconds: How long it took.
        """
        self._runtime_latency.labels(model, "Predict", "TF1").observe(seconds * 1e6)
        self._queuing_latency.labels(model).observe(waited * 1e6)
        self._batch_sizes.labels(model).observe(rows)

    def in_flight(self, requests: Callable[[], float]) -> None:
        """What tells, when asked for the page, how many requests are being answered or wait."""
        self._in_flight.set_function(requests)

    def versions(self, states: dict[tuple[str, int], bool]) -> None:
        """Which versions answer.

        Args:
            states: Model and version to whether it answers; False: it could not be loaded.
        """
        self._version.clear()
        for (model, version), available in states.items():
            self._version.labels(model, version).set(available)

    def page(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

    def _times(self, name: str, explanation: str, labels: tuple[str, ...]) -> Histogram:
        return Histogram(f"{_PREFIX}{name}", explanation, labels, registry=self._registry, buckets=_LATENCIES)


class _Count(Collector):
    """A counter by its own name: prometheus_client's would append ``_total`` to TensorFlow Serving's."""

    def __init__(self, name: str, explanation: str, labels: tuple[str, ...]) -> None:
        self._name, self._explanation, self._labels = name, explanation, labels
        self._counts: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    def add(self, *values: str) -> None:
        with self._lock:
            self._counts[values] += 1

    def collect(self) -> Iterator[Metric]:
        # Of a counter the text format would name the type line with the suffix.
        metric = Metric(self._name, self._explanation, "unknown")
        with self._lock:
            counts = dict(self._counts)
        for values, count in counts.items():
            metric.add_sample(self._name, dict(zip(self._labels, values, strict=True)), count)
        yield metric
