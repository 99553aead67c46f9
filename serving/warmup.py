"""Warm-up: a model's recorded requests, replayed before it answers anybody."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from serving.contract import EXTRA
from serving.errors import ModelError, RequestError
from serving.loaded_model import LoadedModel
from serving.tensors import check_names, checked_outputs, from_proto

WARMUP_FILE = "tf_serving_warmup_requests"
"""Name of the file in ``assets.extra``; TensorFlow Serving looks for exactly this one."""
_MOST_RECORDS = 1000
_MOST_ELEMENTS = 1 << 24

_log = logging.getLogger(__name__)


def warm_up(model: LoadedModel) -> int:
    """Replays the Predict requests beside a model, each once.

    Args:
        model: The model; without such a file, nothing is done.

    Returns:
        How many were replayed.

    Raises:
        ModelError: As of :func:`recorded_requests`, or if a request fails: such a model would fail its users.
    """
    replayed = 0
    for place, request in recorded_requests(model.path):
        _replay(model, request, place)
        replayed += 1
    return replayed


def recorded_requests(path: Path) -> Iterator[tuple[str, predict_pb2.PredictRequest]]:
    """The Predict requests beside a model, each with its place in words; none without such a file.

    Args:
        path: The SavedModel's directory.

    Raises:
        ModelError: If the file is damaged or holds more than TensorFlow Serving's thousand.
    """
    file = path / EXTRA / WARMUP_FILE
    if not file.is_file():
        return
    try:
        for number, record in enumerate(tf.data.TFRecordDataset(str(file)).as_numpy_iterator(), start=1):
            if number > _MOST_RECORDS:
                raise ModelError(f"{file}: found more than {_MOST_RECORDS:,} requests, expected fewer")
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                _log.warning("%s: request %d is no Predict request and was not replayed", file, number)
                continue
            yield f"{file}: request {number}", log.predict_log.request
    except (tf.errors.OpError, DecodeError) as error:
        raise ModelError(f"{file} is damaged: {error}") from error


def _replay(model: LoadedModel, request: predict_pb2.PredictRequest, place: str) -> None:
    try:
        signature = model.signature(request.model_spec.signature_name)
        check_names(signature, request.inputs)
        inputs = {
            name: from_proto(spec, request.inputs[name], _MOST_ELEMENTS)
            for name, spec in signature.inputs.items()
        }
        model.run(signature, inputs, checked_outputs(signature, request.output_filter))
    except RequestError as error:
        raise ModelError(f"{place} fails: {error}") from error
