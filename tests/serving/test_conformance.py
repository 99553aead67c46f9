"""TensorFlow Serving's REST interface, case by case, each with its place in TensorFlow Serving's files.

With ``TF_SERVING_REST`` (``http://host:port`` of a tensorflow_model_server that serves the models which
``foreign_models.py`` writes, as ``half_plus_two``, ``half_plus_three`` and ``echo``) the same cases ask that
one, too. Values are compared as JSON's; messages are not.
"""

import http.client
import json
import math
import os
from dataclasses import replace
from typing import NamedTuple

import pytest
from foreign_models import save_echo, save_half_plus
from running_server import Running

from serving.server import ServerOptions
from serving.versions import ModelConfig

TENSOR_TEST = "util/json_tensor_test.cc"
TENSOR = "util/json_tensor.cc"
HANDLER = "model_servers/http_rest_api_handler.cc"
UTIL_TEST = "model_servers/http_rest_api_util_test.cc"
QUICK_START = "g3doc/api_rest.md"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """Our own server's host and port."""
    folder = tmp_path_factory.mktemp("foreign")
    save_half_plus(folder / "two" / "123", 2.0)
    save_half_plus(folder / "two" / "124", 2.0)
    save_half_plus(folder / "three" / "7", 3.0)
    save_echo(folder / "echo" / "1")
    models = (
        ModelConfig("half_plus_two", folder / "two", newest=None, labels={"stable": 123}),
        ModelConfig("half_plus_three", folder / "three"),
        ModelConfig("echo", folder / "echo"),
    )
    server = Running(replace(ServerOptions(models), port=0, rest_port=0))
    yield server.url.removeprefix("http://")
    server.stop()


@pytest.fixture(scope="module", params=["embedded", "tf_serving"])
def server(request):
    """Where to ask: of ours, and of TensorFlow Serving's where there is one."""
    if request.param == "embedded":
        return request.getfixturevalue("embedded")
    if "TF_SERVING_REST" not in os.environ:
        pytest.skip("TF_SERVING_REST does not say where a tensorflow_model_server is")
    return os.environ["TF_SERVING_REST"].removeprefix("http://")


def _ask(server, method, path, body=None):
    connection = http.client.HTTPConnection(server, timeout=20)
    connection.request(method, path, body)
    answer = connection.getresponse()
    content = answer.read().decode()
    connection.close()
    return answer.status, content


class Case(NamedTuple):
    """Asked of a model's signature, answered or refused with 400."""

    source: str
    signature: str
    body: str
    answer: str | None


def _same(found, expected):
    """Equal as JSON, numbers as numbers, NaN as itself."""
    if isinstance(expected, list):
        return isinstance(found, list) and len(found) == len(expected) and all(map(_same, found, expected))
    if isinstance(expected, dict):
        return found.keys() == expected.keys() and all(_same(found[key], expected[key]) for key in expected)
    if isinstance(expected, float) and math.isnan(expected):
        return isinstance(found, float) and math.isnan(found)
    # True is 1 to Python, not to JSON.
    return isinstance(found, bool) == isinstance(expected, bool) and found == expected


def _rows(source, signature, rows, expected=...):
    """The row format: what is given, and what comes back (the same, unless said)."""
    answer = None if expected is None else '{"predictions": ' + (rows if expected is ... else expected) + "}"
    return Case(source, signature, f'{{"signature_name": "{signature}", "instances": {rows}}}', answer)


def _columns(source, signature, inputs, expected=...):
    """The column format, likewise."""
    answer = None if expected is None else '{"outputs": ' + (inputs if expected is ... else expected) + "}"
    return Case(source, signature, f'{{"signature_name": "{signature}", "inputs": {inputs}}}', answer)


_ROW = (
    '{"int_tensor": [[1, 2], [3, 4]], "str_tensor": ["a", "b"], "float_tensor": [1.5], "dbl_tensor": [0.1]}'
)
_OTHER = (
    '{"int_tensor": [[5, 6], [7, 8]], "str_tensor": ["c", ""], "float_tensor": [2.0], "dbl_tensor": [-3]}'
)
_ODD = '{"int_tensor": [[5, 6]], "str_tensor": ["c", ""], "float_tensor": [2.0], "dbl_tensor": [-3]}'
_DEEP = '{"int_tensor": [[[5], [6]]], "str_tensor": ["c", ""], "float_tensor": [2.0], "dbl_tensor": [-3]}'
_MANY = (
    '{"int_tensor": [[1, 2]], "str_tensor": ["a", "b"], "float_tensor": [NaN, Infinity], "dbl_tensor": 7.25}'
)

CASES = [
    # Shapes of one tensor without a name.
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensor", "int32", "[[1, 2], [3, 4], [5, 6]]"),
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensor", "int32", "[1, 2, 3]"),
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensor", "int32", "[[[1], [2]], [[3], [4]]]"),
    _rows(f"{TENSOR}: GetDenseTensorShape", "int32", "[[], []]"),
    _rows(f"{TENSOR}: GetDenseTensorShape", "int32", "[[[[[7]]]]]"),
    _columns(f"{TENSOR_TEST}: SingleUnnamedTensorColumnarFormat", "int32", "[[[1, 2], [3, 4]]]"),
    _columns(
        f"{TENSOR_TEST}: SingleUnnamedTensorColumnarFormat",
        "int32",
        '{"x": [[[1, 2], [3, 4]]]}',
        "[[[1, 2], [3, 4]]]",
    ),
    _columns(f"{TENSOR}: GetDenseTensorShape, a scalar has no dimension", "int32", "5"),
    _columns(f"{TENSOR}: GetDenseTensorShape, a scalar has no dimension", "float", '{"x": 2.5}', "2.5"),
    _columns(f"{TENSOR}: GetDenseTensorShape", "int32", "[]"),
    # Numbers.
    _rows(f"{TENSOR_TEST}: MixedInputForFloatTensor", "float", "[1, 2.0, 3, 5.003, 0.007, 0.0]"),
    _rows(f"{TENSOR_TEST}: MixedInputForDoubleTensor", "double", "[1.0, 2, 3, 0.662, 0, 0.0]"),
    _rows(f"{TENSOR}: WriteDecimal, shortest", "float", "[0.2, 0.1, 3.3, 1e-10, 16777215]"),
    _rows(f"{TENSOR}: WriteDecimal, shortest", "float", "[[0.3], [1.1]]"),
    _rows(
        f"{TENSOR_TEST}: FromJsonSingleFloatTensorSixDigitPrecision",
        "float",
        "[9000000, 999999, 0.0003, 3e-05, 555557.5]",
    ),
    _rows(f"{TENSOR_TEST}: FromJsonSingleFloatTensorNonFinite", "float", "[NaN, Infinity, 3.0, -Infinity]"),
    _rows(f"{TENSOR_TEST}: FromJsonSingleFloatTensorNonFinite", "double", "[[NaN], [-Infinity]]"),
    _rows(f"{TENSOR}: AddValueToTensor", "double", "[0.1, 1e300, -2.5]"),
    _rows(f"{TENSOR}: AddValueToTensor", "int64", "[9223372036854775807, -9223372036854775808]"),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[2147483647, -2147483648]"),
    _rows(f"{TENSOR}: AddValueToTensor", "uint8", "[0, 255]"),
    _rows(f"{TENSOR}: AddValueToTensor", "int8", "[-128, 127]"),
    _rows(f"{TENSOR}: AddValueToTensor", "int16", "[-32768, 32767]"),
    _rows(f"{TENSOR}: AddValueToTensor", "uint32", "[4294967295]"),
    _rows(f"{TENSOR}: AddValueToTensor", "uint64", "[18446744073709551615]"),
    _rows(f"{TENSOR}: AddValueToTensor", "bool", "[true, false]"),
    _rows(
        f"{TENSOR_TEST}: SingleUnnamedTensorErrors, loss of precision",
        "float",
        "[1.7976931348623157e308]",
        None,
    ),
    _rows(f"{TENSOR}: IsLosslessDecimal", "float", "[-3.5e38]", None),
    _rows(f"{TENSOR}: FillPredictRequestFromJson, a number RapidJSON cannot hold", "double", "[1e400]", None),
    _rows(f"{TENSOR}: FillPredictRequestFromJson, a number RapidJSON cannot hold", "float", "[-1e999]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[2147483648]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int64", "[9223372036854775808]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[1.0]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[1.5]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[true]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", '["1"]', None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[null]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "int32", "[NaN]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "float", "[true]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "float", '["1.0"]', None),
    _rows(f"{TENSOR}: AddValueToTensor", "float", "[null]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "float", '[{"b64": "AAAA"}]', None),
    _rows(f"{TENSOR}: AddValueToTensor", "bool", "[0]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "bool", '["true"]', None),
    _rows(f"{TENSOR}: AddValueToTensor", "string", "[1]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "string", "[null]", None),
    _rows(f"{TENSOR}: AddValueToTensor", "uint64", "[-1]", None),
    # Strings and bytes.
    _rows(
        f"{TENSOR}: AddValueToTensor", "string", '["a", "ü", "", "\\u00e9", "two\\nlines", "\\ud83d\\ude00"]'
    ),
    _rows(
        f"{TENSOR_TEST}: SingleUnnamedTensorBase64Scalars",
        "string",
        '[{"b64": "aGVsbG8="}, {"b64": "d29ybGQ="}]',
        '["hello", "world"]',
    ),
    _rows(
        f"{TENSOR_TEST}: SingleUnnamedTensorBase64Lists",
        "string",
        '[[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]',
        '[["hello"], ["world"]]',
    ),
    _rows(
        f"{TENSOR_TEST}: SingleNamedTensorBase64",
        "string",
        '[{"x": [[{"b64": "aGVsbG8="}], [{"b64": "d29ybGQ="}]]}]',
        '[[["hello"], ["world"]]]',
    ),
    _rows(
        f"{TENSOR}: JsonDecodeBase64Object, padding may lack", "string", '[{"b64": "aGVsbG8"}]', '["hello"]'
    ),
    _rows(f"{TENSOR}: JsonDecodeBase64Object", "string", '[{"b64": ""}]', '[""]'),
    _rows(f"{TENSOR}: JsonDecodeBase64Object", "string", '[{"b64": "&&&&"}]', None),
    _rows(
        f"{TENSOR}: IsValBase64Object, one key of this name",
        "string",
        '[[{"b64": "aA==", "more": "aA=="}]]',
        None,
    ),
    _rows(f"{TENSOR}: IsValBase64Object, a string", "string", '[[{"b64": 5}]]', None),
    _rows(
        f"{TENSOR_TEST}: FromJsonSingleBytesTensor",
        "bytes",
        '["hello", "tf"]',
        '[{"b64": "aGVsbG8="}, {"b64": "dGY="}]',
    ),
    _rows(f"{TENSOR_TEST}: FromJsonSingleBytesTensor", "bytes", '[{"b64": "//79"}]', '[{"b64": "//79"}]'),
    _columns(
        f"{TENSOR_TEST}: MultipleNamedTensorColumnarFormat", "string", '{"x": {"b64": "aGVsbG8="}}', '"hello"'
    ),
    _columns(f"{TENSOR_TEST}: MultipleNamedTensorColumnarFormat", "string", '{"b64": "aGVsbG8="}', '"hello"'),
    _rows(
        f"{TENSOR}: FillPredictRequestFromJson, RapidJSON validates surrogates", "string", '["\\ud800"]', None
    ),
    # Several tensors by name.
    _rows(f"{TENSOR_TEST}: MultipleNamedTensor", "named", f"[{_ROW}, {_OTHER}]"),
    _rows(f"{TENSOR_TEST}: MultipleNamedTensor", "named", f"[{_ROW}]"),
    _columns(f"{TENSOR_TEST}: MultipleNamedTensorColumnarFormat", "named", _MANY),
    _columns(
        f"{TENSOR}: FillTensorMapFromInputsMap, names beyond the signature's",
        "named",
        _MANY[:-1] + ', "more": 5}',
        _MANY,
    ),
    _columns(
        f"{TENSOR}: FillTensorMapFromInputsMap, names beyond the signature's",
        "int32",
        '{"x": [1], "z": ["a"]}',
        "[1]",
    ),
    _columns(f"{TENSOR}: FillTensorMapFromInputsMap", "named", '{"int_tensor": [1]}', None),
    _columns(f"{TENSOR}: FillTensorMapFromInputsMap", "named", "{}", None),
    _columns(f"{TENSOR}: FillTensorMapFromInputsMap", "named", "[1, 2]", None),
    _rows(f"{TENSOR_TEST}: MultipleNamedTensorErrors, sizes", "named", f"[{_ROW}, {_ODD}]", None),
    _rows(f"{TENSOR_TEST}: MultipleNamedTensorErrors, shapes", "named", f"[{_ROW}, {_DEEP}]", None),
    _rows(
        f"{TENSOR_TEST}: MultipleNamedTensorErrors, an object, then a list",
        "named",
        f"[{_ROW}, [1, 20]]",
        None,
    ),
    _rows(
        f"{TENSOR_TEST}: MultipleNamedTensorErrors, a list, then an object",
        "string",
        '[["a"], {"x": ["b"]}]',
        None,
    ),
    _rows(
        f"{TENSOR}: AddInstanceItem, a name beyond the signature's",
        "named",
        f'[{_ROW[:-1]}, "more": 1}}]',
        None,
    ),
    _rows(
        f"{TENSOR}: FillTensorMapFromInstancesList, a name is missing", "named", '[{"int_tensor": [1]}]', None
    ),
    _rows(f"{TENSOR}: FillTensorMapFromInstancesList, several inputs need names", "named", "[1]", None),
    # What is no such tensor.
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensorErrors, size", "int32", "[[1, 2], [3, 4], [5, 6, 7]]", None),
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensorErrors, shape", "int32", "[[1, 2], [3, 4], [[5, 6]]]", None),
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensorErrors, depth", "int32", "[1, [1]]", None),
    _rows(f"{TENSOR_TEST}: SingleUnnamedTensorErrors, type", "int32", '[[1, 2], ["a", "b"]]', None),
    _rows(f"{TENSOR}: FillPredictRequestFromJson, an empty list", "int32", "[]", None),
    _rows(f"{TENSOR}: FillPredictRequestFromJson, no list", "int32", "5", None),
    _rows(f"{TENSOR}: FillPredictRequestFromJson, no list", "int32", '{"x": 5}', None),
    # What is no such request.
    Case(f"{TENSOR_TEST}: SingleUnnamedTensorErrors, empty", "", "", None),
    Case(
        f"{TENSOR_TEST}: SingleUnnamedTensorErrors, signature_name",
        "",
        '{"signature_name": 5, "instances": [1]}',
        None,
    ),
    Case(
        f"{TENSOR_TEST}: SingleUnnamedTensorErrors, both formats",
        "",
        '{"instances": [1], "inputs": [1]}',
        None,
    ),
    Case(f"{TENSOR}: FillPredictRequestFromJson, neither", "", '{"signature_name": "int32"}', None),
    Case(f"{TENSOR}: FillPredictRequestFromJson, no object", "", "[1, 2]", None),
    Case(f"{TENSOR}: FillPredictRequestFromJson, no object", "", "5", None),
    Case(f"{TENSOR}: ParseJson", "", '{"instances": [1, 2}', None),
    Case(f"{TENSOR}: ParseJson", "", '{"instances": [1, 2]} more', None),
    Case(f"{TENSOR}: ParseJson", "", "{'instances': [1]}", None),
    Case(f"{TENSOR}: ParseJson", "", '{"instances": [1,]}', None),
    Case(f"{TENSOR}: ParseJson", "", '{"instances": [01]}', None),
    Case(f"{TENSOR}: ParseJson", "", "\u00ff", None),
    Case(
        f"{TENSOR_TEST}: SingleUnnamedTensorWithSignature",
        "",
        '{"instances": [1.5]}',
        '{"predictions": [1.5]}',
    ),
    Case(
        f"{TENSOR}: FillPredictRequestFromJson, other keys",
        "",
        '{"instances": [1.5], "more": {"a": 1}}',
        '{"predictions": [1.5]}',
    ),
    Case(
        f"{TENSOR}: ParseJson, white space", "", ' {\n\t"instances" : [ 1.5 ]\r\n} ', '{"predictions": [1.5]}'
    ),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case.signature}" for n, case in enumerate(CASES)])
def test_predict_over_rest(server, case):
    status, content = _ask(server, "POST", "/v1/models/echo:predict", case.body.encode())
    answer = json.loads(content)
    if case.answer is None:
        assert (status, list(answer)) == (400, ["error"]), (case, content)
        assert isinstance(answer["error"], str) and answer["error"]
    else:
        assert status == 200 and _same(answer, json.loads(case.answer)), (case, content)


@pytest.mark.parametrize(
    ("source", "path", "body", "expected"),
    [
        (QUICK_START, "half_plus_two", '{"instances": [1.0, 2.0, 5.0]}', '{"predictions": [2.5, 3.0, 4.5]}'),
        (
            QUICK_START,
            "half_plus_three",
            '{"instances": [1.0, 2.0, 5.0]}',
            '{"predictions": [3.5, 4.0, 5.5]}',
        ),
        (QUICK_START, "half_plus_two", '{"instances": [[1.0], [2.0]]}', '{"predictions": [[2.5], [3.0]]}'),
        (QUICK_START, "half_plus_two", '{"inputs": [1.0, 2.0]}', '{"outputs": [2.5, 3.0]}'),
        (QUICK_START, "half_plus_two", '{"inputs": {"x": 1}}', '{"outputs": 2.5}'),
        (
            QUICK_START,
            "half_plus_two",
            '{"instances": [{"x": 1.0}, {"x": 2}]}',
            '{"predictions": [2.5, 3.0]}',
        ),
        (UTIL_TEST, "half_plus_two/versions/123", '{"instances": [4]}', '{"predictions": [4.0]}'),
        (UTIL_TEST, "half_plus_two/labels/stable", '{"instances": [4]}', '{"predictions": [4.0]}'),
    ],
)
def test_the_quick_starts_model_takes_more_shapes_than_its_signature_says(
    server, source, path, body, expected
):
    status, content = _ask(server, "POST", f"/v1/models/{path}:predict", body)
    assert status == 200 and _same(json.loads(content), json.loads(expected)), (source, content)


@pytest.mark.parametrize(
    ("source", "method", "path", "status"),
    [
        (UTIL_TEST, "GET", "/v1/models/half_plus_two", 200),
        (UTIL_TEST, "GET", "/v1/models/half_plus_two/versions/123", 200),
        (UTIL_TEST, "GET", "/v1/models/half_plus_two/labels/stable", 200),
        (UTIL_TEST, "GET", "/v1/models/half_plus_two/metadata", 200),
        (UTIL_TEST, "GET", "/v1/models/half_plus_two/versions/123/metadata", 200),
        (UTIL_TEST, "GET", "/v1/models/half_plus_two/labels/stable/metadata", 200),
        (f"{HANDLER}: (?i)", "GET", "/V1/Models/half_plus_two", 200),
        (f"{HANDLER}: (?i)", "GET", "/v1/models/half_plus_two/VERSIONS/123/Metadata", 200),
        (f"{HANDLER}: ProcessModelStatusRequest", "GET", "/v1/models/nobody", 404),
        (f"{HANDLER}: ProcessModelStatusRequest", "GET", "/v1/models/half_plus_two/versions/99", 404),
        (f"{HANDLER}: ProcessModelMetadataRequest", "GET", "/v1/models/nobody/metadata", 404),
        (
            f"{HANDLER}: ProcessModelMetadataRequest",
            "GET",
            "/v1/models/half_plus_two/versions/9/metadata",
            404,
        ),
        (f"{HANDLER}: a label that is not there", "GET", "/v1/models/half_plus_two/labels/none", 400),
        (
            f"{HANDLER}: a version beyond int64",
            "GET",
            "/v1/models/half_plus_two/versions/9223372036854775808",
            400,
        ),
        (f"{HANDLER}: ProcessModelStatusRequest, no name", "GET", "/v1/models", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1/models/half_plus_two:predict", 400),
        (f"{HANDLER}: ProcessRequest", "POST", "/v1/models/half_plus_two", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1/models/half_plus_two/", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1/models/half_plus_two/more", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1/models/half_plus_two/versions/1/labels/stable", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/", 404),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1", 404),
        (f"{HANDLER}: ProcessRequest", "GET", "/v1/model/half_plus_two", 400),
        (f"{HANDLER}: ProcessRequest", "GET", "/v2/models/half_plus_two", 404),
        (f"{HANDLER}: ProcessRequest", "POST", "/v1/models/half_plus_two:foo", 400),
        (f"{HANDLER}: ProcessRequest", "POST", "/v1/models/half_plus_two/versions/x:predict", 400),
        (f"{HANDLER}: ProcessRequest", "POST", "/v1/models/half_plus_two/versions/-1:predict", 400),
    ],
)
def test_paths_are_those_of_tensorflow_serving(server, source, method, path, status):
    found, content = _ask(server, method, path, "{}" if method == "POST" else None)
    assert found == status, (source, content)
    if status != 200:
        assert list(json.loads(content)) == ["error"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nobody:predict", 404),
        ("half_plus_two/versions/99:predict", 404),
        ("half_plus_two/labels/none:predict", 400),
        ("half_plus_two/VERSIONS/123:Predict", 200),
        ("half_plus_two:PREDICT", 200),
    ],
)
def test_who_is_asked_to_predict(server, path, status):
    assert _ask(server, "POST", f"/v1/models/{path}", '{"instances": [1.0]}')[0] == status


def test_an_unknown_signature_is_refused(server):
    body = '{"signature_name": "none", "instances": [1.0]}'
    status, content = _ask(server, "POST", "/v1/models/half_plus_two:predict", body)
    assert status == 400 and "error" in json.loads(content)
