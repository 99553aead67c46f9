"""Connections that say nothing, half of something, or are too many cost nobody else anything."""

import http.client
import json
import resource
import socket
import time

import grpc
import pytest
from running_server import running
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_model import predict_request

from serving.connections import ConnectionLimits
from serving.loaded_model import LoadedModel

LIMITS = ConnectionLimits(100, 100, header_seconds=0.3, body_seconds=0.3, idle_seconds=1000)
HEADER = b"POST /v1/models/tiny:predict HTTP/1.1\r\nHost: localhost\r\n"


def _connect(server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def _ended(connection: socket.socket) -> bytes:
    """What is said until the other side ends the connection."""
    said = b""
    try:
        while part := connection.recv(4096):
            said += part
    except ConnectionResetError:
        pass
    connection.close()
    return said


def _asks(server) -> int:
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=20)
    body = json.dumps({"signature_name": "slow", "inputs": {"x": [1.0], "rounds": 1}})
    connection.request("POST", "/v1/models/tiny:predict", body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


@pytest.mark.parametrize("said", [HEADER, HEADER[:1], b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n"])
def test_half_a_header_is_not_waited_for(saved, said):
    with running(saved, connections=LIMITS) as server:
        connection = _connect(server)
        connection.sendall(said)
        _ended(connection)
        assert _asks(server) == 200


def test_half_a_body_is_refused(saved):
    with running(saved, connections=LIMITS) as server:
        connection = _connect(server)
        connection.sendall(HEADER + b"Content-Length: 1000\r\n\r\n{")
        said = _ended(connection)
    assert said.startswith(b"HTTP/1.1 408 ") and b"no body within 0.3 s" in said


def test_a_silent_connection_ends_and_one_that_is_answered_does_not(saved, monkeypatch):
    run = LoadedModel.run

    def slowly(*given):
        # Longer than silence may be, and than it takes until somebody looks.
        time.sleep(2.5)
        return run(*given)

    limits = ConnectionLimits(100, 100, header_seconds=0.2, idle_seconds=0.2)
    with running(saved, connections=limits) as server:
        assert _ended(_connect(server)) == b""
        monkeypatch.setattr(LoadedModel, "run", slowly)
        assert _asks(server) == 200


@pytest.mark.parametrize(
    "limits", [ConnectionLimits(3, 100), ConnectionLimits(100, 3)], ids=["all", "address"]
)
def test_connections_beyond_the_limit_end_at_once_and_places_come_free(saved, limits):
    with running(saved, connections=limits) as server:
        held = [_connect(server) for _ in range(3)]
        for connection in held:
            connection.sendall(HEADER[:9])
        while len(server.server._connections._open) < 3:
            time.sleep(0.01)
        assert _ended(_connect(server)) == b""
        stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server.target))
        assert stub.Predict(predict_request("tiny"), timeout=20).outputs["scores"].float_val
        held.pop().close()
        while len(server.server._connections._open) == 3:
            time.sleep(0.01)
        assert _asks(server) == 200
        for connection in held:
            connection.close()


def test_there_are_fewer_than_the_process_may_have_descriptors():
    limits = ConnectionLimits.of_this_process()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == hard and 0 < limits.most_of_one <= limits.most
    assert hard == resource.RLIM_INFINITY or limits.most < hard
