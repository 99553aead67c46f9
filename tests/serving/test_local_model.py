"""A SavedModel on disk, asked in this process."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from serving.local_model import LocalModel, ModelError

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
        "history": nothing.astype(object),
        "history_age": nothing,
        "exclude": nothing.astype(object),
        "k": 3,
    }
    return {**request, **changes}


def test_a_signature_answers_with_arrays_by_name(model):
    answer = model.ask("recommend", _request())
    assert answer["candidate_ids"].tolist() == [[b"007", b"101", b"102"]]
    np.testing.assert_array_equal(answer["scores"], [[8.0, 7.0, 6.0]])


def test_version_titles_and_vocabulary_come_from_beside_the_graph(model):
    assert model.version == "17"
    assert model.titles["103"] == "Stars for Beginners"
    assert model.vocabulary("query_reader") == ["ada", "bob", "cyd", "dee"]
    assert model.vocabulary("query_nobody") == []


@pytest.mark.parametrize(
    ("signature", "request_", "message"),
    [
        ("guess", _request(), "has no signature 'guess'; it has embed_query, recommend"),
        ("recommend", {"reader": ["ada"], "shoe": [1]}, r"missing: born, exclude.*unknown: shoe"),
        ("recommend", _request(born=["old"]), "input 'born': found .*, expected float32"),
        (
            "recommend",
            _request(reader=[["ada"]]),
            r"'reader': found shape \(1, 1\), expected \(None,\)",
        ),
        ("recommend", _request(k=0), "signature 'recommend' failed: .*k must be at least 1"),
    ],
)
def test_a_wrong_request_is_told_what_was_expected(model, signature, request_, message):
    with pytest.raises(ModelError, match=f"(?s){message}"):
        model.ask(signature, request_)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ModelError, match=r"model\.json cannot be read"):
        LocalModel(tmp_path)


def test_a_damaged_model_is_refused(tmp_path):
    runpy.run_path(str(BOOKSHOP))["save"](tmp_path / "1")
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"not a protocol buffer")
    with pytest.raises(ModelError, match="cannot be loaded as a SavedModel"):
        LocalModel(tmp_path / "1")
