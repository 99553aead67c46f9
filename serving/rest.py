"""TensorFlow Serving's REST interface."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from aiohttp import web
from aiohttp.typedefs import Middleware
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from serving import grpc_services, rest_json
from serving.browsers import check_sender
from serving.connections import Connections
from serving.contract import is_version
from serving.draining import Doors
from serving.errors import RequestError, invalid
from serving.metrics import Metrics
from serving.predictor import Predictor
from serving.registry import Registry

METRICS_PATH = "/monitoring/prometheus/metrics"

_log = logging.getLogger(__name__)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_HTTP: dict[grpc.StatusCode, int] = {
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""TensorFlow Serving's number for each code; 500 for the others."""


def application(
    predictor: Predictor,
    registry: Registry,
    metrics: Metrics,
    doors: Doors,
    connections: Connections,
    loopback: bool,
    message_bytes: int,
    timeout: float,
) -> web.Application:
    """The routes of one server.

    Args:
        predictor: Answers ``:predict``.
        registry: The models.
        metrics: What is counted into, and told.
        doors: Where requests come in.
        connections: What they come by.
        loopback: Whether the server listens on this machine alone; see :func:`check_sender`.
        message_bytes: Size of a request.
        timeout: Seconds until a ``:predict`` is given up.
    """
    app = web.Application(
        client_max_size=message_bytes,
        middlewares=[_entering(doors, connections), _errors_as_json, _from_here(loopback)],
    )
    rest = _Rest(predictor, registry, metrics, timeout, connections.limits.body_seconds)
    model = rf"/{_word('v1')}/{_word('models')}/{{name:[^/:]+}}"
    chosen = ("", rf"/{_word('versions')}/{{version:\d+}}", rf"/{_word('labels')}/{{label:[^/:]+}}")
    for version in chosen:
        app.router.add_get(f"{model}{version}", rest.status, allow_head=False)
        app.router.add_get(f"{model}{version}/{_word('metadata')}", rest.metadata, allow_head=False)
        app.router.add_post(f"{model}{version}:{_word('predict')}", rest.predict)
        app.router.add_post(f"{model}{version}:{{method:(?i:classify|regress)}}", rest.refuse)
    app.router.add_get(METRICS_PATH, rest.metrics)
    return app


def _word(word: str) -> str:
    """A part of a path in any case, as TensorFlow Serving takes it."""
    return f"{{{word}:(?i:{word})}}"


class _Rest:
    """The handlers."""

    def __init__(
        self, predictor: Predictor, registry: Registry, metrics: Metrics, timeout: float, body_seconds: float
    ) -> None:
        self._predictor, self._registry, self._metrics = predictor, registry, metrics
        self._timeout, self._body_seconds = timeout, body_seconds

    async def predict(self, request: web.Request) -> web.Response:
        began = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            response = await self._predict(request)
            code = grpc.StatusCode.OK
            return response
        except RequestError as error:
            code = error.code
            raise
        except web.HTTPRequestEntityTooLarge:
            code = grpc.StatusCode.RESOURCE_EXHAUSTED
            raise
        except web.HTTPException:
            # A body that is not as its headers say, such as no gzip.
            code = grpc.StatusCode.INVALID_ARGUMENT
            raise
        except Exception:
            code = grpc.StatusCode.INTERNAL
            raise
        finally:
            self._count(request, "predict", code, time.perf_counter() - began)

    async def _predict(self, request: web.Request) -> web.Response:
        spec = _model_spec(request)
        try:
            async with asyncio.timeout(self._body_seconds):
                body = await request.read()
        except TimeoutError as error:
            raise web.HTTPRequestTimeout(text=f"no body within {self._body_seconds:g} s") from error
        asked = rest_json.JsonRequest.of(body)
        spec.signature_name = asked.signature
        try:
            async with asyncio.timeout(self._timeout):
                prediction = await self._predictor.predict(spec, asked.inputs)
        except TimeoutError as error:
            message = f"no answer within {self._timeout:g} s"
            raise RequestError(grpc.StatusCode.DEADLINE_EXCEEDED, message) from error
        return _json(rest_json.answer(prediction.outputs, asked.format))

    async def status(self, request: web.Request) -> web.Response:
        asked = get_model_status_pb2.GetModelStatusRequest(model_spec=_model_spec(request))
        return _json(_as_json(grpc_services.status_of(self._registry, asked)))

    async def metadata(self, request: web.Request) -> web.Response:
        asked = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=_model_spec(request), metadata_field=[grpc_services.SIGNATURE_DEF]
        )
        return _json(await asyncio.to_thread(self._metadata, asked))

    def _metadata(self, asked: get_model_metadata_pb2.GetModelMetadataRequest) -> str:
        found = grpc_services.metadata_of(self._registry, asked)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        found.metadata[grpc_services.SIGNATURE_DEF].Unpack(signatures)
        return json.dumps(
            {
                "model_spec": json.loads(_as_json(found.model_spec)),
                "metadata": {grpc_services.SIGNATURE_DEF: json.loads(_as_json(signatures))},
            }
        )

    async def refuse(self, request: web.Request) -> web.Response:
        method, code = request.match_info["method"].lower(), grpc.StatusCode.UNIMPLEMENTED
        self._count(request, method, code, 0.0)
        raise RequestError(
            code,
            f"{method} takes tf.Example, which no signature here does: ask :predict",
        )

    def _count(self, request: web.Request, method: str, code: grpc.StatusCode, seconds: float) -> None:
        known = self._registry.known(request.match_info["name"])
        self._metrics.request(known, method, "REST", code, seconds)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.page(), content_type="text/plain", charset="utf-8")


def _entering(doors: Doors, connections: Connections) -> Middleware:
    """Lets requests in by the doors; who is to leave is told that the connection ends with the answer."""

    @web.middleware
    async def enter(request: web.Request, handler: _Handler) -> web.StreamResponse:
        with connections.answering(request):
            await doors.enter()
            response = await handler(request)
        if doors.leaving:
            response.force_close()
        return response

    return enter


def _from_here(loopback: bool) -> Middleware:
    @web.middleware
    async def check(request: web.Request, handler: _Handler) -> web.StreamResponse:
        check_sender(request, loopback)
        return await handler(request)

    return check


@web.middleware
async def _errors_as_json(request: web.Request, handler: _Handler) -> web.StreamResponse:
    """Every error has TensorFlow Serving's form: ``{"error": "..."}``."""
    try:
        return await handler(request)
    except RequestError as error:
        return _json(json.dumps({"error": str(error)}), _HTTP.get(error.code, 500))
    except web.HTTPException as error:
        message = error.text or error.reason
        status = error.status
        if status in (404, 405):
            # TensorFlow Serving's numbers: what is not of its interface at all is not found.
            status = 400 if request.path.lower().startswith("/v1/") else 404
            message = (
                f"Malformed request: {request.method} {request.path}; expected GET "
                "/v1/models/NAME[/versions/V|/labels/L][/metadata] or POST "
                "/v1/models/NAME[/versions/V|/labels/L]:predict"
            )
        return _json(json.dumps({"error": message}), status)
    except Exception as error:
        _log.exception("%s %s failed", request.method, request.path)
        return _json(json.dumps({"error": f"internal error: {error}"}), 500)


def _model_spec(request: web.Request) -> model_pb2.ModelSpec:
    found = request.match_info
    spec = model_pb2.ModelSpec(name=found["name"])
    if "version" in found:
        if not is_version(found["version"]):
            raise invalid(f"version: found {found['version']}, expected a 64-bit number")
        spec.version.value = int(found["version"])
    if "label" in found:
        spec.version_label = found["label"]
    return spec


def _as_json(message: Any) -> str:
    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(text=text, content_type="application/json", status=status)
