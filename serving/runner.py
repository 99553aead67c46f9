"""Runs requests on worker threads: so many at once, so many waiting, joined where that is wanted.

One event loop owns all of this; only :meth:`Runner._work` runs elsewhere. TensorFlow releases the
interpreter's lock while it computes, so that a few threads use all cores, and a waiting request costs none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from serving.errors import RequestError
from serving.joining import Arrays, join, joining_key, split
from serving.metrics import Metrics
from serving.tensors import Signature
from serving.versions import Lease

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        concurrency: Runs at once.
        queue: Requests that may wait beside those that run.
        message_bytes: Size of a request and of an answer.
    """

    concurrency: int
    queue: int
    message_bytes: int


@dataclass(frozen=True)
class Batching:
    """How requests are joined.

    Attributes:
        rows: Most rows of a run; 1 joins none.
        seconds: How long a request waits for others, at most, while a worker is free.
    """

    rows: int = 1
    seconds: float = 0.0


@dataclass(frozen=True)
class _Item:
    """A request that waits for its outputs."""

    lease: Lease
    inputs: Arrays
    rows: int
    done: asyncio.Future[Mapping[str, np.ndarray]]
    arrived: float


@dataclass
class _Batch:
    """Requests for one run of a signature."""

    signature: Signature
    outputs: tuple[str, ...]
    items: list[_Item] = field(default_factory=list)
    timer: asyncio.TimerHandle | None = None
    due: bool = False

    @property
    def rows(self) -> int:
        return sum(item.rows for item in self.items)


_Result = Mapping[str, np.ndarray] | RequestError


class Runner:
    """Takes requests in and gives their outputs back."""

    def __init__(self, limits: Limits, batching: Batching, metrics: Metrics) -> None:
        """To be made in the event loop that will use it.

        Args:
            limits: What it takes on.
            batching: How it joins requests.
            metrics: What it counts into.
        """
        self._limits, self._batching, self._metrics = limits, batching, metrics
        self._loop = asyncio.get_running_loop()
        self._workers = ThreadPoolExecutor(limits.concurrency, thread_name_prefix="run")
        self._open: dict[Hashable, _Batch] = {}
        self._running = 0
        self._admitted = 0

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for a request while the block runs.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, where all are taken.
        """
        most = self._limits.concurrency + self._limits.queue
        if self._admitted >= most:
            raise RequestError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the server is busy: {self._limits.concurrency} requests may run and "
                f"{self._limits.queue} wait; try again later",
            )
        self._admitted += 1
        self._metrics.in_flight(self._admitted)
        try:
            yield
        finally:
            self._admitted -= 1
            self._metrics.in_flight(self._admitted)

    async def run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: tuple[str, ...], rows: int
    ) -> Mapping[str, np.ndarray]:
        """Runs a request, perhaps together with others.

        A request that is cancelled before its run begins is not run.

        Args:
            lease: The version that answers; released here, whatever happens.
            signature: Which of its signatures.
            inputs: Every input, of its dtype and shape.
            outputs: Which outputs to compute.
            rows: How many queries the request is for.

        Returns:
            Those outputs by name.

        Raises:
            RequestError: If the run fails.
        """
        item = _Item(lease, inputs, rows, self._loop.create_future(), time.perf_counter())
        key = None
        if rows < self._batching.rows:
            key = joining_key(signature, inputs, outputs, lease.model.is_westworks)
        if key is None:
            self._dispatch(_Batch(signature, outputs, [item]))
        else:
            self._join((lease.model, key), item, signature, outputs)
        return await item.done

    async def close(self) -> None:
        """Ends the worker threads; there must be no request left."""
        await asyncio.to_thread(self._workers.shutdown)

    def _join(self, key: Hashable, item: _Item, signature: Signature, outputs: tuple[str, ...]) -> None:
        batch = self._open.get(key)
        if batch is not None and batch.rows + item.rows > self._batching.rows:
            self._close(key)
            batch = None
        if batch is None:
            batch = self._open[key] = _Batch(signature, outputs)
            batch.timer = self._loop.call_later(self._batching.seconds, self._on_time, key)
        batch.items.append(item)
        if batch.rows >= self._batching.rows:
            self._close(key)

    def _on_time(self, key: Hashable) -> None:
        """A batch has waited long enough; while all workers are busy it can as well go on growing."""
        self._open[key].due = True
        self._close_due()

    def _close_due(self) -> None:
        while self._running < self._limits.concurrency:
            key = next((key for key, batch in self._open.items() if batch.due), None)
            if key is None:
                return
            self._close(key)

    def _close(self, key: Hashable) -> None:
        batch = self._open.pop(key)
        if batch.timer is not None:
            batch.timer.cancel()
        self._dispatch(batch)

    def _dispatch(self, batch: _Batch) -> None:
        self._running += 1
        work = self._workers.submit(self._work, batch)
        work.add_done_callback(lambda done: self._loop.call_soon_threadsafe(self._finish, batch, done))

    def _finish(self, batch: _Batch, work: Future[Sequence[_Result]]) -> None:
        self._running -= 1
        for item, result in zip(batch.items, work.result(), strict=True):
            item.lease.release()
            if item.done.done():
                continue
            if isinstance(result, RequestError):
                item.done.set_exception(result)
            else:
                item.done.set_result(result)
        self._close_due()

    def _work(self, batch: _Batch) -> Sequence[_Result]:
        """One result an item, in their order. On a worker thread."""
        live = [item for item in batch.items if not item.done.cancelled()]
        results = dict(zip(map(id, live), self._results(batch, live), strict=True))
        return [results.get(id(item), {}) for item in batch.items]

    def _results(self, batch: _Batch, items: Sequence[_Item]) -> list[_Result]:
        if not items:
            return []
        try:
            return list(self._outputs(batch, items))
        except Exception as error:
            if len(items) > 1:
                # One bad request must not fail its neighbours.
                return [result for item in items for result in self._results(batch, [item])]
            if isinstance(error, RequestError):
                return [error]
            _log.exception("signature %s failed", batch.signature.name)
            message = f"signature {batch.signature.name!r} failed: {error}"
            return [RequestError(grpc.StatusCode.INTERNAL, message)]

    def _outputs(self, batch: _Batch, items: Sequence[_Item]) -> Sequence[Mapping[str, np.ndarray]]:
        lease = items[0].lease
        inputs = join(batch.signature, [item.inputs for item in items])
        began = time.perf_counter()
        outputs = lease.model.run(batch.signature, inputs, batch.outputs)
        rows = [item.rows for item in items]
        self._metrics.run(lease.name, sum(rows), began - items[0].arrived, time.perf_counter() - began)
        return [outputs] if len(items) == 1 else split(outputs, rows)
