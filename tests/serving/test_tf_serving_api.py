"""TensorFlow Serving's gRPC interface, asked with nothing but the stubs of tensorflow-serving-api.

The same tests run against the embedded server and against TensorFlow Serving itself: where its binary
``tensorflow_model_server`` is on the PATH, or where ``TF_SERVING_TARGET=HOST:PORT`` names a server. That one
is told to serve the tests' model, which is written to ``TF_SERVING_MODELS``, a directory that both see at the
same path (by default pytest's temporary one), and is left with it.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

import grpc
import numpy as np
import pytest
import tensorflow as tf
from running_server import running
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
)
from tensorflow_serving.config import model_server_config_pb2
from tiny_model import inputs_of, predict_request

NAME = "tiny"
BINARY = "tensorflow_model_server"
TARGET = os.environ.get("TF_SERVING_TARGET")
CODE = grpc.StatusCode


@contextmanager
def _embedded(saved):
    with running(saved, NAME, newest=2, labels={"stable": 1, "canary": 2}) as server:
        yield server.target


@contextmanager
def _tf_serving(saved):
    if TARGET:
        shared = os.environ.get("TF_SERVING_MODELS")
        if shared:
            shutil.copytree(saved, shared, dirs_exist_ok=True)
        _reload(_Stubs(TARGET), shared or str(saved))
        yield TARGET
        return
    if shutil.which(BINARY) is None:
        pytest.skip(f"neither {BINARY} on the PATH nor TF_SERVING_TARGET")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = saved.parent / "models.config"
    config.write_text(f"model_config_list {{ {_config(str(saved))} }}")
    flags = [f"--port={port}", f"--model_config_file={config}", "--file_system_poll_wait_seconds=1"]
    flags.append("--allow_version_labels_for_unavailable_models=true")
    server = subprocess.Popen([BINARY, *flags])
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(scope="module", params=[_embedded, _tf_serving], ids=["embedded", "tf_serving"])
def asked(request, saved):
    """Stubs of a server that has versions 1 (stable) and 2 (canary)."""
    with request.param(saved) as target:
        stubs = _Stubs(target)
        _wait(lambda: set(_states(stubs).values()) == {"AVAILABLE"})
        yield stubs


class _Stubs:
    def __init__(self, target: str):
        self.target = target
        channel = grpc.insecure_channel(target)
        grpc.channel_ready_future(channel).result(timeout=60)
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self.model = model_service_pb2_grpc.ModelServiceStub(channel)

    def predict(self, request):
        return self.prediction.Predict(request, timeout=10)


def test_predict_answers_with_tensors_and_says_what_answered(asked):
    response = asked.predict(predict_request(NAME, k=3))
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == (NAME, 2, "recommend")
    assert set(response.outputs) == {"candidate_ids", "scores", "positive"}
    assert tf.make_ndarray(response.outputs["candidate_ids"]).tolist() == [[b"c0", b"c1", b"c2"]]
    np.testing.assert_allclose(response.outputs["scores"].float_val, [50.002, 49.002, 48.002], rtol=1e-6)


def test_the_default_signature_is_serving_default(asked):
    assert asked.predict(predict_request(NAME, signature="")).model_spec.signature_name == "serving_default"


def test_a_batch_has_a_row_each(asked):
    response = asked.predict(predict_request(NAME, users=("ada", "bob", "cyd"), k=4, history=("c9",)))
    ids = tf.make_ndarray(response.outputs["candidate_ids"])
    assert ids.shape == (3, 4)
    assert ids[:, 0].tolist() == [b"c9"] * 3


def test_exclusions_and_a_large_k_give_what_is_left(asked):
    ids = tf.make_ndarray(
        asked.predict(predict_request(NAME, k=10**9, exclude=("c0", "c1", ""))).outputs["candidate_ids"]
    )
    assert ids.shape == (1, 50)
    assert ids[0, 0] == b"c2" and ids[0, -2:].tolist() == [b"", b""]


def test_output_filter_gives_only_those(asked):
    request = predict_request(NAME)
    request.output_filter.append("scores")
    assert set(asked.predict(request).outputs) == {"scores"}


@pytest.mark.parametrize("outputs", [["nothing"], ["scores", "scores"]])
def test_a_wrong_output_filter_is_refused(asked, outputs):
    request = predict_request(NAME)
    request.output_filter.extend(outputs)
    assert _refusal(asked.predict, request)[0] is CODE.INVALID_ARGUMENT


def test_version_and_label_choose_what_answers(asked):
    def answered(**choice) -> int:
        request = predict_request(NAME)
        request.model_spec.MergeFrom(model_pb2.ModelSpec(**choice))
        return asked.predict(request).model_spec.version.value

    assert answered(version={"value": 1}) == 1
    assert answered(version={"value": 2}) == 2
    assert answered(version_label="stable") == 1
    assert answered(version_label="canary") == 2


def test_what_is_not_there_is_refused(asked):
    def code(request) -> grpc.StatusCode:
        return _refusal(asked.predict, request)[0]

    assert code(predict_request("nobody")) is CODE.NOT_FOUND
    assert code(predict_request("")) is CODE.INVALID_ARGUMENT
    version = predict_request(NAME)
    version.model_spec.version.value = 77
    assert code(version) is CODE.NOT_FOUND
    label = predict_request(NAME)
    label.model_spec.version_label = "nightly"
    assert code(label) is CODE.INVALID_ARGUMENT
    # TensorFlow Serving has said either through its releases.
    assert code(predict_request(NAME, signature="guess")) in (
        CODE.NOT_FOUND,
        CODE.FAILED_PRECONDITION,
        CODE.INVALID_ARGUMENT,
    )


def _without(name: str) -> predict_pb2.PredictRequest:
    request = predict_request(NAME)
    del request.inputs[name]
    return request


@pytest.mark.parametrize(
    ("request_", "name"),
    [
        (predict_request(NAME, k=0), "k"),
        (_without("exclude"), "exclude"),
        (predict_request(NAME, shoe=tf.constant([1])), "shoe"),
        (predict_request(NAME, age=tf.constant(["old"])), "age"),
        (predict_request(NAME, user=tf.constant([["ada"]])), "user"),
    ],
    ids=["k of 0", "missing input", "unknown input", "wrong dtype", "wrong shape"],
)
def test_a_wrong_input_is_invalid(asked, request_, name):
    code, message = _refusal(asked.predict, request_)
    assert code is CODE.INVALID_ARGUMENT
    assert name in message


def test_a_short_deadline_is_kept(asked):
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name=NAME, signature_name="slow"))
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0]))
    request.inputs["rounds"].CopyFrom(tf.make_tensor_proto(2000))
    with pytest.raises(grpc.RpcError) as refused:
        asked.prediction.Predict(request, timeout=0.05)
    assert refused.value.code() is CODE.DEADLINE_EXCEEDED


def test_metadata_tells_the_signatures(asked):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name=NAME), metadata_field=["signature_def"]
    )
    response = asked.prediction.GetModelMetadata(request, timeout=10)
    assert (response.model_spec.name, response.model_spec.version.value) == (NAME, 2)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    recommend = signatures.signature_def["recommend"]
    assert set(recommend.inputs) == set(inputs_of())
    assert recommend.inputs["k"].dtype == tf.int32.as_datatype_enum
    assert [dim.size for dim in recommend.inputs["history"].tensor_shape.dim] == [-1, -1]


@pytest.mark.parametrize("fields", [[], ["weights"]])
def test_other_metadata_are_refused(asked, fields):
    request = get_model_metadata_pb2.GetModelMetadataRequest(
        model_spec=model_pb2.ModelSpec(name=NAME), metadata_field=fields
    )
    code, _ = _refusal(asked.prediction.GetModelMetadata, request)
    assert code is CODE.INVALID_ARGUMENT


def test_status_tells_every_version_or_the_one_asked_for(asked):
    assert _states(asked) == {1: "AVAILABLE", 2: "AVAILABLE"}
    assert _states(asked, version={"value": 1}) == {1: "AVAILABLE"}
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=model_pb2.ModelSpec(name="nobody"))
    assert _refusal(asked.model.GetModelStatus, request)[0] is CODE.NOT_FOUND


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_what_takes_examples_is_not_for_this_model(asked, method):
    requests = {
        "Classify": classification_pb2.ClassificationRequest(model_spec={"name": NAME}),
        "Regress": regression_pb2.RegressionRequest(model_spec={"name": NAME}),
        "MultiInference": inference_pb2.MultiInferenceRequest(tasks=[{"model_spec": {"name": NAME}}]),
    }
    code, message = _refusal(getattr(asked.prediction, method), requests[method])
    # TensorFlow Serving has these methods, and refuses this model's signatures or the empty input.
    assert code in (CODE.UNIMPLEMENTED, CODE.INVALID_ARGUMENT, CODE.FAILED_PRECONDITION)
    assert message


def test_a_reloaded_configuration_pins_a_version_and_moves_labels(asked, saved):
    base = os.environ.get("TF_SERVING_MODELS", str(saved)) if TARGET else str(saved)
    try:
        _reload(asked, base, versions=[1], labels={"stable": 1})
        _wait(lambda: _states(asked).get(2) != "AVAILABLE")
        assert asked.predict(predict_request(NAME)).model_spec.version.value == 1
        label = predict_request(NAME)
        label.model_spec.version_label = "canary"
        assert _refusal(asked.predict, label)[0] is CODE.INVALID_ARGUMENT
    finally:
        _reload(asked, base)
    _wait(lambda: _states(asked) == {1: "AVAILABLE", 2: "AVAILABLE"})
    assert asked.predict(label).model_spec.version.value == 2


def _config(base: str, versions=(1, 2), labels=None) -> model_server_config_pb2.ModelConfig:
    config = model_server_config_pb2.ModelConfig(name=NAME, base_path=base, model_platform="tensorflow")
    config.model_version_policy.specific.versions.extend(versions)
    config.version_labels.update({"stable": 1, "canary": 2} if labels is None else labels)
    return model_server_config_pb2.ModelConfigList(config=[config])


def _reload(stubs: _Stubs, base: str, versions=(1, 2), labels=None) -> None:
    """Has versions served; labels once these are available, as TensorFlow Serving wants it."""
    for given in ({}, labels):
        config = model_server_config_pb2.ModelServerConfig(model_config_list=_config(base, versions, given))
        request = model_management_pb2.ReloadConfigRequest(config=config)
        response = stubs.model.HandleReloadConfigRequest(request, timeout=60)
        assert response.status.error_code == 0, response.status.error_message
        _wait(lambda: all(_states(stubs).get(version) == "AVAILABLE" for version in versions))


def _states(stubs: _Stubs, **choice) -> dict[int, str]:
    spec = model_pb2.ModelSpec(name=NAME, **choice)
    response = stubs.model.GetModelStatus(
        get_model_status_pb2.GetModelStatusRequest(model_spec=spec), timeout=10
    )
    name = get_model_status_pb2.ModelVersionStatus.State.Name
    return {status.version: name(status.state) for status in response.model_version_status}


def _refusal(method, request) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        method(request, timeout=10) if hasattr(method, "with_call") else method(request)
    return refused.value.code(), refused.value.details()


def _wait(condition, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
