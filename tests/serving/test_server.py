"""The embedded server beside what TensorFlow Serving's interface says: health, limits, TLS, draining."""

import concurrent.futures
import json
import os
import ssl
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

import grpc
import pytest
import tensorflow as tf
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from running_server import running
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc
from tiny_model import predict_request

from serving.client import Recommender
from serving.errors import RequestError
from serving.runner import Limits
from serving.server import Tls

CODE = grpc.StatusCode
THIS = Path(__file__)


def _stub(target: str) -> prediction_service_pb2_grpc.PredictionServiceStub:
    return prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(target))


def _refusal(target: str, request, **options) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.RpcError) as refused:
        _stub(target).Predict(request, **{"timeout": 10, **options})
    return refused.value.code(), refused.value.details()


def _slow(rounds: int) -> predict_pb2.PredictRequest:
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="tiny", signature_name="slow"))
    request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0]))
    request.inputs["rounds"].CopyFrom(tf.make_tensor_proto(rounds))
    return request


def _tensor(**fields) -> tensor_pb2.TensorProto:
    shape = {"dim": [{"size": size} for size in fields.pop("shape")]}
    return tensor_pb2.TensorProto(tensor_shape=shape, **fields)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"age": tf.constant([1], tf.int64)}, "input 'age': found int64 [1], expected float32 [?]"),
        ({"user": tf.constant([["ada"]])}, "input 'user': found string [1, 1], expected string [?]"),
        ({"k": tf.constant([3])}, "input 'k': found int32 [1], expected int32 []"),
        ({"shoe": tf.constant(1)}, "missing: none; unknown: shoe"),
        ({"users": ()}, "expected at least one row, found none"),
        (
            {"age": tf.constant([1.0, 2.0])},
            "expected the same number of rows in every input, found age 2, exclude 1, history 1, "
            "history_age 1, tags 1, user 1",
        ),
        ({"history_age": tf.zeros([1, 2])}, "signature 'recommend' failed: as many ages as events"),
        ({"k": 0}, "signature 'recommend' failed: k must be at least 1"),
    ],
)
def test_a_wrong_request_is_told_what_was_found_and_expected(server, changes, message):
    code, details = _refusal(server.target, predict_request("tiny", **changes))
    assert code is CODE.INVALID_ARGUMENT
    assert message in details


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (_tensor(dtype=7, shape=[1, 10**9], string_val=[b"x"]), "expected at most 4,194,304 elements"),
        (_tensor(dtype=7, shape=[1, -2]), "expected at most"),
        (_tensor(dtype=99, shape=[1, 1]), "a tensor of unknown dtype 99"),
        (_tensor(dtype=7, shape=[1, 2], string_val=[b"a", b"b", b"c"]), "do not fill shape [1, 2] of string"),
    ],
)
def test_a_tensor_that_lies_about_itself_is_refused(server, tensor, message):
    request = predict_request("tiny")
    request.inputs["exclude"].CopyFrom(tensor)
    code, details = _refusal(server.target, request)
    assert code is CODE.INVALID_ARGUMENT
    assert message in details


def test_a_request_that_is_good_though_odd_is_answered(server):
    many = tuple(f"c{i % 60}" for i in range(4000))
    response = _stub(server.target).Predict(predict_request("tiny", exclude=many, k=10**9), timeout=10)
    assert set(tf.make_ndarray(response.outputs["candidate_ids"]).ravel()) == {b""}


def test_a_request_above_the_size_is_refused(server):
    request = predict_request("tiny", user=tf.constant(["x" * (10 << 20)]))
    assert _refusal(server.target, request)[0] is CODE.RESOURCE_EXHAUSTED


def test_requests_that_find_no_place_in_the_queue_are_refused(saved):
    with running(saved, limits=Limits(concurrency=1, queue=1, message_bytes=4 << 20)) as server:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            asked = [pool.submit(_stub(server.target).Predict, _slow(300), timeout=60) for _ in range(8)]
            errors = [error for error in (future.exception() for future in asked) if error]
        assert {error.code() for error in errors} == {CODE.RESOURCE_EXHAUSTED}
        assert "1 requests may run and 1 wait; try again later" in errors[0].details()
        assert len(errors) < 8
        _stub(server.target).Predict(_slow(1), timeout=10)


def test_a_request_whose_deadline_passes_while_it_waits_is_not_run(saved):
    with running(saved, limits=Limits(concurrency=1, queue=9, message_bytes=4 << 20)) as server:
        stub = _stub(server.target)
        first = stub.Predict.future(_slow(1000), timeout=60)
        while not _waiting(server):
            time.sleep(0.005)
        late = [stub.Predict.future(_slow(1), timeout=0.05) for _ in range(3)]
        assert {future.exception().code() for future in late} == {CODE.DEADLINE_EXCEEDED}
        assert not first.done()
        first.result()
        stub.Predict(_slow(1), timeout=60)
        runs = 'runtime_latency_count{API="Predict",model_name="tiny",runtime="TF1"} 2.0'
        assert runs in server.server._metrics.page().decode()


def _waiting(server) -> bool:
    return b"westwork_requests_in_flight 1" in server.server._metrics.page()


def test_requests_under_way_end_before_the_server_does(saved):
    with running(saved) as server:
        stub = _stub(server.target)
        under_way = stub.Predict.future(_slow(1000), timeout=60)
        while not _waiting(server):
            time.sleep(0.005)
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        assert under_way.result().outputs["same"].float_val == [1.0]
        stopping.join()
        assert _refusal(server.target, _slow(1))[0] is CODE.UNAVAILABLE


def test_requests_that_still_wait_when_the_time_to_end_is_over_are_given_up(saved):
    limits = Limits(concurrency=1, queue=9, message_bytes=4 << 20)
    with running(saved, limits=limits, drain_seconds=0.1) as server:
        stub = _stub(server.target)
        first = stub.Predict.future(_slow(500), timeout=60)
        while not _waiting(server):
            time.sleep(0.005)
        waiting = [stub.Predict.future(_slow(500 + n), timeout=60) for n in range(2)]
        time.sleep(0.05)
        server.stop()
        given_up = {future.exception().code() for future in (first, *waiting)}
        assert given_up <= {CODE.CANCELLED, CODE.UNAVAILABLE}


def test_health_is_told_of_the_server_and_its_services(server):
    stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(server.target))
    for name in ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=5)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as refused:
        stub.Check(health_pb2.HealthCheckRequest(service="coffee"), timeout=5)
    assert refused.value.code() is CODE.NOT_FOUND


def test_reflection_tells_the_services_and_their_methods(server):
    database = ProtoReflectionDescriptorDatabase(grpc.insecure_channel(server.target))
    assert set(database.get_services()) == {
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
        "tensorflow.serving.ModelService",
        "tensorflow.serving.PredictionService",
    }
    file = database.FindFileContainingSymbol("tensorflow.serving.PredictionService")
    methods = {method.name for method in file.service[0].method}
    assert {"Predict", "GetModelMetadata"} <= methods


@pytest.mark.parametrize("interface", ["port", "rest_port"])
def test_a_port_that_is_taken_is_told(server, saved, interface):
    place = server.target if interface == "port" else server.url
    port = int(place.rpartition(":")[2])
    taken = rf"cannot listen at 127\.0\.0\.1:{port}.*Is another server there"
    with pytest.raises(OSError, match=taken), running(saved, **{interface: port}):
        pass


def test_files_that_are_no_certificate_are_told(saved):
    with pytest.raises(OSError, match="expected PEM files"), running(saved, tls=Tls(THIS, THIS)):
        pass


def test_requests_are_counted_by_how_they_went(saved):
    with running(saved) as server:
        _stub(server.target).Predict(predict_request("tiny"), timeout=10)
        _refusal(server.target, predict_request("tiny", k=0))
        _refusal(server.target, _slow(2000), timeout=0.2)
        stopping = server.server
    page = stopping._metrics.page().decode().splitlines()
    for status in ("OK", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED"):
        assert f':tensorflow:serving:request_count{{model_name="tiny",status="{status}"}} 1.0' in page
    counted = (
        ':tensorflow:serving:request_latency_count{API="Predict",entrypoint="GRPC",model_name="tiny"} 1.0'
    )
    assert counted in page


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Tls:
    """A certificate for localhost, signed by itself."""
    folder = tmp_path_factory.mktemp("tls")
    tls = Tls(folder / "cert.pem", folder / "key.pem")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-days",
        "2",
        "-subj",
        "/CN=localhost",
    ]
    command += ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command += ["-keyout", str(tls.key), "-out", str(tls.certificate)]
    # The private C library of the tests' interpreter is not openssl's.
    clean = {key: value for key, value in os.environ.items() if key != "LD_LIBRARY_PATH"}
    subprocess.run(command, check=True, capture_output=True, env=clean)
    return tls


def test_with_tls_both_interfaces_want_it(saved, certificate):
    trusted = grpc.ssl_channel_credentials(certificate.certificate.read_bytes())
    with running(saved, tls=certificate) as server:
        with Recommender(server.target, "tiny", credentials=trusted) as recommender:
            assert recommender.recommend({"user": "ada"}, k=1).version == "2"
        with Recommender(server.target, "tiny", attempts=1) as bare, pytest.raises(RequestError) as refused:
            bare.versions()
        assert refused.value.code is CODE.UNAVAILABLE
        context = ssl.create_default_context(cafile=certificate.certificate)
        with urllib.request.urlopen(f"{server.url}/v1/models/tiny", context=context) as answer:
            assert json.load(answer)["model_version_status"][0]["state"] == "AVAILABLE"


def test_with_a_client_ca_others_are_turned_away(saved, certificate):
    mutual = Tls(certificate.certificate, certificate.key, client_ca=certificate.certificate)
    root, key = certificate.certificate.read_bytes(), certificate.key.read_bytes()
    with running(saved, tls=mutual) as server:
        known = grpc.ssl_channel_credentials(root, key, root)
        with Recommender(server.target, "tiny", credentials=known) as recommender:
            assert recommender.versions() == {2: "AVAILABLE"}
        unknown = grpc.ssl_channel_credentials(root)
        with (
            Recommender(server.target, "tiny", credentials=unknown, attempts=1) as stranger,
            pytest.raises(RequestError),
        ):
            stranger.versions()
