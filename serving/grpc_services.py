"""TensorFlow Serving's gRPC services, with the stubs of tensorflow-serving-api."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    status_pb2,
)

from serving.errors import RequestError, invalid, status_code
from serving.metrics import Metrics
from serving.predictor import Predictor, answered_spec
from serving.registry import Registry, model_configs
from serving.tensors import Signature, check_names, from_proto, to_proto
from serving.versions import VersionStatus

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
SIGNATURE_DEF = "signature_def"

_log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


def metadata_of(
    registry: Registry, request: get_model_metadata_pb2.GetModelMetadataRequest
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """The signatures of a version.

    Raises:
        RequestError: If there is no such version, or other metadata than ``signature_def`` are asked for.
    """
    for name in request.metadata_field or [""]:
        if name != SIGNATURE_DEF:
            raise invalid(f"metadata_field: found {name!r}, expected {SIGNATURE_DEF!r}")
    lease = registry.lease(request.model_spec)
    try:
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in lease.model.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        response = get_model_metadata_pb2.GetModelMetadataResponse(
            model_spec=answered_spec(lease.name, lease.version)
        )
        response.metadata[SIGNATURE_DEF].Pack(signatures)
        return response
    finally:
        lease.release()


def status_of(
    registry: Registry, request: get_model_status_pb2.GetModelStatusRequest
) -> get_model_status_pb2.GetModelStatusResponse:
    """How the versions of a model are.

    Raises:
        RequestError: If there is no such model or version.
    """
    return get_model_status_pb2.GetModelStatusResponse(
        model_version_status=map(_version_status, registry.statuses(request.model_spec))
    )


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers requests."""

    def __init__(
        self, predictor: Predictor, registry: Registry, metrics: Metrics, message_bytes: int
    ) -> None:
        """What it needs.

        Args:
            predictor: Answers Predict.
            registry: The models.
            metrics: What it counts into.
            message_bytes: Size of a request, which bounds its tensors' too.
        """
        self._predictor, self._registry, self._metrics = predictor, registry, metrics
        self._most = message_bytes

    async def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.aio.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature; see :meth:`Predictor.predict`."""

        def inputs(signature: Signature) -> dict[str, Any]:
            check_names(signature, request.inputs)
            return {
                name: from_proto(spec, request.inputs[name], self._most)
                for name, spec in signature.inputs.items()
            }

        async def answer() -> predict_pb2.PredictResponse:
            prediction = await self._predictor.predict(request.model_spec, inputs, request.output_filter)
            response = predict_pb2.PredictResponse(model_spec=prediction.spec)
            for name, array in prediction.outputs.items():
                response.outputs[name].CopyFrom(to_proto(array))
            return response

        began = time.perf_counter()
        code = grpc.StatusCode.CANCELLED
        try:
            response = await _answered(context, answer)
            code = grpc.StatusCode.OK
            return response
        except grpc.aio.AbortError:
            code = status_code(context.code())
            raise
        except asyncio.CancelledError:
            if context.time_remaining() == 0:
                code = grpc.StatusCode.DEADLINE_EXCEEDED
            raise
        finally:
            known = self._registry.known(request.model_spec.name)
            self._metrics.request(known, "Predict", "GRPC", code, time.perf_counter() - began)

    async def GetModelMetadata(
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.aio.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """Tells a version's signatures."""
        return await _answered(context, lambda: asyncio.to_thread(metadata_of, self._registry, request))

    async def Classify(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Refused."""
        await self._refuse(request.model_spec, context, "Classify")

    async def Regress(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Refused."""
        await self._refuse(request.model_spec, context, "Regress")

    async def MultiInference(self, request: Any, context: grpc.aio.ServicerContext) -> None:
        """Refused."""
        spec = request.tasks[0].model_spec if request.tasks else model_pb2.ModelSpec()
        await self._refuse(spec, context, "MultiInference")

    async def _refuse(
        self, spec: model_pb2.ModelSpec, context: grpc.aio.ServicerContext, method: str
    ) -> None:
        code = grpc.StatusCode.UNIMPLEMENTED
        self._metrics.request(self._registry.known(spec.name), method, "GRPC", code, 0.0)
        await context.abort(
            code,
            f"{method} takes tf.Example, which no signature here does: ask Predict, with tensors by name; "
            "GetModelMetadata tells them",
        )


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    """Tells and changes which models are served."""

    def __init__(self, registry: Registry) -> None:
        """What it needs.

        Args:
            registry: The models.
        """
        self._registry = registry

    async def GetModelStatus(
        self, request: get_model_status_pb2.GetModelStatusRequest, context: grpc.aio.ServicerContext
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """Tells how a model's versions are."""

        async def answer() -> get_model_status_pb2.GetModelStatusResponse:
            return status_of(self._registry, request)

        return await _answered(context, answer)

    async def HandleReloadConfigRequest(
        self, request: model_management_pb2.ReloadConfigRequest, context: grpc.aio.ServicerContext
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves other models, versions or labels; answers when they answer."""

        async def answer() -> model_management_pb2.ReloadConfigResponse:
            configs = model_configs(request.config)
            _log.info("reloading: %s", "; ".join(map(str, configs)) or "no models")
            await asyncio.to_thread(self._registry.reload, configs)
            return model_management_pb2.ReloadConfigResponse(status=status_pb2.StatusProto())

        return await _answered(context, answer)


class Health(health.aio.HealthServicer):
    """gRPC's own health service: serving while every model has a version that answers."""

    async def tell(self, ready: bool) -> None:
        """Says so of the server as a whole and of each service.

        Args:
            ready: Whether requests can be answered.
        """
        state = health_pb2.HealthCheckResponse
        for name in (health.OVERALL_HEALTH, PREDICTION_SERVICE, MODEL_SERVICE):
            await self.set(name, state.SERVING if ready else state.NOT_SERVING)


def add_services(
    server: grpc.aio.Server, prediction: PredictionService, model: ModelService, healthy: Health
) -> None:
    """Adds the services to a server, and reflection of all of them."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(prediction, server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, server)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    _describe_services()
    names = (PREDICTION_SERVICE, MODEL_SERVICE, health.SERVICE_NAME, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server)


async def _answered(context: grpc.aio.ServicerContext, answer: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """The answer; a refusal becomes the RPC's status, and so does what nobody foresaw."""
    try:
        return await answer()
    except RequestError as error:
        await context.abort(error.code, str(error))
        raise AssertionError("abort does not return") from error
    except Exception as error:
        _log.exception("a request failed")
        await context.abort(grpc.StatusCode.INTERNAL, f"internal error: {error}")
        raise AssertionError("abort does not return") from error


def _version_status(status: VersionStatus) -> get_model_status_pb2.ModelVersionStatus:
    proto = get_model_status_pb2.ModelVersionStatus(version=status.version, state=status.state)
    if status.error is None:
        proto.status.SetInParent()
    else:
        proto.status.error_code = grpc.StatusCode.FAILED_PRECONDITION.value[0]
        proto.status.error_message = status.error
    return proto


def _describe_services() -> None:
    """Makes the services' descriptors known, which reflection tells.

    The modules of tensorflow-serving-api that hold them are written for an older protobuf: under this one
    importing them ends in an AttributeError, after the descriptor has been registered.
    """
    pool = descriptor_pool.Default()
    for module, service in (("prediction_service", PREDICTION_SERVICE), ("model_service", MODEL_SERVICE)):
        with contextlib.suppress(AttributeError):
            importlib.import_module(f"tensorflow_serving.apis.{module}_pb2")
        pool.FindServiceByName(service)
