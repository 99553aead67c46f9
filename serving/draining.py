"""Stopping without losing a request: who is on the way is let in before the doors are closed.

gRPC's core takes calls in before the event loop takes them up, and ``grpc.aio.Server.stop`` cancels those in
between (grpc issue 41785): of 64 callers that ask again at each answer, some fifty. Closing a listening
socket does the same to connections that are not accepted yet. So a server first says that it is not serving
and goes on answering until nothing has come for a moment: balancers, and clients that look at its health, go
elsewhere. Those who stay are held: their calls are taken up and wait. A caller who waits for an answer asks
nothing else, so soon nothing is left in between, and the doors can be closed. Then the held are answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

_QUIET_SECONDS = 0.5
"""Nobody came for so long: whoever asked has gone elsewhere, or has nothing to ask."""
_TAKEN_UP_SECONDS = 0.1
"""Nobody came for so long while all were held: core has handed over what it had."""
_LONGEST_HOLD_SECONDS = 1.0
_LOOK_SECONDS = 0.02


class Doors:
    """Where every request comes in. For one event loop."""

    def __init__(self) -> None:
        """Open."""
        self._last = -float("inf")
        self._open = asyncio.Event()
        self._open.set()
        self.leaving = False
        """Whether clients shall be told to go elsewhere."""

    async def enter(self) -> None:
        """Returns when a request that came may be answered."""
        self._last = time.monotonic()
        if not self._open.is_set():
            await self._open.wait()

    async def close(self, seconds: float, shut: Callable[[], Awaitable[None]]) -> None:
        """Lets requests in until nothing has come for a moment, then shuts the doors behind the last.

        Args:
            seconds: How long to wait for that moment at most.
            shut: Closes the doors at its first step, and returns when all that came in are answered.
        """
        self.leaving = True
        await self._quiet(_QUIET_SECONDS, seconds)
        self._open.clear()
        try:
            await self._quiet(_TAKEN_UP_SECONDS, min(seconds, _LONGEST_HOLD_SECONDS))
            shutting = asyncio.ensure_future(shut())
            # Its first step, and that of what it waits for.
            await asyncio.sleep(_LOOK_SECONDS)
        finally:
            self._open.set()
        await shutting

    async def _quiet(self, seconds: float, most: float) -> None:
        """Returns when nothing has come for some seconds, or the time is over."""
        began = time.monotonic()
        while True:
            now = time.monotonic()
            if now - self._last >= seconds or now - began >= most:
                return
            await asyncio.sleep(_LOOK_SECONDS)


class Doorkeeper(grpc.aio.ServerInterceptor):
    """Lets every call of gRPC in by the doors."""

    def __init__(self, doors: Doors) -> None:
        """Which doors.

        Args:
            doors: The server's.
        """
        self._doors = doors

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """The call's own handler, once it may be answered."""
        await self._doors.enter()
        return await continuation(handler_call_details)
