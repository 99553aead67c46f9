"""A server that stops loses nothing that came in, and does not wait for what is not there."""

import asyncio
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import grpc
import pytest
from running_server import running
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_model import predict_request

from serving import draining

CODE = grpc.StatusCode
CALLERS = 64


async def _asked(target: str, stop, seconds_after: float) -> Counter:
    """How callers that ask again at each answer fare, until some time after ``stop`` was called."""
    fates: Counter = Counter()
    over = asyncio.Event()
    service = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
    options = [("grpc.service_config", service), ("grpc.use_local_subchannel_pool", 1)]
    request = predict_request("tiny")

    async def ask() -> None:
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while not over.is_set():
                try:
                    await stub.Predict(request, timeout=60)
                    fates["OK"] += 1
                except grpc.aio.AioRpcError as error:
                    fates[error.code().name] += 1
                    return

    callers = [asyncio.create_task(ask()) for _ in range(CALLERS)]
    await asyncio.sleep(0.5)
    await asyncio.to_thread(stop)
    await asyncio.sleep(seconds_after)
    over.set()
    await asyncio.gather(*callers)
    return fates


def test_calls_that_came_before_the_end_are_answered(saved):
    """Those who go on asking find nobody at last; nobody is cut off."""
    with running(saved, drain_seconds=4) as server:
        fates = asyncio.run(_asked(server.target, server.stop, 0))
    assert fates.keys() <= {"OK", CODE.UNAVAILABLE.name}, fates
    assert fates["OK"] > CALLERS


def test_with_a_second_server_nobody_notices_that_one_stops(saved):
    with running(saved, drain_seconds=4) as leaving, running(saved) as staying:
        target = f"ipv4:{leaving.target},{staying.target}"
        fates = asyncio.run(_asked(target, leaving.stop, 0.5))
    assert fates.keys() == {"OK"}, fates


def test_rest_connections_are_closed_by_an_answer_that_says_so(saved, monkeypatch):
    # Long enough for a request of a busy machine to come.
    monkeypatch.setattr(draining, "_QUIET_SECONDS", 4.0)
    body = json.dumps({"signature_name": "echo", "inputs": ["x"]})
    with running(saved, drain_seconds=60) as server:
        place = server.url.removeprefix("http://")
        connection = http.client.HTTPConnection(place, timeout=60)

        def ask() -> http.client.HTTPResponse:
            connection.request("POST", "/v1/models/tiny:predict", body)
            answer = connection.getresponse()
            assert answer.status == 200 and answer.read()
            return answer

        assert ask().getheader("Connection") is None
        stopping = threading.Thread(target=server.stop)
        stopping.start()
        while not server.server._doors.leaving:
            time.sleep(0.005)
        assert ask().getheader("Connection") == "close"
        stopping.join()
        with pytest.raises(OSError, match="refused"):
            ask()


def test_an_idle_server_stops_at_once(saved):
    with running(saved, drain_seconds=10_000) as server:
        server.stop()


_SLOW_TO_LOAD = """
import asyncio, os, sys, time
from pathlib import Path
from serving import versions
from serving.server import Server, ServerOptions

def slowly(*given):
    print("loading", flush=True)
    time.sleep(600)
versions.LoadedModel.__init__ = slowly
models = (versions.ModelConfig("tiny", Path(sys.argv[1])),)
in_order = asyncio.run(Server(ServerOptions(models, port=0, rest_port=None)).run(print))
print("in order:", in_order, flush=True)
os._exit(0)
"""


def test_a_server_that_is_still_loading_does_not_wait(saved):
    command = [sys.executable, "-c", _SLOW_TO_LOAD, str(saved)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "loading\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "in order: False\n"
    assert process.wait() == 0
