"""The client, against the embedded server."""

import socket
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from running_server import running

from serving.client import Recommender
from serving.errors import RequestError
from serving.server import Server


@pytest.fixture
def recommender(server):
    with Recommender(server.target, "tiny") as recommender:
        yield recommender


def test_a_query_of_plain_values_gets_a_ranked_list(recommender):
    ranked = recommender.recommend({"user": "ada", "age": 30, "history": ["c7"], "history_age": [9]}, k=2)
    assert ranked.version == "2"
    assert [(item.id, round(item.score, 3)) for item in ranked.items] == [("c7", 143.002), ("c0", 50.002)]
    assert ranked.items[0].heads == {"positive": 30.0}


def test_what_is_excluded_is_left_out_and_places_that_cannot_be_filled_are_not_items(recommender):
    ranked = recommender.recommend({"user": "ada"}, k=50, exclude=[f"c{i}" for i in range(48)])
    assert [item.id for item in ranked.items] == ["c48", "c49"]


def test_a_batch_has_a_list_each(recommender):
    queries = [{"user": "ada", "history": ["c4"], "history_age": [1]}, {"user": "bob"}]
    lists = recommender.recommend_batch(queries, k=1, exclude=[["c4"], []])
    assert [[item.id for item in ranked.items] for ranked in lists] == [["c0"], ["c0"]]
    assert [item.id for item in recommender.recommend_batch(queries, k=1)[0].items] == ["c4"]


def test_given_candidates_are_ranked_and_one_that_is_unknown_gets_nothing(recommender):
    assert recommender.rank({"user": "ada"}, ["c49", "nothing", "c0"]) == {
        "c49": {"positive": 1.0},
        "nothing": {"positive": None},
        "c0": {"positive": 50.0},
    }


def test_retrieval_and_embeddings_have_calls_of_their_own(recommender):
    assert [item.id for item in recommender.retrieve({"user": "ada"}, k=2, exclude=["c0"]).items] == [
        "c1",
        "c2",
    ]
    assert recommender.embed_query({"user": "ada", "age": 30}).tolist() == [30.0, 1.0]
    assert recommender.embed_candidate({"price": 2.5}).tolist() == [2.5, -2.5]


def test_what_comes_back_passes_the_filters(recommender):
    def found(**filters):
        return [item.id for item in recommender.retrieve({"user": "ada"}, k=3, filters=filters).items]

    assert found() == ["c0", "c1", "c2"]
    assert found(id=["c7", "c9", "nothing"]) == ["c7", "c9"]
    assert found(number=(48, None)) == ["c48", "c49"]
    assert found(id=["c7"], number=(None, 6)) == []
    with pytest.raises(RequestError, match=r"found filter 'colour', which the model has not; expected .*id"):
        found(colour=["red"])


def test_any_signature_can_be_asked(recommender):
    answered = recommender.ask("echo", {"text": ["a", "b"]}, outputs=["said_bytes"])
    assert answered.outputs["said_bytes"].tolist() == [b"a", b"b"]
    assert recommender.signature("echo").inputs["text"].dtype == tf.string
    assert recommender.versions() == {2: "AVAILABLE", 1: "AVAILABLE"}


def test_a_version_or_label_can_be_chosen(server):
    with Recommender(server.target, "tiny", version=1) as pinned:
        assert pinned.recommend({"user": "ada"}, k=1).version == "1"
    with Recommender(server.target, "tiny", label="stable") as stable:
        assert stable.recommend({"user": "ada"}, k=1).version == "1"
    with pytest.raises(ValueError, match="a version or a label"):
        Recommender(server.target, "tiny", version=1, label="stable")
    with pytest.raises(ValueError, match="attempts: found 6, expected 1 to 5"):
        Recommender(server.target, "tiny", attempts=6)


def test_a_refusal_has_its_code_and_says_why(server, recommender):
    with pytest.raises(RequestError, match="k must be at least 1") as refused:
        recommender.recommend({"user": "ada"}, k=0)
    assert refused.value.code is grpc.StatusCode.INVALID_ARGUMENT
    with pytest.raises(RequestError, match="query 0: found shoe, which is no input"):
        recommender.recommend({"shoe": 1}, k=1)
    with pytest.raises(
        RequestError, match="has no signature 'guess'; it has echo, embed_candidate, embed_query"
    ):
        recommender.ask("guess", {})
    with Recommender(server.target, "nobody") as nobody, pytest.raises(RequestError) as refused:
        nobody.recommend({}, k=1)
    assert refused.value.code is grpc.StatusCode.NOT_FOUND


def test_a_call_that_takes_too_long_is_given_up(server):
    with Recommender(server.target, "tiny", timeout=0.1) as hasty:
        hasty.signature("slow")
        with pytest.raises(RequestError, match=r"no answer from .* within 0.1 s") as refused:
            hasty.ask("slow", {"x": np.ones(1), "rounds": 1500})
    assert refused.value.code is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_server_that_is_not_there_is_named():
    gone = pytest.raises(RequestError, match=r"no server answers at 127\.0\.0\.1:9")
    with Recommender("127.0.0.1:9", "tiny", attempts=1) as lonely, gone as refused:
        lonely.versions()
    assert refused.value.code is grpc.StatusCode.UNAVAILABLE


def test_a_server_that_comes_up_meanwhile_is_reached_by_trying_again(saved, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    answers: list = []

    def ask() -> None:
        with Recommender(f"127.0.0.1:{port}", "tiny", timeout=60, attempts=5) as patient:
            try:
                answers.append(patient.versions())
            except RequestError as error:
                answers.append(error)

    asking = threading.Thread(target=ask)
    listen = Server._grpc_server

    def listen_later(server, predictor):
        # The models are loaded, however long that took: the first call finds nobody, a later one does.
        asking.start()
        time.sleep(0.3)
        return listen(server, predictor)

    monkeypatch.setattr(Server, "_grpc_server", listen_later)
    with running(saved, port=port):
        asking.join()
    assert answers == [{2: "AVAILABLE"}]


def test_calls_go_round_the_addresses_of_a_target(saved):
    with running(saved, versions=frozenset({1})) as one, running(saved, versions=frozenset({2})) as two:
        both = ",".join(server.target.replace("localhost", "127.0.0.1") for server in (one, two))
        with Recommender(f"ipv4:{both}", "tiny") as recommender:
            versions = {recommender.recommend({"user": "ada"}, k=1).version for _ in range(20)}
    assert versions == {"1", "2"}


def test_a_connection_that_the_server_ends_for_its_age_costs_no_call(saved):
    states: list[grpc.ChannelConnectivity] = []
    with (
        running(saved, connection_seconds=0.2) as server,
        Recommender(server.target, "tiny", attempts=1) as asking,
    ):
        asking._channel.subscribe(states.append)
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert asking.recommend({"user": "ada"}, k=1).items
    assert states.count(grpc.ChannelConnectivity.READY) > 1
