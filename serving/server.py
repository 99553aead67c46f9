"""The embedded server: TensorFlow Serving's gRPC and REST interfaces in one process.

Requests are taken in and answered by one event loop (``grpc.aio`` and aiohttp): waiting ones cost no
threads, and a cancelled or late one is dropped before its run. TensorFlow runs on worker threads, and models
are loaded by another, so that neither holds up the loop.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import signal
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aiohttp import web

from serving.browsers import is_loopback
from serving.connections import ConnectionLimits, Connections
from serving.draining import Doorkeeper, Doors
from serving.errors import ModelError
from serving.explorer.routes import add_explorer
from serving.explorer.users import Explorer
from serving.grpc_services import Health, ModelService, PredictionService, add_services
from serving.metrics import Metrics
from serving.predictor import Predictor
from serving.registry import Registry
from serving.rest import application
from serving.runner import Batching, Limits, Runner, runs_at_once
from serving.versions import ModelConfig, State

_HANDSHAKE_MS = 10_000
_OTHER_ADDRESS = "Is another server there? Choose another port, or stop that one."

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Tls:
    """What a server shows and asks for.

    Attributes:
        certificate: PEM file with its certificate chain.
        key: PEM file with its private key.
        client_ca: PEM file; clients must show a certificate signed by one of these. None: they need none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None


@dataclass(frozen=True)
class ServerOptions:
    """How a server runs.

    Attributes:
        models: What it serves at first.
        host: Address it listens at.
        port: Of gRPC; 0 for any that is free.
        rest_port: Of REST; 0 for any that is free, None for no REST.
        poll_seconds: How often it looks for new versions.
        limits: What it takes on.
        batching: How it joins requests.
        run_threads: How many threads share a run's large operations; 0: as many as there are cores.
        rest_timeout: Seconds until a REST request is given up; gRPC's carry their own deadlines.
        drain_seconds: How long the server takes to stop, at most: half of it for clients to go elsewhere,
            half for the requests under way to end.
        connections: What REST's connections may take; None: as many as half of the descriptors allow.
        connection_seconds: After how long a gRPC connection is ended, in order, so that clients look up
            where the service is again and find servers that came since; 0: never.
        tls: For both interfaces; None for none.
        explorer: What the explorer shows on REST's port; None for no explorer.
    """

    models: tuple[ModelConfig, ...]
    host: str = "127.0.0.1"
    port: int = 8500
    rest_port: int | None = 8501
    poll_seconds: float = 1.0
    limits: Limits = field(default_factory=lambda: Limits(runs_at_once(), 256, 4 << 20))
    batching: Batching = field(default_factory=Batching)
    run_threads: int = 1
    rest_timeout: float = 30.0
    drain_seconds: float = 10.0
    connections: ConnectionLimits | None = None
    connection_seconds: float = 0.0
    tls: Tls | None = None
    explorer: Explorer | None = None


@dataclass(frozen=True)
class Listening:
    """Where a started server is and what it serves.

    Attributes:
        target: gRPC's ``HOST:PORT``.
        url: REST's base; None without.
        versions: Model to the versions that answer.
    """

    target: str
    url: str | None
    versions: dict[str, tuple[int, ...]]


class Server:
    """One server, for one event loop.

    Attributes:
        registry: Its models.
    """

    def __init__(self, options: ServerOptions) -> None:
        """Nothing happens before :meth:`start`.

        Args:
            options: How to run.
        """
        self._options = options
        self._metrics = Metrics()
        self._doors = Doors()
        self._connections = Connections(options.connections or ConnectionLimits.of_this_process())
        self.registry = Registry(options.models, self._on_change, options.run_threads)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def start(self) -> Listening:
        """Loads the models and begins to answer.

        Raises:
            ModelError: If a model has no version that loads; says why.
            OSError: If an address cannot be listened at, or a TLS file cannot be read.
        """
        options = self._options
        self._loop = asyncio.get_running_loop()
        self._health = Health()
        problems = await _in_thread_of_its_own(self.registry.prepare)
        if problems:
            raise ModelError("; ".join(problems))
        self._runner = Runner(options.limits, options.batching, self._metrics)
        predictor = Predictor(self.registry, self._runner)
        self._ssl = None if options.tls is None else _ssl_context(options.tls)
        self._grpc = self._grpc_server(predictor)
        port = self._bind()
        rest = application(
            predictor,
            self.registry,
            self._metrics,
            self._doors,
            self._connections,
            is_loopback(options.host),
            options.limits.message_bytes,
            options.rest_timeout,
        )
        if options.explorer is not None:
            add_explorer(rest, self.registry, options.explorer)
        self._rest = web.AppRunner(
            rest,
            access_log=None,
            shutdown_timeout=options.drain_seconds / 2,
        )
        await self._rest.setup()
        url = await self._listen_rest()
        await self._grpc.start()
        await self._health.tell(self.registry.ready)
        self.registry.watch(options.poll_seconds)
        versions = {name: model.available for name, model in self.registry.models.items()}
        return Listening(_address(options.host, port), url, versions)

    async def stop(self) -> None:
        """Lets clients go elsewhere, answers what came in and unloads; see :mod:`serving.draining`."""
        await self._health.enter_graceful_shutdown()
        await self._doors.close(self._options.drain_seconds / 2, self._shut)
        await self._runner.close()
        await asyncio.to_thread(self.registry.close)

    async def run(self, on_start: Callable[[Listening], None]) -> bool:
        """Answers until the process is told to end by SIGTERM or SIGINT.

        Args:
            on_start: Called once the server answers.

        Returns:
            Whether it stopped in order. False: it was told while a model was being loaded, or told twice;
            then threads are left that nobody waits for, and the process should be ended without them.

        Raises:
            ModelError, OSError: As of :meth:`start`.
        """
        told = _Told(asyncio.get_running_loop())
        started = asyncio.ensure_future(self.start())
        if not await told.before(started):
            _log.info("stopping: the models are not loaded yet")
            return False
        on_start(started.result())
        await told.again()
        _log.info(
            "stopping: clients have %g s to go elsewhere, requests under way as long to end; a second signal "
            "ends them",
            self._options.drain_seconds / 2,
        )
        stopped = asyncio.ensure_future(self.stop())
        if await told.before(stopped):
            stopped.result()
            return True
        _log.info("stopping at once: told twice")
        return False

    async def _shut(self) -> None:
        """Takes nothing new, and returns when all that came in are answered, or their time is over."""
        self._connections.close()
        await asyncio.gather(self._grpc.stop(self._options.drain_seconds / 2), self._rest.cleanup())

    def _grpc_server(self, predictor: Predictor) -> grpc.aio.Server:
        limits = self._options.limits
        options = [
            ("grpc.max_receive_message_length", limits.message_bytes),
            ("grpc.max_send_message_length", limits.message_bytes),
            # A second server on the port would otherwise share it in silence.
            ("grpc.so_reuseport", 0),
            # A connection that does not say who it is.
            ("grpc.server_handshake_timeout_ms", _HANDSHAKE_MS),
        ]
        if self._options.connection_seconds:
            # Without a grace period of its own, requests under way may take as long as they do.
            options.append(("grpc.max_connection_age_ms", int(1000 * self._options.connection_seconds)))
        server = grpc.aio.server(options=options, interceptors=[Doorkeeper(self._doors)])
        prediction = PredictionService(predictor, self.registry, self._metrics, limits.message_bytes)
        add_services(server, prediction, ModelService(self.registry), self._health)
        return server

    def _bind(self) -> int:
        options = self._options
        address = _address(options.host, options.port)
        try:
            if options.tls is None:
                return self._grpc.add_insecure_port(address)
            return self._grpc.add_secure_port(address, _grpc_credentials(options.tls))
        except RuntimeError as error:
            raise OSError(f"cannot listen at {address}. {_OTHER_ADDRESS}") from error

    async def _listen_rest(self) -> str | None:
        options = self._options
        if options.rest_port is None:
            return None
        address = _address(options.host, options.rest_port)
        assert self._rest.server is not None
        try:
            port = await self._connections.listen(
                self._rest.server, options.host, options.rest_port, self._ssl
            )
        except OSError as error:
            raise OSError(f"cannot listen at {address}: {error.strerror}. {_OTHER_ADDRESS}") from error
        return f"{'http' if self._ssl is None else 'https'}://{_address(options.host, port)}"

    def _on_change(self) -> None:
        """Tells metrics and health what can be served now. In the thread that looked."""
        states = {
            (name, status.version): status.state == State.AVAILABLE
            for name, model in self.registry.models.items()
            for status in model.statuses()
            if status.state == State.AVAILABLE or status.error
        }
        self._metrics.versions(states)
        loop = self._loop
        if loop is not None and not loop.is_closed():
            asyncio.run_coroutine_threadsafe(self._health.tell(self.registry.ready), loop)


class _Told:
    """What the process is told by SIGTERM and SIGINT, once for each signal."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._signals: asyncio.Queue[None] = asyncio.Queue()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signals.put_nowait, None)

    async def again(self) -> None:
        """Returns at the next signal."""
        await self._signals.get()

    async def before(self, work: asyncio.Future[Any]) -> bool:
        """Whether work ends before the next signal."""
        signalled = asyncio.ensure_future(self._signals.get())
        await asyncio.wait({work, signalled}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            signalled.cancel()
            return True
        return False


async def _in_thread_of_its_own(work: Callable[[], _Result]) -> _Result:
    """Awaits work in a thread that nobody waits for: loading a model cannot be broken off."""
    done: concurrent.futures.Future[_Result] = concurrent.futures.Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    threading.Thread(target=run, name="loading", daemon=True).start()
    return await asyncio.wrap_future(done)


def _address(host: str, port: int) -> str:
    """Host and port as one; an address of IPv6 has brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _grpc_credentials(tls: Tls) -> grpc.ServerCredentials:
    pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
    clients = None if tls.client_ca is None else tls.client_ca.read_bytes()
    return grpc.ssl_server_credentials([pair], clients, require_client_auth=clients is not None)


def _ssl_context(tls: Tls) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tls.client_ca)
        context.load_cert_chain(tls.certificate, tls.key)
    except ssl.SSLError as error:
        files = ", ".join(map(str, filter(None, (tls.certificate, tls.key, tls.client_ca))))
        raise OSError(f"{files}: expected PEM files, a certificate and its own key: {error}") from error
    if tls.client_ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context
