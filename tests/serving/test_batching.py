"""Concurrent requests share runs, and none notices."""

import concurrent.futures
import re
import time
import urllib.request

import grpc
import numpy as np
import pytest
import tensorflow as tf
from running_server import running
from tensorflow_serving.apis import prediction_service_pb2_grpc
from tiny_model import predict_request, save

from serving.runner import Batching, Limits


@pytest.fixture(scope="module")
def batching(saved):
    """A server that joins up to 8 rows, waiting long enough for the tests' requests to meet."""
    limits = Limits(concurrency=2, queue=64, message_bytes=4 << 20)
    with running(saved, batching=Batching(rows=8, seconds=0.6), limits=limits) as server:
        yield server


def _ask_all(server, requests) -> list:
    """The responses, or errors, to requests made at the same time."""
    stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.insecure_channel(server.target))
    futures = [stub.Predict.future(request, timeout=30) for request in requests]
    concurrent.futures.wait([_started(future) for future in futures])
    return [future.exception() or future.result() for future in futures]


def _started(future) -> concurrent.futures.Future:
    done: concurrent.futures.Future = concurrent.futures.Future()
    future.add_done_callback(lambda _: done.set_result(None))
    return done


def _runs(server) -> tuple[int, int]:
    """How many runs there were, and rows in all of them."""
    with urllib.request.urlopen(f"{server.url}/monitoring/prometheus/metrics") as answer:
        page = answer.read().decode()
    name = ":tensorflow:serving:batching_session:processed_batch_size"
    found = [re.search(rf'{name}_{what}{{model_name="tiny"}} (\S+)', page) for what in ("count", "sum")]
    return tuple(int(float(match.group(1))) if match else 0 for match in found)


def test_requests_that_are_alike_share_a_run_and_each_gets_its_own(batching):
    runs, rows = _runs(batching)
    requests = [predict_request("tiny", users=(f"u{i}",), history=(f"c{i}",) * (i + 1)) for i in range(8)]
    for i, response in enumerate(_ask_all(batching, requests)):
        assert tf.make_ndarray(response.outputs["candidate_ids"])[0, 0] == f"c{i}".encode()
        np.testing.assert_allclose(tf.make_ndarray(response.outputs["scores"])[0, 0], 150.002 - i, rtol=1e-6)
    assert _runs(batching) == (runs + 1, rows + 8)


def test_requests_with_another_k_or_other_outputs_do_not(batching):
    runs, _ = _runs(batching)
    filtered = predict_request("tiny", k=2)
    filtered.output_filter.append("scores")
    responses = _ask_all(batching, [predict_request("tiny", k=k) for k in (1, 2)] + [filtered])
    shapes = [tf.make_ndarray(response.outputs["scores"]).shape for response in responses]
    assert shapes == [(1, 1), (1, 2), (1, 2)]
    assert set(responses[2].outputs) == {"scores"}
    assert _runs(batching)[0] == runs + 3


def test_a_bad_request_does_not_fail_those_it_was_joined_with(batching):
    # Padded, its history would be as wide as its ages; its k is the others', so it could have been joined.
    bad = predict_request("tiny", history=("c1",), history_age=tf.zeros([1, 3]))
    answers = _ask_all(batching, [predict_request("tiny"), bad, predict_request("tiny", users=("bob",))])
    assert [getattr(answer, "code", lambda: None)() for answer in answers] == [
        None,
        grpc.StatusCode.INVALID_ARGUMENT,
        None,
    ]
    wrong_k = _ask_all(batching, [predict_request("tiny", k=0) for _ in range(3)])
    assert {answer.code() for answer in wrong_k} == {grpc.StatusCode.INVALID_ARGUMENT}


def test_a_request_as_large_as_a_batch_does_not_wait(batching):
    began = time.monotonic()
    response = _ask_all(batching, [predict_request("tiny", users=("ada",) * 9)])[0]
    assert tf.make_ndarray(response.outputs["scores"]).shape == (9, 3)
    assert time.monotonic() - began < 0.6


def test_a_full_batch_does_not_wait_for_its_time(batching):
    began = time.monotonic()
    _ask_all(batching, [predict_request("tiny", users=("ada",) * 4, k=7) for _ in range(2)])
    assert time.monotonic() - began < 0.6


def test_many_clients_at_once_get_their_own_answers(saved):
    limits = Limits(concurrency=2, queue=64, message_bytes=4 << 20)
    with running(saved, batching=Batching(rows=16, seconds=0.002), limits=limits) as server:
        requests = [
            predict_request("tiny", users=(f"u{i}",), k=1 + i % 3, history=(f"c{i % 50}",)) for i in range(60)
        ]
        for i, response in enumerate(_ask_all(server, requests)):
            ids = tf.make_ndarray(response.outputs["candidate_ids"])
            assert ids.shape == (1, 1 + i % 3) and ids[0, 0] == f"c{i % 50}".encode()


@pytest.mark.parametrize(("any_model", "runs"), [(False, 3), (True, 1)])
def test_requests_to_a_model_of_another_make_are_joined_only_where_that_is_asked(tmp_path, any_model, runs):
    save(tmp_path / "1", 1, ours=False)
    with running(tmp_path, batching=Batching(rows=3, seconds=0.6, any_model=any_model)) as server:
        _ask_all(server, [predict_request("tiny", users=(f"u{i}",)) for i in range(3)])
        assert _runs(server) == (runs, 3)
