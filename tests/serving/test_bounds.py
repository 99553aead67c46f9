"""What a request will take is told before it runs, and a large one is run in parts."""

import concurrent.futures
import json
import threading
import time
import urllib.error
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from running_server import running
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_service_pb2_grpc
from tiny_model import CATALOGUE, inputs_of, predict_request

from serving.bounds import MOST_ROWS, parts
from serving.loaded_model import LoadedModel
from serving.runner import Limits

CODE = grpc.StatusCode


@pytest.fixture(scope="module")
def model(saved):
    model = LoadedModel(saved / "2")
    yield model
    model.close()


def _users(count: int) -> tuple[str, ...]:
    return tuple(f"user{number}" for number in range(count))


@pytest.mark.parametrize(
    ("rows", "candidates", "sizes"),
    [
        (1, 50, [1]),
        (MOST_ROWS, 50, [MOST_ROWS]),
        (MOST_ROWS + 1, 50, [129, 128]),
        (3 * MOST_ROWS, 50, [MOST_ROWS] * 3),
        (4, 30_000_000, [2, 2]),
        (2, 1 << 40, [1, 1]),
        (5, 0, [5]),
    ],
)
def test_parts_are_even_small_enough_and_hold_every_row_once(model, rows, candidates, sizes):
    signature = model.signature("recommend")
    inputs = {name: np.asarray(value) for name, value in inputs_of(_users(rows)).items()}
    made = list(parts(signature, inputs, rows, candidates))
    assert [count for _, count in made] == sizes
    assert all(part["k"] is inputs["k"] for part, _ in made)
    np.testing.assert_array_equal(np.concatenate([part["user"] for part, _ in made]), inputs["user"])


def _asked_over_rest(url: str, rows: int, k: int) -> tuple[int, str]:
    columns = {
        "user": list(_users(rows)),
        "age": [1.0] * rows,
        **dict.fromkeys(("tags", "history", "history_age", "exclude"), [[]] * rows),
        "k": k,
    }
    body = json.dumps({"signature_name": "recommend", "inputs": columns}).encode()
    try:
        with urllib.request.urlopen(f"{url}/v1/models/tiny:predict", body, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _asked_over_grpc(target: str, rows: int, k: int) -> predict_pb2.PredictResponse:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(target))
    return stub.Predict(predict_request("tiny", users=_users(rows), k=k), timeout=60)


def test_an_answer_above_the_size_of_a_message_is_refused_before_it_is_computed(saved):
    limits = Limits(concurrency=1, queue=9, message_bytes=1 << 20)
    with running(saved, limits=limits) as server:
        runs = server.server._metrics.page().count(b"runtime_latency_count")
        told = f"the answer to 5,000 rows would have {5000 * 3 * CATALOGUE:,} values"
        with pytest.raises(grpc.RpcError, match=told) as refused:
            _asked_over_grpc(server.target, 5000, 10**9)
        assert refused.value.code() is CODE.INVALID_ARGUMENT
        assert "fewer rows at once or for a smaller k" in refused.value.details()
        status, text = _asked_over_rest(server.url, 5000, 10**9)
        assert status == 400 and told in text
        assert server.server._metrics.page().count(b"runtime_latency_count") == runs
        # As many rows with fewer places are answered.
        assert len(_asked_over_grpc(server.target, 5000, 1).outputs["candidate_ids"].string_val) == 5000


def test_a_request_in_parts_is_answered_as_one_and_small_ones_come_in_between(saved, monkeypatch):
    seen = []
    run = LoadedModel.run

    def slowly(self, signature, inputs, outputs):
        seen.append(len(inputs["user"]))
        time.sleep(0.05)
        return run(self, signature, inputs, outputs)

    monkeypatch.setattr(LoadedModel, "run", slowly)
    rows = 8 * MOST_ROWS
    with running(saved, limits=Limits(concurrency=1, queue=9, message_bytes=4 << 20)) as server:
        seen.clear()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            large = pool.submit(_asked_over_grpc, server.target, rows, 2)
            while len(seen) < 2:
                time.sleep(0.001)
            _asked_over_grpc(server.target, 1, 2)
            answer = large.result()
    assert sorted(set(seen)) == [1, MOST_ROWS] and seen.index(1) < len(seen) - 1
    ids = tf.make_ndarray(answer.outputs["candidate_ids"])
    assert ids.shape == (rows, 2) and (ids == [b"c0", b"c1"]).all()


def test_the_parts_of_a_request_that_was_given_up_are_not_run(saved, monkeypatch):
    seen, running_now = [], threading.Event()
    run = LoadedModel.run

    def slowly(self, signature, inputs, outputs):
        seen.append(len(inputs["user"]))
        running_now.set()
        time.sleep(0.4)
        return run(self, signature, inputs, outputs)

    with running(saved, limits=Limits(concurrency=1, queue=9, message_bytes=4 << 20)) as server:
        monkeypatch.setattr(LoadedModel, "run", slowly)
        stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server.target))
        asked = stub.Predict.future(predict_request("tiny", users=_users(9 * MOST_ROWS)), timeout=60)
        running_now.wait()
        asked.cancel()
        small = stub.Predict(predict_request("tiny"), timeout=60)
        assert small.model_spec.version.value == 2
    assert seen[-1] == 1 and len(seen) < 9


def test_an_answer_of_a_signature_without_k_is_bounded_by_its_outputs(saved):
    request = predict_pb2.PredictRequest(model_spec=model_pb2.ModelSpec(name="tiny", signature_name="rank"))
    for name, value in inputs_of(_users(2000)).items():
        if name not in ("k", "exclude"):
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    request.inputs["candidate_ids"].CopyFrom(tf.make_tensor_proto([["c1"] * 10] * 2000))
    with running(saved, limits=Limits(1, 9, 1 << 19)) as server:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server.target))
        assert tf.make_ndarray(stub.Predict(request, timeout=60).outputs["positive"]).shape == (2000, 10)
        # One value stands for all: a small request, a large answer.
        wide = request.inputs["candidate_ids"]
        wide.CopyFrom(tf.make_tensor_proto("c1", shape=[2000, 100]))
        with pytest.raises(grpc.RpcError, match="2,000 rows would have 200,000 values"):
            stub.Predict(request, timeout=60)
