"""The explorer's page, and the few answers that TensorFlow Serving's REST interface does not have.

Lists the page gets from ``:predict``, as any client does. All that is here reads and changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import grpc
from aiohttp import web
from tensorflow_serving.apis import model_pb2

from serving.contract import is_version
from serving.errors import ModelError, RequestError, invalid
from serving.explorer.catalogue import Catalogue
from serving.explorer.facts import facts, users
from serving.explorer.users import Explorer
from serving.model_files import ModelFiles
from serving.registry import Registry

PATH = "/explorer/"
"""Where the page is; ``/`` leads there."""

_PAGE = "page.html"
_ASSETS = {"page.css": "text/css"}
_ASSETS |= dict.fromkeys(("api.js", "attributes.js", "dom.js", "lists.js", "page.js"), "text/javascript")
_HEADERS = {
    # The page asks nobody but its server, and no text of the data can become code.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_MOST_SHOWN = 50
_Answer = TypeVar("_Answer")


def add_explorer(app: web.Application, registry: Registry, explorer: Explorer) -> None:
    """Adds the explorer's routes to a server's.

    Args:
        app: The REST interface.
        registry: The models.
        explorer: What to show.
    """
    handlers = _Handlers(registry, explorer)
    app.router.add_get("/", _to_page)
    app.router.add_get(PATH.rstrip("/"), _to_page)
    app.router.add_get(PATH, _file(_PAGE, "text/html"))
    for name, kind in _ASSETS.items():
        app.router.add_get(f"{PATH}{name}", _file(name, kind))
    app.router.add_get(f"{PATH}api/model", handlers.model)
    app.router.add_get(f"{PATH}api/catalogue", handlers.catalogue)
    app.router.add_post(f"{PATH}api/items", handlers.items)
    app.router.add_get(f"{PATH}api/similar", handlers.similar)
    app.router.add_get(f"{PATH}api/users", handlers.users)
    app.router.add_get(f"{PATH}api/user", handlers.user)


@dataclass(frozen=True)
class _Version:
    """What is known of one version."""

    number: int
    files: ModelFiles
    catalogue: Catalogue


class _Handlers:
    """The answers, about the version that the request names, else the one that ``:predict`` takes."""

    def __init__(self, registry: Registry, explorer: Explorer) -> None:
        self._registry, self._explorer = registry, explorer
        self._read: dict[Path, _Version] = {}
        self._reading = threading.Lock()

    async def model(self, request: web.Request) -> web.Response:
        """The version's facts, and which others there are."""

        def answer(version: _Version) -> dict[str, Any]:
            model = self._registry.models[self._explorer.model]
            labels = [
                {"version": number, "labels": [k for k, v in model.config.labels.items() if v == number]}
                for number in reversed(model.available)
            ]
            return {
                **facts(version.files, version.catalogue),
                "name": self._explorer.model,
                # As text: JavaScript's numbers end before those of versions do.
                "version": str(version.number),
                "versions": [{**each, "version": str(each["version"])} for each in labels],
                "histories": self._explorer.look_up is not None,
                "exclude_seen": self._explorer.exclude_seen,
            }

        return await self._answered(request, answer)

    async def catalogue(self, request: web.Request) -> web.Response:
        """Candidates by words."""
        text, most = request.query.get("q", "").strip(), _count(request, 10)

        def answer(version: _Version) -> dict[str, Any]:
            items, total = version.catalogue.search(text, most)
            return {"items": items, "total": total}

        return await self._answered(request, answer)

    async def items(self, request: web.Request) -> web.Response:
        """Candidates by id: those of the body's list."""
        try:
            ids = json.loads(await request.read())
        except (ValueError, RecursionError) as error:
            raise invalid(f"the body is not JSON: {error}") from error
        if not isinstance(ids, list) or not all(isinstance(id, str) for id in ids):
            raise invalid("expected a JSON list of ids")
        return await self._answered(request, lambda version: {"items": version.catalogue.items(ids)})

    async def similar(self, request: web.Request) -> web.Response:
        """The candidates nearest to one."""
        id, most = _id(request), _count(request, 12)

        def answer(version: _Version) -> dict[str, Any]:
            found = version.catalogue.similar(id, most)
            return {"items": [{**item, "similarity": cosine} for item, cosine in found]}

        return await self._answered(request, answer)

    async def users(self, request: web.Request) -> web.Response:
        """Ids of the model's users that begin with a text."""
        text, most = request.query.get("q", "").strip(), _count(request, 10)

        def answer(version: _Version) -> dict[str, Any]:
            found = (id for id in users(version.files) if id.startswith(text))
            return {"users": [id for id, _ in zip(found, range(most), strict=False)]}

        return await self._answered(request, answer)

    async def user(self, request: web.Request) -> web.Response:
        """What is known of one user, as of a moment (``at``) or of the end of the log."""
        id, moment = _id(request), _moment(request)

        def answer(version: _Version) -> dict[str, Any]:
            trained_on = id in users(version.files)
            if self._explorer.look_up is None:
                return {"known": None, "trained_on": trained_on, "query": {}, "seen": []}
            record = self._explorer.look_up(version.files, id, moment)
            return {
                "known": record.known,
                "trained_on": trained_on,
                "query": dict(record.query),
                "seen": list(record.seen),
            }

        return await self._answered(request, answer)

    async def _answered(
        self, request: web.Request, answer: Callable[[_Version], dict[str, Any]]
    ) -> web.Response:
        """What ``answer`` says of the version asked about; files are read beside the event loop."""
        spec = model_pb2.ModelSpec(name=self._explorer.model)
        if version := request.query.get("version"):
            if not is_version(version):
                raise invalid(f"version: found {version!r}, expected a number")
            spec.version.value = int(version)
        content = await asyncio.to_thread(lambda: _or_refused(lambda: answer(self._version(spec))))
        return web.json_response(content, headers=_HEADERS)

    def _version(self, spec: model_pb2.ModelSpec) -> _Version:
        lease = self._registry.lease(spec)
        try:
            path = lease.model.path
            with self._reading:
                if path not in self._read:
                    available = self._registry.models[lease.name].available
                    self._read = {
                        place: read for place, read in self._read.items() if read.number in available
                    }
                    files = ModelFiles(path)
                    self._read[path] = _Version(lease.version, files, Catalogue(files))
                return self._read[path]
        finally:
            lease.release()


def _or_refused(answer: Callable[[], _Answer]) -> _Answer:
    """The answer; a model that cannot give it is a refusal that says why."""
    try:
        return answer()
    except RequestError:
        raise
    except ModelError as error:
        raise RequestError(grpc.StatusCode.FAILED_PRECONDITION, str(error)) from error


async def _to_page(request: web.Request) -> web.Response:
    # Relative, so that it holds behind a proxy that puts the server under a path of its own.
    return web.Response(status=302, headers={"Location": PATH.lstrip("/")})


def _file(name: str, kind: str) -> Callable[[web.Request], Any]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type=kind, headers=_HEADERS)

    return answer


def _id(request: web.Request) -> str:
    if "id" not in request.query:
        raise invalid(f"{request.path}: expected ?id=...")
    return request.query["id"]


def _moment(request: web.Request) -> int | None:
    text = request.query.get("at")
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise invalid(f"at: found {text!r}, expected whole seconds since 1970, UTC")
    return int(text)


def _count(request: web.Request, default: int) -> int:
    text = request.query.get("limit", str(default))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= _MOST_SHOWN):
        raise invalid(f"limit: found {text!r}, expected 1 to {_MOST_SHOWN}")
    return int(text)
