"""Asking a server for recommendations: this project's or any TensorFlow Serving.

Example:
    >>> with Recommender("localhost:8500") as recommender:  # doctest: +SKIP
    ...     found = recommender.recommend({"user_id": "42", "history": ["50", "172"]}, k=10)
    ...     print([item.id for item in found.items])
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.answer import Answered
from serving.contract import CANDIDATE_IDS, EMBEDDING, SCORES
from serving.errors import RequestError, not_found
from serving.queries import Filters, batch_of, search_of
from serving.tensors import Signature, as_inputs, signatures_of, to_proto

MODEL_NAME = "recommender"
"""What a server calls its model unless told otherwise."""

Query = Mapping[str, Any]
"""Feature to value, as the model's data declare them; what is absent is missing."""


@dataclass(frozen=True)
class Item:
    """One place of a list.

    Attributes:
        id: The candidate's.
        score: What the list is ordered by.
        heads: What the ranking model predicts, such as ``positive``; None where it does not say.
    """

    id: str
    score: float
    heads: Mapping[str, float | None]


@dataclass(frozen=True)
class Ranked:
    """The list for one query.

    Attributes:
        version: Of the model.
        items: Best first; fewer than were asked for where exclusions leave fewer.
    """

    version: str
    items: tuple[Item, ...]


class Recommender:
    """A model on a server. Threads may share one."""

    def __init__(
        self,
        target: str,
        model: str = MODEL_NAME,
        *,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 5.0,
        attempts: int = 4,
        credentials: grpc.ChannelCredentials | None = None,
        message_bytes: int = 64 << 20,
    ) -> None:
        """Connects when first asked.

        Args:
            target: ``HOST:PORT`` of gRPC.
            model: Its name there.
            version: Ask this one; by default the highest the server has.
            label: Ask the version so labelled, such as ``canary``, instead.
            timeout: Seconds until a call is given up, all of its attempts together.
            attempts: How often a call is made while the server is unavailable, 1 to 5, each after a longer
                pause; a call that was answered, even with an error, is not made again.
            credentials: For TLS, such as ``grpc.ssl_channel_credentials(open("ca.pem", "rb").read())``.
            message_bytes: Size of an answer.

        Raises:
            ValueError: If both a version and a label are given, or attempts are out of bounds.
        """
        if version is not None and label is not None:
            raise ValueError(f"expected a version or a label, found version {version} and label {label!r}")
        if not 1 <= attempts <= 5:
            raise ValueError(f"attempts: found {attempts}, expected 1 to 5")
        self.target, self.model = target, model
        self._version, self._label, self._timeout = version, label, timeout
        options = [
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
            ("grpc.service_config", _service_config(attempts)),
        ]
        self._channel = (
            grpc.insecure_channel(target, options)
            if credentials is None
            else grpc.secure_channel(target, credentials, options)
        )
        self._predict = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(self._channel)
        self._signatures: dict[str, Signature] = {}

    def __enter__(self) -> Recommender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def place(self) -> str:
        """Where the model is."""
        return f"{self.target}, model {self.model}"

    def close(self) -> None:
        """Ends the connection."""
        self._channel.close()

    def recommend(
        self,
        query: Query,
        k: int,
        exclude: Sequence[str] = (),
        filters: Filters | None = None,
        diversity: float = 0.0,
    ) -> Ranked:
        """The best candidates for one query: retrieved, filtered, ranked.

        Args:
            query: Its features.
            k: How many, at least 1.
            exclude: Candidates that must not be among them.
            filters: What they must be like, ``{"genres": ["Comedy", "Crime"], "year": (1990, None)}``: each
                filter the model has may be given.
            diversity: From 0 to below 1: how much it counts that they differ from each other.

        Raises:
            RequestError: If the server refuses or cannot be reached; its code says which.
        """
        return self.recommend_batch([query], k, [exclude], [filters or {}], diversity)[0]

    def recommend_batch(
        self,
        queries: Sequence[Query],
        k: int,
        exclude: Sequence[Sequence[str]] = (),
        filters: Sequence[Filters] = (),
        diversity: float = 0.0,
    ) -> list[Ranked]:
        """:meth:`recommend` for several queries in one call.

        Args:
            queries: Their features; at least one.
            k: How many for each.
            exclude: Candidates for each query that must not be among its; none at all by default.
            filters: Of each query; none at all by default.
            diversity: Of all lists.

        Returns:
            A list for each, in their order.
        """
        return self._lists("recommend", queries, k, exclude, filters, diversity)

    def retrieve(
        self, query: Query, k: int, exclude: Sequence[str] = (), filters: Filters | None = None
    ) -> Ranked:
        """The candidates that the index finds, without the ranking model; otherwise :meth:`recommend`."""
        return self._lists("retrieve", [query], k, [exclude], [filters or {}])[0]

    def rank(self, query: Query, candidates: Sequence[str]) -> dict[str, dict[str, float | None]]:
        """What the ranking model says of given candidates.

        Args:
            query: Its features.
            candidates: Their ids; for one that is not in the catalogue every head is None.

        Returns:
            Candidate to head to prediction.

        Raises:
            RequestError: As of :meth:`recommend`.
        """
        outputs = self.ask("rank", self._inputs("rank", [{**query, CANDIDATE_IDS: candidates}])).outputs
        return {
            id: {name: _finite(values[0][place]) for name, values in outputs.items()}
            for place, id in enumerate(candidates)
        }

    def embed_query(self, query: Query) -> np.ndarray:
        """A query's embedding, float32 [dim].

        Raises:
            RequestError: As of :meth:`recommend`.
        """
        return self.ask("embed_query", self._inputs("embed_query", [query])).outputs[EMBEDDING][0]

    def embed_candidate(self, candidate: Query) -> np.ndarray:
        """A candidate's embedding, float32 [dim], from its features alone: also of one that is new.

        Raises:
            RequestError: As of :meth:`recommend`.
        """
        inputs = self._inputs("embed_candidate", [candidate])
        return self.ask("embed_candidate", inputs).outputs[EMBEDDING][0]

    def ask(self, signature: str, inputs: Mapping[str, Any], outputs: Sequence[str] = ()) -> Answered:
        """Asks a signature of any model.

        Args:
            signature: Its name.
            inputs: Every input, as anything that converts to its dtype and shape.
            outputs: The outputs to get; all by default.

        Returns:
            The outputs by name; strings as [...] object arrays of bytes.

        Raises:
            RequestError: INVALID_ARGUMENT, before anything is sent, where an input is none; else as of
                :meth:`recommend`.
        """
        arrays = as_inputs(self.signature(signature), inputs)
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature), output_filter=outputs)
        for name, array in arrays.items():
            request.inputs[name].CopyFrom(to_proto(array))
        try:
            response = self._call(self._predict.Predict, request)
        except RequestError:
            # Another version may have come, that takes something else: ask what before the next call.
            self._signatures = {}
            raise
        return Answered(
            str(response.model_spec.version.value),
            {name: tf.make_ndarray(proto) for name, proto in response.outputs.items()},
        )

    def signature(self, name: str) -> Signature:
        """Names, dtypes and shapes of a signature's inputs and outputs; asked for once, and after an error.

        Raises:
            RequestError: NOT_FOUND, where the model has no such signature; else as of :meth:`recommend`.
        """
        if name not in self._signatures:
            request = get_model_metadata_pb2.GetModelMetadataRequest(
                model_spec=self._spec(), metadata_field=["signature_def"]
            )
            response = self._call(self._predict.GetModelMetadata, request)
            definitions = get_model_metadata_pb2.SignatureDefMap()
            response.metadata["signature_def"].Unpack(definitions)
            self._signatures = signatures_of(definitions.signature_def)
        if name not in self._signatures:
            known = ", ".join(sorted(self._signatures))
            raise not_found(
                f"model {self.model!r} at {self.target} has no signature {name!r}; it has {known}"
            )
        return self._signatures[name]

    def versions(self) -> dict[int, str]:
        """The model's versions and their states, such as ``AVAILABLE``.

        Raises:
            RequestError: As of :meth:`recommend`.
        """
        request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name=self.model))
        response = self._call(self._models.GetModelStatus, request)
        state = get_model_status_pb2.ModelVersionStatus.State
        return {status.version: state.Name(status.state) for status in response.model_version_status}

    def _lists(
        self,
        signature: str,
        queries: Sequence[Query],
        k: int,
        exclude: Sequence[Sequence[str]],
        filters: Sequence[Filters],
        diversity: float = 0.0,
    ) -> list[Ranked]:
        asked = search_of(self.signature(signature), queries, k, exclude, filters, diversity)
        answered = self.ask(signature, asked)
        return [ranked(answered, row) for row in range(len(queries))]

    def _inputs(self, signature: str, queries: Sequence[Query]) -> dict[str, np.ndarray]:
        return batch_of(self.signature(signature).row_inputs, queries)

    def _spec(self, signature: str = "") -> model_pb2.ModelSpec:
        spec = model_pb2.ModelSpec(name=self.model, signature_name=signature)
        if self._version is not None:
            spec.version.value = self._version
        if self._label is not None:
            spec.version_label = self._label
        return spec

    def _call(self, method: Any, request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if code is grpc.StatusCode.UNAVAILABLE:
                details = f"no server answers at {self.target}: {details}"
            elif code is grpc.StatusCode.DEADLINE_EXCEEDED:
                details = f"no answer from {self.target} within {self._timeout:g} s"
            raise RequestError(code, details) from error


def ranked(answered: Answered, row: int) -> Ranked:
    """The filled places of one list of ``recommend``'s or ``retrieve``'s.

    Args:
        answered: The outputs.
        row: Whose list.
    """
    outputs = answered.outputs
    heads = heads_of(outputs)
    items = tuple(
        Item(
            id=id.decode(),
            score=float(outputs[SCORES][row][place]),
            heads={name: _finite(outputs[name][row][place]) for name in heads},
        )
        for place, id in enumerate(outputs[CANDIDATE_IDS][row])
        if id
    )
    return Ranked(answered.version, items)


def heads_of(outputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The ranking model's heads among the outputs, always in the same order."""
    return tuple(sorted(set(outputs) - {CANDIDATE_IDS, SCORES}, reverse=True))


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _service_config(attempts: int) -> str:
    """Retries by gRPC itself, for calls that the server has not begun to answer, and turns.

    Calls go round the addresses that a target resolves to, such as the pods of a headless Service.
    """
    config: dict[str, Any] = {
        "methodConfig": [{"name": [{}]}],
        "loadBalancingConfig": [{"round_robin": {}}],
    }
    if attempts > 1:
        config["methodConfig"][0]["retryPolicy"] = {
            "maxAttempts": attempts,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 3,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
    return json.dumps(config)
