"""Requests for ``recommend`` of people there are, for a model that is served."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2

from serving.client import MODEL_NAME
from serving.contract import EXCLUDE, EXTRA
from serving.loaded_model import LoadedModel
from serving.queries import search_of
from serving.tensors import Signature, as_inputs, from_proto, to_proto
from serving.versions import ModelConfig, ServedModel
from serving.warmup import WARMUP_FILE, recorded_requests

SIGNATURE = "recommend"
_EVAL = "artifacts/InteractionGen/examples/*/Split-eval/*.gz"
_MOST_ELEMENTS = 1 << 24

Inputs = Mapping[str, np.ndarray]


@contextlib.contextmanager
def newest_model(base_path: Path) -> Iterator[LoadedModel]:
    """The newest version of a base path, in this process.

    Raises:
        FileNotFoundError: If there is none that loads.
    """
    served = ServedModel(ModelConfig("model", base_path))
    served.refresh(at_once=True)
    if not served.available:
        reasons = "; ".join(status.error or "" for status in served.statuses()) or "it holds no version"
        raise FileNotFoundError(f"no model can be loaded from {base_path}: {reasons}")
    lease = served.lease(None, None)
    try:
        yield lease.model
    finally:
        lease.release()
        served.close()


def requests_of(
    run_root: Path | None, model: Path | None, count: int, k: int
) -> tuple[Path, list[dict[str, np.ndarray]]]:
    """The newest version of a run or of a base path, and requests for it.

    Args:
        run_root: A run's root; the requests are of its eval split. Or:
        model: A base path, or one version; the requests are its warm-up's.
        count: How many requests, at most.
        k: Candidates to ask for.

    Raises:
        FileNotFoundError: If there is no such model, or nothing to make requests of.
    """
    with newest_model(run_root / "serving" if run_root else model) as loaded:
        if run_root:
            return loaded.path, inputs_of_run(run_root, loaded.signature(SIGNATURE), count, k)
        return loaded.path, inputs_of_warmup(loaded)


def inputs_of_run(run_root: Path, signature: Signature, count: int, k: int) -> list[dict[str, np.ndarray]]:
    """One request a query for queries of a run's eval split, spread evenly over it.

    Args:
        run_root: A run's root, of which the examples are still there.
        signature: The ``recommend`` that is asked.
        count: How many, at most.
        k: Candidates to ask for.

    Raises:
        FileNotFoundError: If the run has no examples of the eval split.
    """
    files = sorted(run_root.glob(_EVAL))
    if not files:
        raise FileNotFoundError(
            f"there are no examples at {run_root / _EVAL}; expected the root of a finished run, or give "
            "--model for a model without its run"
        )
    newest = [file for file in files if file.parents[1] == max(file.parents[1] for file in files)]
    records = tf.data.TFRecordDataset([str(file) for file in newest], "GZIP")
    total = sum(1 for _ in records)
    chosen = records.shard(max(1, total // count), 0).take(count).as_numpy_iterator()
    return inputs_of_queries((_query(signature, record) for record in chosen), signature, k)


def inputs_of_warmup(model: LoadedModel) -> list[dict[str, np.ndarray]]:
    """A model's own warm-up requests for one query; they ask for nobody in particular.

    Raises:
        FileNotFoundError: If there are none.
    """
    signature = model.signature(SIGNATURE)
    found = []
    for _, request in recorded_requests(model.path):
        if request.model_spec.signature_name == SIGNATURE:
            inputs = {
                name: from_proto(spec, request.inputs[name], _MOST_ELEMENTS)
                for name, spec in signature.inputs.items()
            }
            if len(inputs[EXCLUDE]) == 1:
                found.append(inputs)
    if not found:
        file = model.path / EXTRA / WARMUP_FILE
        raise FileNotFoundError(f"{file} has no request for {SIGNATURE}; expected a model of Westwork's")
    return found


def inputs_of_queries(
    queries: Iterator[dict[str, Any]], signature: Signature, k: int
) -> list[dict[str, np.ndarray]]:
    """One request a query, each a feature to its value."""
    return [
        as_inputs(signature, search_of(signature, [query], k, [query.get(EXCLUDE, ())])) for query in queries
    ]


def as_grpc(inputs: Sequence[Inputs]) -> list[bytes]:
    """Serialised PredictRequests."""
    return [predict_request(one).SerializeToString() for one in inputs]


def predict_request(inputs: Inputs) -> predict_pb2.PredictRequest:
    """A request as any TensorFlow Serving client makes it."""
    request = predict_pb2.PredictRequest(
        model_spec=model_pb2.ModelSpec(name=MODEL_NAME, signature_name=SIGNATURE)
    )
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(to_proto(array))
    return request


def as_json(inputs: Sequence[Inputs]) -> list[bytes]:
    """Bodies of REST's ``:predict``."""
    return [
        json.dumps(
            {"signature_name": SIGNATURE, "inputs": {name: _listed(array) for name, array in one.items()}}
        ).encode()
        for one in inputs
    ]


def _query(signature: Signature, record: bytes) -> dict[str, Any]:
    """A raw example's features that the signature takes."""
    query: dict[str, Any] = {}
    for name, feature in tf.train.Example.FromString(record).features.feature.items():
        spec = signature.inputs.get(name)
        if spec is not None and spec.shape:
            values = list(getattr(feature, feature.WhichOneof("kind") or "bytes_list").value)
            query[name] = values if len(spec.shape) > 1 else next(iter(values), None)
    return query


def _listed(array: np.ndarray) -> Any:
    values = array.tolist()
    return _texts(values) if array.dtype == object else values


def _texts(values: Any) -> Any:
    if isinstance(values, list):
        return [_texts(value) for value in values]
    return values.decode() if isinstance(values, bytes) else values
