"""Requests that a server must refuse with a word on why, and odd ones that it must answer."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Literal

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from benchmarks.load.requests import Inputs, as_json, predict_request
from serving.contract import CANDIDATE_IDS, EXCLUDE, HISTORY, SCORES
from serving.tensors import Signature

_TIMEOUT = 60.0
_TEN_MB = 10 << 20
_SHORTEST_MESSAGE = 20
_REFUSALS = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED)
_HTTP_REFUSALS = (400, 413, 429)


@dataclass(frozen=True)
class Case:
    """One request and what must come of it.

    Attributes:
        name: In words.
        request: For gRPC; or the body for REST.
        wanted: ``refused``: INVALID_ARGUMENT or RESOURCE_EXHAUSTED, with a message; ``answered``; or
            ``either``, by what the catalogue's size lets the answer come to.
    """

    name: str
    request: predict_pb2.PredictRequest | bytes
    wanted: Literal["refused", "answered", "either"] = "refused"


def cases(signature: Signature, good: Inputs) -> list[Case]:
    """The requests, each a good one with one thing changed.

    Args:
        signature: ``recommend`` of the model that is asked.
        good: A request for one query that it answers.
    """

    def changed(**inputs: np.ndarray) -> predict_pb2.PredictRequest:
        return predict_request({**good, **inputs})

    def rows(count: int) -> dict[str, np.ndarray]:
        return {name: np.repeat(good[name], count, axis=0) for name in signature.row_inputs}

    words = {
        name: np.array(["nobody"], object)
        for name, spec in signature.row_inputs.items()
        if spec.dtype == tf.string and len(spec.shape) == 1
    }
    text = next(iter(words))
    floats = {
        name: np.full_like(good[name], np.nan)
        for name, spec in signature.row_inputs.items()
        if spec.dtype.is_floating and len(spec.shape) == 1
    }
    without = predict_request({name: array for name, array in good.items() if name != HISTORY})
    with_another = changed(**{"nonsense": np.zeros([1], np.float32)})
    hollow = changed()
    hollow.inputs[EXCLUDE].ClearField("string_val")
    hollow.inputs[EXCLUDE].tensor_shape.dim[1].size = 1 << 40
    strangers = np.array([[f"nobody-{n}" for n in range(4000)]], object)
    return [
        Case("k as a float", changed(k=np.float32(5))),
        Case("strings where numbers are", changed(k=np.array("5", object))),
        Case("a missing input", without),
        Case("an unknown input", with_another),
        Case("a string of 10 MB", changed(**{text: np.array([b"x" * _TEN_MB], object)})),
        Case("k = 0", changed(k=np.int32(0))),
        Case("k = -1", changed(k=np.int32(-1))),
        Case("no rows", changed(**rows(0))),
        Case("rows that disagree", changed(**{text: np.repeat(good[text], 3)})),
        Case("a vector where a matrix is", changed(exclude=np.array(["a"], object))),
        Case("a trillion exclusions claimed", hollow),
        Case("k = 10^9", changed(k=np.int32(10**9)), "either"),
        Case("k of the most", changed(k=np.int32(2**31 - 1)), "either"),
        Case("4,000 exclusions", changed(exclude=strangers), "answered"),
        Case("NaN for every number", changed(**floats), "answered"),
        Case("an unknown user of whom nothing known is said", changed(**words), "answered"),
        Case(
            "a history of unknown items", changed(**_history(signature, good, strangers[:, :50])), "answered"
        ),
        Case("REST: no JSON", b'{"inputs": '),
        Case("REST: neither inputs nor instances", b"{}"),
        Case("REST: k = 0", _json(good, k=0)),
        Case("REST: NaN for k", _json(good, k=float("nan"))),
        Case("REST: lists of different lengths", _json(good, exclude=[["a"], ["b", "c"]])),
        Case("REST: half of a character", _json(good, **{text: ["\ud800"]})),
        Case("REST: 10 MB", _json(good, **{text: ["x" * _TEN_MB]})),
    ]


def ask(case: Case, channel: grpc.Channel, url: str) -> str | None:
    """Sends a request; what is wrong with the answer, or None.

    Args:
        case: The request.
        channel: To the server, by gRPC.
        url: REST's URL of the model.
    """
    if isinstance(case.request, bytes):
        return _ask_rest(case, url)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    try:
        response = stub.Predict(case.request, timeout=_TIMEOUT)
    except grpc.RpcError as error:
        if case.wanted == "answered" or error.code() not in _REFUSALS:
            return f"expected {_expected(case)}, found {error.code().name}: {error.details()}"
        return _judged(error.details() or "")
    if case.wanted == "refused":
        return "expected a refusal, found an answer"
    return _judged_answer(response)


def _ask_rest(case: Case, url: str) -> str | None:
    request = urllib.request.Request(f"{url}:predict", case.request, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT):
            return "expected a refusal, found an answer" if case.wanted == "refused" else None
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()
        if error.code not in _HTTP_REFUSALS:
            return f"expected {_expected(case)}, found {error.code}: {body.decode(errors='replace')}"
        return _judged(json.loads(body)["error"])
    except OSError as error:
        return f"expected {_expected(case)}, found {error}"


def _judged(message: str) -> str | None:
    """What is wrong with a refusal's message."""
    if len(message) < _SHORTEST_MESSAGE or "{{node" in message or "[[" in message:
        return f"expected a message that helps, found {message!r}"
    return None


def _judged_answer(response: predict_pb2.PredictResponse) -> str | None:
    """What is wrong with an answer: every place has an id and a finite score, or neither."""
    ids, scores = (tf.make_ndarray(response.outputs[name]) for name in (CANDIDATE_IDS, SCORES))
    if ids.shape != scores.shape or not np.array_equal(ids != b"", np.isfinite(scores)):
        return f"expected an id to every finite score, found {ids[:, :3]} and {scores[:, :3]}"
    return None


def _expected(case: Case) -> str:
    return "an answer" if case.wanted == "answered" else " or ".join(code.name for code in _REFUSALS)


def _history(signature: Signature, good: Inputs, ids: np.ndarray) -> dict[str, np.ndarray]:
    """A history of these events, what goes with it as wide."""
    beside = {
        name: np.zeros(ids.shape, good[name].dtype)
        for name in signature.row_inputs
        if name.startswith(f"{HISTORY}_") and good[name].dtype != object
    }
    return {HISTORY: ids, **beside}


def _json(good: Inputs, **changes: object) -> bytes:
    body = json.loads(as_json([good])[0])
    body["inputs"] |= changes
    return json.dumps(body).encode()
