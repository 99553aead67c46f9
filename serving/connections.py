"""REST's connections: how many there may be, and how long one may take to say what it wants.

A connection costs a descriptor, and gRPC's are of the same number: a thousand clients that open one and send
half a header would stop both interfaces. So they are counted, in all and by address, and one that neither
asks nor is answered ends.
"""

from __future__ import annotations

import asyncio
import resource
import ssl
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

_OTHERS = 256
"""Descriptors for all but connections: files, threads' pipes, libraries."""
_MOST = 4096
_LOOK_SECONDS = 1.0


@dataclass(frozen=True)
class ConnectionLimits:
    """What REST's connections may take.

    Attributes:
        most: Connections at once.
        most_of_one: Of one address.
        header_seconds: Until a request's header must have come, from its first byte.
        body_seconds: Until its body must have come.
        idle_seconds: How long a connection may be silent between requests, and before the first.
    """

    most: int
    most_of_one: int
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0

    @classmethod
    def of_this_process(cls) -> ConnectionLimits:
        """Half of the descriptors that the process may have, which is raised as far as it may be."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        allowed = _MOST * 2 if hard == resource.RLIM_INFINITY else hard - _OTHERS
        most = max(1, min(_MOST, allowed // 2))
        return cls(most, max(1, most * 3 // 4))


class Connections:
    """The connections of one server."""

    def __init__(self, limits: ConnectionLimits) -> None:
        """None yet.

        Args:
            limits: What they may take.
        """
        self.limits = limits
        self._by_address: Counter[str] = Counter()
        self._open: dict[asyncio.BaseProtocol, _Connection] = {}
        """By aiohttp's protocol, which a request knows."""
        self._looking: asyncio.Task[None] | None = None
        self._server: asyncio.Server | None = None

    async def listen(self, server: web.Server, host: str, port: int, tls: ssl.SSLContext | None) -> int:
        """Begins to accept connections.

        Args:
            server: Answers them.
            host: Address to listen at.
            port: 0 for any that is free.
            tls: None for none.

        Returns:
            The port.

        Raises:
            OSError: If the address cannot be listened at.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self, server()), host, port, ssl=tls)
        self._looking = loop.create_task(self._look())
        return self._server.sockets[0].getsockname()[1]

    def close(self) -> None:
        """Accepts no more; those that are open are their server's to end."""
        if self._server is not None:
            self._server.close()
        if self._looking is not None:
            self._looking.cancel()

    @contextmanager
    def answering(self, request: web.BaseRequest) -> Iterator[None]:
        """While a request is answered, its connection may take its time."""
        connection = self._open.get(request.protocol)
        if connection is None:
            yield
            return
        connection.answering += 1
        try:
            yield
        finally:
            connection.answering -= 1
            connection.rest()

    def admit(self, connection: _Connection) -> bool:
        """Whether there is a place for one more of this address; it is taken then."""
        full = len(self._open) >= self.limits.most
        if full or self._by_address[connection.address] >= self.limits.most_of_one:
            return False
        self._open[connection.handler] = connection
        self._by_address[connection.address] += 1
        return True

    def leave(self, connection: _Connection) -> None:
        """Gives the place back that it was admitted to."""
        del self._open[connection.handler]
        self._by_address[connection.address] -= 1
        if not self._by_address[connection.address]:
            del self._by_address[connection.address]

    async def _look(self) -> None:
        """Ends those that take too long."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = asyncio.get_running_loop().time()
            for connection in [each for each in self._open.values() if each.is_late(now)]:
                connection.abort()


class _Connection(asyncio.Protocol):
    """Watches one connection on its way to aiohttp's protocol."""

    def __init__(self, connections: Connections, handler: Any) -> None:
        self._connections, self.handler = connections, handler
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.address = ""
        self.answering = 0
        self._admitted = False
        self._silent_since = self._loop.time()
        self._header_since: float | None = None

    def rest(self) -> None:
        """A request has been answered: silence begins anew."""
        self._silent_since, self._header_since = self._loop.time(), None

    def is_late(self, now: float) -> bool:
        """Whether it neither asks nor is answered, for longer than it may."""
        if self.answering:
            return False
        limits = self._connections.limits
        if self._header_since is not None:
            return now - self._header_since > limits.header_seconds
        return now - self._silent_since > limits.idle_seconds

    def abort(self) -> None:
        """Ends it at once: nothing is being written to it."""
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
        self._admitted = self._connections.admit(self)
        if self._admitted:
            self.handler.connection_made(transport)
        else:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._admitted:
            return
        if not self.answering and self._header_since is None:
            self._header_since = self._loop.time()
        self.handler.data_received(data)

    def eof_received(self) -> bool | None:
        return self.handler.eof_received() if self._admitted else None

    def connection_lost(self, error: Exception | None) -> None:
        if self._admitted:
            self._connections.leave(self)
            self.handler.connection_lost(error)

    def pause_writing(self) -> None:
        self.handler.pause_writing()

    def resume_writing(self) -> None:
        self.handler.resume_writing()
