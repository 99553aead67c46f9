"""Requests that TensorFlow Serving replays before it lets a new version answer."""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

from components.assemble.signature_names import CANDIDATE_IDS, DIVERSITY, EXCLUDE, K, is_filter_input

WARMUP_FILE = "tf_serving_warmup_requests"
"""Name of the file in ``assets.extra``; TensorFlow Serving looks for exactly this one."""
_BATCH_SIZES = (1, 8)
_WARM_K = 10
_WARM_DIVERSITY = 0.5


def warmup_requests(
    signatures: Mapping[str, tf.types.experimental.ConcreteFunction],
    known_id: bytes,
) -> list[prediction_log_pb2.PredictionLog]:
    """One request per signature and batch size, for a query nothing is known about.

    Where a signature takes filters or a diversity there is another request that gives them: what it runs
    then is another part of the graph.

    Args:
        signatures: The served signatures by name.
        known_id: Id of some candidate, for the signature that ranks given ones.
    """
    specs = {name: function.structured_input_signature[0][0] for name, function in signatures.items()}
    return [
        _log(name, _inputs(inputs, batch, known_id, choosy))
        for name, inputs in specs.items()
        for choosy in (False, True)[: 1 + any(is_filter_input(own) or own == DIVERSITY for own in inputs)]
        for batch in _BATCH_SIZES
    ]


def write_warmup(path: str, requests: list[prediction_log_pb2.PredictionLog]) -> None:
    """Writes the requests as the TFRecord file that TensorFlow Serving reads."""
    with tf.io.TFRecordWriter(path) as writer:
        for request in requests:
            writer.write(request.SerializeToString())


def _inputs(
    specs: Mapping[str, tf.TensorSpec], batch: int, known_id: bytes, choosy: bool
) -> dict[str, tf.Tensor]:
    """Tensors for the specs: missing values everywhere, one candidate to rank, ``k`` of ten."""
    fixed = {
        K: tf.constant(_WARM_K, tf.int32),
        CANDIDATE_IDS: tf.fill([batch, 1], known_id),
        EXCLUDE: tf.fill([batch, 1], ""),
        DIVERSITY: tf.constant(_WARM_DIVERSITY if choosy else 0.0),
    }
    for name in filter(is_filter_input, specs):
        dtype = specs[name].dtype
        bounds = [-math.inf, math.inf] if choosy else [math.nan, math.nan]
        # An id is no value that passes: the index finds too few, and all candidates are looked at.
        own = [known_id if choosy else b""] if dtype == tf.string else bounds
        fixed[name] = tf.constant([own] * batch, dtype)
    return {name: fixed[name] if name in fixed else _empty(spec, batch) for name, spec in specs.items()}


def _empty(spec: tf.TensorSpec, batch: int) -> tf.Tensor:
    shape = [batch, *(1 if size is None else size for size in spec.shape[1:])]
    return tf.fill(shape, "") if spec.dtype == tf.string else tf.zeros(shape, spec.dtype)


def _log(signature: str, inputs: Mapping[str, tf.Tensor]) -> prediction_log_pb2.PredictionLog:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(signature_name=signature))
    for name, tensor in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(tensor))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
