"""Closed-loop load on a server, from a process of its own that has nothing of TensorFlow in it.

Closed loop: so many callers, each of whom asks again as soon as it is answered. Requests are bytes made
beforehand and answers are not decoded, so that what the generator computes, which is told beside the server's
share, is little.
"""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Literal

import numpy as np

Api = Literal["gRPC", "REST"]

_PREDICT = "/tensorflow.serving.PredictionService/Predict"
_CHANNELS = 4
_SECONDS_TO_END = 30
_MOST_TOLD = 60
_TIMEOUT = 60.0


@dataclass(frozen=True)
class Plan:
    """A load.

    Attributes:
        api: How to ask.
        address: ``HOST:PORT`` of gRPC, or REST's URL up to ``:predict``.
        requests: Serialised PredictRequests, or JSON bodies; asked in turn.
        concurrency: How many callers.
        seconds: How long, after ``warm_seconds`` that are not counted.
        warm_seconds: Seconds before those.
    """

    api: Api
    address: str
    requests: Sequence[bytes]
    concurrency: int
    seconds: float
    warm_seconds: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What came of a load.

    Attributes:
        seconds: How long it was counted.
        latencies: float64 [answers], seconds each request took that was answered.
        failures: Status and message to how many were refused or lost.
        cpu_seconds: What the generator itself computed meanwhile.
    """

    seconds: float
    latencies: np.ndarray
    failures: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    @property
    def answers(self) -> int:
        """How many requests were answered."""
        return len(self.latencies)

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    def milliseconds(self, percentile: float) -> float:
        """A percentile of the latencies; NaN without answers."""
        return 1000 * float(np.percentile(self.latencies, percentile)) if self.answers else float("nan")


class Generator:
    """The process; idle between loads."""

    def __init__(self) -> None:
        """Starts it."""
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(target=_generate, args=(other,), daemon=True)
        self._process.start()
        other.close()

    def start(self, plan: Plan) -> None:
        """Begins a load; :meth:`result` waits for its end."""
        self._connection.send(plan)

    def result(self) -> Measured:
        """What came of the load begun last.

        Raises:
            RuntimeError: If the process ended; its standard error says why.
        """
        try:
            return self._connection.recv()
        except EOFError as error:
            raise RuntimeError("the load generator ended before its result; its error is above") from error

    def run(self, plan: Plan) -> Measured:
        """A load from its start to its end."""
        self.start(plan)
        return self.result()

    def end(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join(_SECONDS_TO_END)


class _Tally:
    """What is counted between a load's warm-up and its end."""

    def __init__(self, plan: Plan):
        self.begin = time.perf_counter() + plan.warm_seconds
        self.end = self.begin + plan.seconds
        self.latencies: list[float] = []
        self.failures: Counter[str] = Counter()

    def answered(self, began: float, ended: float) -> None:
        if self.begin <= ended <= self.end:
            self.latencies.append(ended - began)

    def failed(self, why: str) -> None:
        self.failures[why[:_MOST_TOLD]] += 1


def _generate(connection: Connection) -> None:
    # Its parent ends it; a Ctrl-C there must not leave a traceback here.
    os.setpgid(0, 0)
    while True:
        try:
            plan = connection.recv()
        except EOFError:
            sys.exit()
        connection.send(asyncio.run(_load(plan)))
        gc.collect()


async def _load(plan: Plan) -> Measured:
    tally = _Tally(plan)
    cpu: list[float] = []
    loop = asyncio.get_running_loop()
    for moment in (plan.warm_seconds, plan.warm_seconds + plan.seconds):
        loop.call_later(moment, lambda: cpu.append(time.process_time()))
    await (_over_grpc if plan.api == "gRPC" else _over_rest)(plan, tally)
    used = (cpu[1] if len(cpu) > 1 else time.process_time()) - cpu[0]
    return Measured(plan.seconds, np.array(tally.latencies), dict(tally.failures), used)


async def _over_grpc(plan: Plan, tally: _Tally) -> None:
    import grpc

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    channels = [
        grpc.aio.insecure_channel(plan.address, options) for _ in range(min(_CHANNELS, plan.concurrency))
    ]
    methods = [channel.unary_unary(_PREDICT) for channel in channels]

    def caller(number: int) -> Callable[[bytes], Awaitable[str | None]]:
        method = methods[number % len(methods)]

        async def ask(request: bytes) -> str | None:
            try:
                await method(request, timeout=_TIMEOUT)
            except grpc.aio.AioRpcError as error:
                return f"{error.code().name}: {error.details()}"
            return None

        return ask

    await _callers(plan, tally, caller)
    for channel in channels:
        await channel.close()


async def _over_rest(plan: Plan, tally: _Tally) -> None:
    import aiohttp

    headers = {"Content-Type": "application/json"}
    connector = aiohttp.TCPConnector(limit=plan.concurrency)
    timeout = aiohttp.ClientTimeout(total=_TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, headers=headers, timeout=timeout) as session:

        async def ask(request: bytes) -> str | None:
            try:
                async with session.post(plan.address, data=request) as answer:
                    body = await answer.read()
            except aiohttp.ClientError as error:
                return f"{type(error).__name__}: {error}"
            return None if answer.status == 200 else f"{answer.status}: {body.decode(errors='replace')}"

        await _callers(plan, tally, lambda _: ask)


async def _callers(
    plan: Plan, tally: _Tally, caller: Callable[[int], Callable[[bytes], Awaitable[str | None]]]
) -> None:
    async def call(number: int) -> None:
        ask, place = caller(number), number
        while (began := time.perf_counter()) < tally.end:
            failure = await ask(plan.requests[place % len(plan.requests)])
            place += plan.concurrency
            if failure is None:
                tally.answered(began, time.perf_counter())
            else:
                tally.failed(failure)

    await asyncio.gather(*(call(number) for number in range(plan.concurrency)))
