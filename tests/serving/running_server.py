"""A server in a thread of this process, with an event loop of its own."""

import asyncio
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from serving.server import Server, ServerOptions
from serving.versions import ModelConfig


class Running:
    """A started server.

    Attributes:
        server: The server itself.
        listening: Where it is.
    """

    def __init__(self, options: ServerOptions):
        self.options = options
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._started.wait()
        if self._error:
            raise self._error

    @property
    def target(self) -> str:
        return self.listening.target

    @property
    def url(self) -> str:
        return self.listening.url

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._told.set)
            self._thread.join()

    async def _run(self):
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        self.server = Server(self.options)
        try:
            self.listening = await self.server.start()
        except BaseException as error:
            self._error = error
            return
        finally:
            self._started.set()
        await self._told.wait()
        await self.server.stop()


@contextmanager
def running(base_path: Path, name: str = "tiny", **options):
    """A server on free ports that serves one model; further options are the server's or the model's."""
    of_model = {key: options.pop(key) for key in ("versions", "newest", "labels") if key in options}
    defaults = ServerOptions(
        models=(ModelConfig(name, base_path, **of_model),), port=0, rest_port=0, poll_seconds=0.05
    )
    server = Running(replace(defaults, **options))
    try:
        yield server
    finally:
        server.stop()
