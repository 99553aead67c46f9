"""A SavedModel on disk, asked in this process."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from serving.errors import ModelError
from serving.local_model import LocalModel
from serving.model_files import ModelFiles

BOOKSHOP = Path(__file__).parent.parent / "fixtures" / "bookshop_model.py"


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> LocalModel:
    path = tmp_path_factory.mktemp("serving") / "17"
    runpy.run_path(str(BOOKSHOP))["save"](path)
    return LocalModel(path)


def _request(**changes) -> dict:
    nothing = np.zeros([1, 0])
    request = {
        "reader": ["ada"],
        "rated_at": [2200],
        "town": [""],
        "postcode": [""],
        "joined": [0],
        "born": [np.nan],
        "filter_shelves": [[""]],
        "filter_pages": [[np.nan, np.nan]],
        "history": nothing.astype(object),
        "history_age": nothing,
        "exclude": nothing.astype(object),
        "k": 3,
    }
    return {**request, **changes}


def test_a_signature_answers_with_arrays_by_name(model):
    answer = model.ask("recommend", _request())
    assert answer.version == "17"
    assert answer.outputs["candidate_ids"].tolist() == [[b"007", b"101", b"102"]]
    np.testing.assert_array_equal(answer.outputs["scores"], [[8.0, 7.0, 6.0]])


def test_version_titles_and_vocabulary_come_from_beside_the_graph(model):
    files = model.files
    assert files.version == "17"
    assert files.titles["103"] == "Stars for Beginners"
    assert files.vocabulary("query_reader") == ["ada", "bob", "cyd", "dee"]
    assert files.vocabulary("query_nobody") == []


@pytest.mark.parametrize(
    ("signature", "request_", "message"),
    [
        ("guess", _request(), "there is no signature 'guess'; there are embed_query, recommend, retrieve"),
        (
            "recommend",
            {"reader": ["ada"], "shoe": [1]},
            r"missing: born \(float32 \[\?\]\), exclude.*unknown: shoe",
        ),
        ("recommend", _request(born=["old"]), r"input 'born': found \['old'\], expected float32 \[\?\]"),
        ("recommend", _request(rated_at=[1.5]), r"input 'rated_at': found \[1.5\], expected int64 \[\?\]"),
        ("recommend", _request(k=2**31), "input 'k': found 2147483648, expected int32"),
        ("recommend", _request(reader=[7]), r"input 'reader': found \[7\], expected string"),
        (
            "recommend",
            _request(reader=[["ada"]]),
            r"'reader': found string \[1, 1\], expected string \[\?\]",
        ),
        ("recommend", _request(k=0), "signature 'recommend' failed: .*k must be at least 1"),
    ],
)
def test_a_wrong_request_is_told_what_was_expected(model, signature, request_, message):
    with pytest.raises(ModelError, match=f"(?s){message}"):
        model.ask(signature, request_)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"saved_model\.pb cannot be read"):
        LocalModel(tmp_path)


def test_a_model_that_westwork_did_not_push_is_told(tmp_path):
    with pytest.raises(ModelError, match=r"model\.json cannot be read.*Expected a model pushed by Westwork"):
        _ = ModelFiles(tmp_path).description


def test_a_damaged_model_is_refused(tmp_path):
    runpy.run_path(str(BOOKSHOP))["save"](tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ModelError, match="cannot be loaded as a SavedModel"):
        LocalModel(tmp_path / "1")
