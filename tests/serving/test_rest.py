"""TensorFlow Serving's REST interface."""

import base64
import http.client
import json
import math
import shutil
import urllib.error
import urllib.request

import pytest
from running_server import running

COLUMNS = {
    "user": ["ada", "bob"],
    "age": [float("nan"), 30],
    "tags": [[], []],
    "history": [["c7"], ["c9"]],
    "history_age": [[1.5], [2]],
    "k": 2,
    "exclude": [[], []],
}


def _ask(server, path: str, body=None) -> tuple[int, dict]:
    """The status and JSON of a GET, or of a POST where there is a body."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"{server.url}{path}", data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        assert error.headers["Content-Type"].startswith("application/json")
        return error.code, json.loads(error.read())


def _predict(server, body, model="tiny") -> tuple[int, dict]:
    return _ask(server, f"/v1/models/{model}:predict", body)


def test_the_column_format(server):
    status, answer = _predict(server, {"signature_name": "recommend", "inputs": COLUMNS})
    assert status == 200
    outputs = answer["outputs"]
    assert outputs["candidate_ids"] == [["c7", "c0"], ["c9", "c0"]]
    assert outputs["scores"][0] == pytest.approx([143.002, 50.002])
    assert outputs["positive"] == [[0.0, 0.0], [30.0, 30.0]]


def test_missing_numbers_come_back_as_nan(server):
    inputs = {**COLUMNS, "exclude": [[f"c{i}" for i in range(50)]] * 2}
    answer = _predict(server, {"inputs": inputs})[1]["outputs"]
    assert answer["candidate_ids"] == [["", ""], ["", ""]]
    assert math.isnan(answer["positive"][0][0]) and answer["scores"][0][0] == -math.inf


def test_a_single_input_and_output_stand_without_names(server):
    hidden = base64.b64encode(b"\xff\x00").decode()
    body = {"signature_name": "echo", "inputs": ["plain", {"b64": hidden}]}
    expected = [{"b64": base64.b64encode(b"plain").decode()}, {"b64": hidden}]
    assert _predict(server, body) == (200, {"outputs": expected})
    body = {"signature_name": "echo", "instances": ["plain", {"b64": hidden}]}
    assert _predict(server, body) == (200, {"predictions": expected})
    body = {"signature_name": "echo", "instances": [{"text": "plain"}, {"text": {"b64": hidden}}]}
    assert _predict(server, body) == (200, {"predictions": expected})


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON"),
        ({}, 'expected a JSON object with either "instances" or "inputs"'),
        ({"inputs": 1, "instances": 1}, 'expected a JSON object with either "instances" or "inputs"'),
        ({"instances": []}, "instances: found [], expected a list of at least one row"),
        ({"inputs": COLUMNS, "signature_name": 7}, "signature_name: found 7, expected a string"),
        ({"instances": ["ada"]}, 'instances[0]: found "ada", expected an object with age, exclude'),
        ({"instances": [{"user": "ada"}]}, "instances[0]: found user, expected age, exclude"),
        (
            {
                "instances": [
                    {name: 1 if name == "k" else values[0] for name, values in {**COLUMNS, "k": [1]}.items()}
                ]
            },
            "input 'k' has one value for all rows, which \"instances\" cannot say: ask in the column format",
        ),
        ({"inputs": {**COLUMNS, "user": ["ada", 7]}}, "input 'user': found 7, expected string"),
        ({"inputs": {**COLUMNS, "age": ["old", 1]}}, "input 'age': found \"old\", expected float32"),
        ({"inputs": {**COLUMNS, "age": [True, 1]}}, "input 'age': found true, expected float32"),
        ({"inputs": {**COLUMNS, "k": 1.5}}, "input 'k': found 1.5, expected int32"),
        ({"inputs": {**COLUMNS, "k": 2**40}}, "input 'k': a number is out of the range of int32"),
        (
            {"inputs": {**COLUMNS, "user": ["\ud800"]}},
            "input 'user': found half of a surrogate pair, expected Unicode",
        ),
        ({"inputs": {**COLUMNS, "k": 0}}, "k must be at least 1"),
        ({"inputs": {**COLUMNS, "user": "ada"}}, "input 'user': found string [], expected string [?]"),
        ({"inputs": {**COLUMNS, "history": [["c1"], []]}}, "differ in length or depth; pad them"),
        ({"inputs": {**COLUMNS, "user": [{"b64": "?"}, "b"]}}, "is not base64"),
        ({"inputs": {**COLUMNS, "user": ["ada"]}}, "expected the same number of rows in every input"),
        ({"inputs": {"user": ["ada"]}}, "missing: age (float32 [?])"),
    ],
)
def test_a_wrong_body_is_told_what_was_found_and_expected(server, body, message):
    status, answer = _predict(server, body)
    assert status == 400
    assert message in answer["error"]


def test_what_is_not_there_is_not_found(server):
    assert _predict(server, {"inputs": COLUMNS}, "nobody")[0] == 404
    assert _predict(server, {"inputs": COLUMNS, "signature_name": "guess"})[0] == 400
    assert _predict(server, {"inputs": COLUMNS}, "tiny/versions/9")[0] == 404
    assert _predict(server, {"inputs": COLUMNS}, f"tiny/versions/{2**70}")[0] == 400
    assert _predict(server, {"inputs": COLUMNS}, "tiny/labels/nightly")[0] == 400
    status, answer = _ask(server, "/v2/models/tiny")
    assert status == 404 and "Malformed request: GET /v2/models/tiny; expected GET /v1/" in answer["error"]
    assert _ask(server, "/v1/models/tiny:predict")[0] == 400
    assert _ask(server, "/v1/models/tiny:classify", {"examples": []})[0] == 501


def test_version_and_label_choose_what_answers(server):
    def answered(place: str) -> int:
        answer = _predict(server, {"inputs": COLUMNS}, f"tiny{place}")[1]
        return round(answer["outputs"]["scores"][0][0] * 1000) % 1000

    assert [answered(place) for place in ("", "/versions/1", "/labels/stable", "/labels/canary")] == [
        2,
        1,
        1,
        2,
    ]


def test_status_has_tensorflow_servings_form(server):
    available = {"state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
    both = [{"version": "2", **available}, {"version": "1", **available}]
    assert _ask(server, "/v1/models/tiny") == (200, {"model_version_status": both})
    assert _ask(server, "/v1/models/tiny/versions/1") == (200, {"model_version_status": both[1:]})
    assert _ask(server, "/v1/models/tiny/labels/canary") == (200, {"model_version_status": both[:1]})
    assert _ask(server, "/v1/models/nobody")[0] == 404


def test_metadata_tell_the_signatures(server):
    status, answer = _ask(server, "/v1/models/tiny/metadata")
    assert status == 200
    assert (answer["model_spec"]["name"], answer["model_spec"]["version"]) == ("tiny", "2")
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert signatures["recommend"]["inputs"]["k"]["dtype"] == "DT_INT32"
    sizes = [dim["size"] for dim in signatures["recommend"]["inputs"]["history"]["tensor_shape"]["dim"]]
    assert sizes == ["-1", "-1"]
    assert _ask(server, "/v1/models/tiny/labels/stable/metadata")[1]["model_spec"]["version"] == "1"


def test_a_body_above_the_size_is_refused(server):
    status, answer = _predict(server, {"inputs": {**COLUMNS, "user": ["x" * (5 << 20), "b"]}})
    assert status == 413 and "4194304" in answer["error"]


def test_a_request_that_takes_too_long_is_given_up(saved):
    with running(saved, rest_timeout=0.05) as server:
        body = {"signature_name": "slow", "inputs": {"x": [1.0], "rounds": 1000}}
        assert _predict(server, body) == (504, {"error": "no answer within 0.05 s"})


def test_metrics_have_tensorflow_servings_names(base):
    with running(base) as server:
        for body in ({"inputs": COLUMNS}, {"inputs": {}}):
            _predict(server, body)
        _predict(server, {"inputs": COLUMNS}, "x" * 40)
        damaged = base / "2"
        shutil.copytree(base / "1", damaged)
        (damaged / "saved_model.pb").unlink()
        server.server.registry.refresh(at_once=True)
        with urllib.request.urlopen(f"{server.url}/monitoring/prometheus/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            lines = answer.read().decode().splitlines()
    for line in (
        ':tensorflow:serving:request_count{model_name="tiny",status="OK"} 1.0',
        ':tensorflow:serving:request_count{model_name="tiny",status="INVALID_ARGUMENT"} 1.0',
        # What nobody serves has no name: anyone could ask for any.
        ':tensorflow:serving:request_count{model_name="",status="NOT_FOUND"} 1.0',
        ':tensorflow:serving:request_latency_count{API="predict",entrypoint="REST",model_name="tiny"} 1.0',
        ':tensorflow:serving:runtime_latency_count{API="Predict",model_name="tiny",runtime="TF1"} 1.0',
        'westwork_version_available{model_name="tiny",version="1"} 1.0',
        'westwork_version_available{model_name="tiny",version="2"} 0.0',
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8501"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8501"}, 200),
        ({"Host": "shop.example"}, 403),
        ({"Host": "rebound.example:8501"}, 403),
        ({"Host": "localhost.example"}, 403),
        ({"Host": ""}, 403),
        ({"Host": "localhost:8501", "Origin": "http://localhost:8501"}, 200),
        ({"Host": "localhost:8501", "Origin": "http://shop.example"}, 403),
        ({"Host": "localhost:8501", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "localhost:8501", "Origin": "null"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_from_elsewhere_cannot_ask_a_server_of_this_machine(server, method, headers, status):
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=60)
    path = "/v1/models/tiny" + (":predict" if method == "POST" else "")
    body = json.dumps({"signature_name": "echo", "inputs": ["x"]}) if method == "POST" else None
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    assert answer.status == status, said
    assert (status == 200) != ("error" in json.loads(said))


def test_a_server_that_listens_elsewhere_has_names_of_its_own(saved):
    with running(saved, host="0.0.0.0") as server:
        port = server.url.rpartition(":")[2]
        connection = http.client.HTTPConnection(f"127.0.0.1:{port}", timeout=60)
        connection.request("GET", "/v1/models/tiny", headers={"Host": "recommender.shop.svc:8501"})
        assert connection.getresponse().status == 200
        connection.close()
