"""Runs requests on worker threads: so many at once, so many waiting, joined where that is wanted.

The event loop takes requests in and hands their outputs out; in between, worker threads take for themselves
what has waited longest, joined with all that came meanwhile. So a worker has its next run before the loop has
sent the answers of the last. TensorFlow releases the interpreter's lock while it computes, so that a few
threads use all cores, and a waiting request costs none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc
import numpy as np

from serving.bounds import parts
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


def runs_at_once() -> int:
    """How many runs a machine is given: a core each, and one for the interpreter, if there is another."""
    return max(1, (os.cpu_count() or 1) - 1)


@dataclass(frozen=True)
class Batching:
    """How requests are joined.

    Attributes:
        rows: Most rows of a run; 1 joins none.
        seconds: How long a request waits for others, at most, while a worker is free.
        any_model: Whether requests to models of another make are joined, too: nobody knows of those whether
            what they say of a row depends on the others.
    """

    rows: int = 32
    seconds: float = 0.0
    any_model: bool = False


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
    rows: int = 0
    timer: asyncio.TimerHandle | None = None
    due: bool = False

    @property
    def arrived(self) -> float:
        """When its first request did."""
        return self.items[0].arrived

    def add(self, item: _Item) -> None:
        self.items.append(item)
        self.rows += item.rows


_Result = Mapping[str, np.ndarray] | RequestError


class Runner:
    """Takes requests in and gives their outputs back.

    Attributes:
        limits: What it takes on.
    """

    def __init__(self, limits: Limits, batching: Batching, metrics: Metrics) -> None:
        """To be made in the event loop that will use it.

        Args:
            limits: What it takes on.
            batching: How it joins requests.
            metrics: What it counts into.
        """
        self.limits, self._batching, self._metrics = limits, batching, metrics
        self._loop = asyncio.get_running_loop()
        self._admitted = 0
        metrics.in_flight(lambda: self._admitted)
        self._changed = threading.Condition()
        """Guards what follows; notified when a worker may have something to do."""
        self._open: dict[Hashable, _Batch] = {}
        self._closed: deque[_Batch] = deque()
        self._ended = False
        self._workers = [
            threading.Thread(target=self._work, name=f"run-{number}", daemon=True)
            for number in range(limits.concurrency)
        ]
        for worker in self._workers:
            worker.start()

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place for a request while the block runs.

        Raises:
            RequestError: RESOURCE_EXHAUSTED, where all are taken.
        """
        most = self.limits.concurrency + self.limits.queue
        if self._admitted >= most:
            raise RequestError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"the server is busy: {self.limits.concurrency} requests may run and "
                f"{self.limits.queue} wait; try again later",
            )
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1

    async def run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: tuple[str, ...], rows: int
    ) -> Mapping[str, np.ndarray]:
        """Runs a request, perhaps together with others, or in parts if it is large.

        A request that is cancelled before its run begins is not run; nor are the parts of one that are left.

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
        candidates = lease.model.candidates
        if candidates is None or not all(signature.outputs[name].has_rows for name in outputs):
            return await self._run(lease, signature, inputs, outputs, rows)
        answers = []
        try:
            for part, count in parts(signature, inputs, rows, candidates):
                lease.model.acquire()
                answers.append(await self._run(lease, signature, part, outputs, count))
        finally:
            lease.release()
        if len(answers) == 1:
            return answers[0]
        return {name: np.concatenate([answer[name] for answer in answers]) for name in outputs}

    async def _run(
        self, lease: Lease, signature: Signature, inputs: Arrays, outputs: tuple[str, ...], rows: int
    ) -> Mapping[str, np.ndarray]:
        item = _Item(lease, inputs, rows, self._loop.create_future(), time.perf_counter())
        key = None
        may_join = self._batching.any_model or lease.model.is_westworks
        if may_join and rows < self._batching.rows:
            key = joining_key(signature, inputs, outputs, lease.model.is_westworks)
        with self._changed:
            if key is None:
                self._closed.append(_Batch(signature, outputs, [item], rows))
                self._changed.notify()
            else:
                self._join((lease.model, key), item, signature, outputs)
        return await item.done

    async def close(self) -> None:
        """Ends the worker threads, after what is left, which must be requests that were given up."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        for worker in self._workers:
            await asyncio.to_thread(worker.join)

    def _join(self, key: Hashable, item: _Item, signature: Signature, outputs: tuple[str, ...]) -> None:
        batch = self._open.get(key)
        if batch is not None and batch.rows + item.rows > self._batching.rows:
            self._close(key)
            batch = None
        if batch is None:
            batch = self._open[key] = _Batch(signature, outputs)
            if self._batching.seconds:
                batch.timer = self._loop.call_later(self._batching.seconds, self._on_time, batch)
            else:
                batch.due = True
                self._changed.notify()
        batch.add(item)
        if batch.rows >= self._batching.rows:
            self._close(key)

    def _on_time(self, batch: _Batch) -> None:
        """A batch has waited long enough; while all workers are busy it can as well go on growing."""
        with self._changed:
            batch.due = True
            self._changed.notify()

    def _close(self, key: Hashable) -> None:
        """Nothing can be added to a batch any more."""
        batch = self._open.pop(key)
        if batch.timer is not None:
            batch.timer.cancel()
        self._closed.append(batch)
        self._changed.notify()

    def _finish(self, batch: _Batch, results: Sequence[_Result]) -> None:
        for item, result in zip(batch.items, results, strict=True):
            item.lease.release()
            if item.done.done():
                continue
            if isinstance(result, RequestError):
                item.done.set_exception(result)
            else:
                item.done.set_result(result)

    def _work(self) -> None:
        """Takes and runs batches until the end. On a worker thread, as all that follows."""
        while (batch := self._next()) is not None:
            live = [item for item in batch.items if not item.done.cancelled()]
            results = dict(zip(map(id, live), self._results(batch, live), strict=True))
            in_order = [results.get(id(item), {}) for item in batch.items]
            self._loop.call_soon_threadsafe(self._finish, batch, in_order)

    def _next(self) -> _Batch | None:
        """Waits for the batch that may be run and whose first request came first; None after the last."""
        with self._changed:
            while True:
                due = next((key for key, batch in self._open.items() if batch.due or self._ended), None)
                if self._closed and (due is None or self._closed[0].arrived <= self._open[due].arrived):
                    return self._closed.popleft()
                if due is not None:
                    return self._open.pop(due)
                if self._ended:
                    return None
                self._changed.wait()

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
