"""``westwork recommend`` on the tiny bookshop and a model made by hand."""

import io
import json
import math
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import yaml
from rich.console import Console

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.query import QueryRecord, read_query
from pipeline.answer_view import print_answer
from pipeline.recommend import (
    Answer,
    Item,
    Recommendation,
    context_values,
    declaration_of,
    example_user,
    load,
    parsed_filters,
    query_values,
    recommend,
)
from pipeline.run_process import environment
from serving.contract import MISSING_MOMENT
from serving.model_files import ModelFiles
from serving.queries import batch_of

FIXTURES = Path(__file__).parent.parent / "fixtures"
WESTWORK = [sys.executable, "-m", "pipeline.cli"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A run's root with the bookshop's data and two pushed versions."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(FIXTURES / "tiny", root / "data")
    (root / "logs").mkdir()
    save = runpy.run_path(str(FIXTURES / "bookshop_model.py"))["save"]
    save(root / "serving" / "1700000010")
    (root / "serving" / "999").mkdir()
    (root / "serving" / ".1800000000.part").mkdir()
    return root


@pytest.fixture(scope="module")
def model(root):
    return load(root / "serving" / "1700000010")


@pytest.fixture
def ask(root, model):
    def ask(user, k=3, **options):
        return recommend(model, model.files, root / "data", user, k, **options)

    return ask


def test_the_history_reaches_the_model_and_is_shown_latest_first(ask):
    answer = ask("ada")
    # ada's positives from 3.5 stars up, the latest three: 104, 105, 106.
    assert [item.id for item in answer.history] == ["106", "105", "104"]
    assert answer.history[0].title == "Rivers, Roads and Rails"
    assert [(item.rank, item.id, item.score) for item in answer.recommendations] == [
        (1, "104", 104.0),
        (2, "105", 103.0),
        (3, "106", 102.0),
    ]
    assert (answer.recommendations[0].title, answer.recommendations[0].heads["rating"]) == (
        "The Last Lighthouse",
        3.5,
    )
    assert (answer.known, answer.trained_on, answer.another) == (True, True, "bob")


def test_seen_candidates_are_excluded_on_demand_and_fewer_are_returned(ask):
    answer = ask("ada", k=10, exclude_seen=True)
    assert [item.id for item in answer.recommendations] == ["107"]


def test_k_larger_than_the_catalogue_gives_the_catalogue(ask):
    assert len(ask("ada", k=1000).recommendations) == 8


def test_filters_are_alternatives_of_one_feature_and_bounds_of_a_number(ask):
    def found(*filters):
        return [item.id for item in ask("nobody", k=8, filters=filters).recommendations]

    assert found("shelves=travel", "shelves=cooking") == ["102", "106", "107"]
    assert found("pages=150..300") == ["103", "104"]
    assert found("pages=..100") == ["102", "107"]
    assert found("pages=300..", "shelves=novels") == ["101", "105"]
    assert found("shelves=poetry") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("shelves", "expected FEATURE=VALUE or FEATURE=LEAST..GREATEST"),
        ("pages=100", "found '100', expected LEAST..GREATEST, numbers"),
        ("pages=few..many", "found 'few..many', expected LEAST..GREATEST, numbers"),
        ("price=1", "found filter 'price', which the model has not; expected some of pages, shelves"),
    ],
)
def test_a_filter_that_is_none_is_refused(ask, text, message):
    with pytest.raises(UserError, match=message):
        ask("ada", filters=[text])


def test_bounds_of_a_moment_are_days_or_times():
    content = yaml.safe_load((FIXTURES / "tiny" / "domain.yaml").read_text())
    content["candidates"]["features"]["printed"] = {"kind": "timestamp"}
    declaration = Declaration(**{key: content[key] for key in content if key in Declaration.model_fields})
    bounds = parsed_filters(declaration, ["printed=1970-01-02..1970-01-02T00:00:30"])
    assert bounds == {"printed": [86_400.0, 86_430.0]}
    assert parsed_filters(declaration, ["printed=1970-01-02T01:00+01:00.."]) == {"printed": [86_400.0, None]}
    with pytest.raises(UserError, match=r"found 'soon..', expected LEAST..GREATEST, days or times"):
        parsed_filters(declaration, ["printed=soon.."])


def test_an_unknown_user_is_recommended_to_from_the_context_alone(ask):
    answer = ask("nobody")
    assert (answer.known, answer.trained_on, answer.history) == (False, False, ())
    assert [item.id for item in answer.recommendations] == ["007", "101", "102"]
    shown = _printed(answer, k=3)
    assert "User nobody is not in the data" in shown
    assert "liked most recently" not in shown


def test_a_user_later_than_train_is_said_to_be_one(ask):
    answer = ask("eli")
    assert (answer.known, answer.trained_on) == (True, False)
    assert "was not there when the model was trained" in _printed(answer, k=3)


def test_the_example_user_is_in_the_middle_of_those_the_model_knows(ask):
    # The vocabulary has ada, bob, cyd and dee, the most frequent first.
    assert ask(None).user == "cyd"
    with pytest.raises(UserError, match="Name one with --user"):
        example_user([])


def test_the_request_is_made_at_the_latest_moment_unless_told(ask, root, model):
    assert ask("ada").moment == 2200
    assert ask("ada", moment=5000).moment == 5000
    declaration = declaration_of(model.files)
    record = read_query(declaration, str(root / "data"), "bob")
    inputs = batch_of(model.signature("embed_query").inputs, [query_values(declaration, record, 2200)])
    assert inputs["rated_at"].tolist() == [2200]
    assert inputs["history"].tolist() == [["103", "101", "104"]]
    assert inputs["history_age"].tolist() == [[950.0, 550.0, 350.0]]
    assert inputs["town"].tolist() == ["Hagen"]
    assert math.isnan(inputs["born"][0])


def test_a_request_of_the_past_neither_uses_nor_leaves_out_what_came_later(ask):
    answer = ask("ada", k=8, exclude_seen=True, moment=1201)
    assert [item.id for item in answer.history] == ["101", "007"]
    assert {item.id for item in answer.recommendations} == {"103", "104", "105", "106", "107"}
    early = ask("eli", moment=1500)
    assert (early.known, early.history) == (True, ())


def test_the_table_shows_titles_beside_what_was_liked_and_how_to_ask_for_another(ask):
    shown = _printed(ask("ada", k=9), k=9)
    first = next(line for line in shown.splitlines() if "Last Lighthouse" in line)
    assert first.split("  ")[0].strip() == "1"
    assert "104.00" in first and "3.50" in first and "0.75" in first and "Rivers, Roads and Rails" in first
    assert "8 of 9: the catalogue has 8 candidates." in shown
    assert "westwork recommend --user bob" in shown


@pytest.fixture(scope="module")
def salon() -> Declaration:
    """A log without ratings whose requests have context of every kind."""
    context = {
        "device": {"kind": "vocabulary"},
        "room": {"kind": "numeric"},
        "tags": {"kind": "multivalent", "separator": "|"},
        "since": {"kind": "timestamp"},
        "mood": {"kind": "embedding", "dim": 2},
        "at": {"kind": "timestamp"},
    }
    log = {"sources": [{"files": "x.csv"}], "query_id": "guest", "candidate_id": "song", "context": context}
    log["timestamp"] = {"column": "at"}
    return Declaration.model_validate({"interactions": log, "candidates": {"files": "y.csv", "id": "song"}})


def test_context_is_sent_as_given_and_else_as_missing(salon, tmp_path):
    specs = {
        "guest": tf.TensorSpec([None], tf.string),
        "device": tf.TensorSpec([None], tf.string),
        "room": tf.TensorSpec([None], tf.float32),
        "tags": tf.TensorSpec([None, None], tf.string),
        "since": tf.TensorSpec([None], tf.int64),
        "mood": tf.TensorSpec([None, 2], tf.float32),
        "at": tf.TensorSpec([None], tf.int64),
        "history": tf.TensorSpec([None, None], tf.string),
        "history_age": tf.TensorSpec([None, None], tf.float32),
    }
    module = tf.Module()
    signature = tf.function(
        lambda inputs: {"guest": inputs["guest"]},
        input_signature=[{name: tf.TensorSpec(s.shape, s.dtype, name=name) for name, s in specs.items()}],
    ).get_concrete_function()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"embed_query": signature})
    model = load(tmp_path / "1")
    inputs = model.signature("embed_query").inputs
    record = QueryRecord("eve", False, {}, [], [], [], [], 77)

    missing = batch_of(inputs, [query_values(salon, record, 77)])
    assert (missing["device"].tolist(), missing["tags"].shape, missing["since"].tolist()) == (
        [""],
        (1, 0),
        [MISSING_MOMENT],
    )
    assert math.isnan(missing["room"][0]) and missing["mood"].shape == (1, 2)
    assert all(math.isnan(number) for number in missing["mood"][0])
    assert missing["at"].tolist() == [77]

    said = {"device": "phone", "room": "7.5", "tags": "calm|loud", "since": "1970-01-02", "mood": "0.5 -1"}
    given = batch_of(inputs, [query_values(salon, record, 77, context_values(salon, said))])
    assert (given["device"].tolist(), given["room"].tolist()) == (["phone"], [7.5])
    assert (given["tags"].tolist(), given["since"].tolist()) == ([["calm", "loud"]], [86_400])
    assert given["mood"].tolist() == [[0.5, -1.0]]
    model.ask("embed_query", given)


def test_the_actions_of_a_known_users_history_are_sent_where_the_model_takes_them(model):
    content = declaration_of(model.files).model_dump()
    content["interactions"] |= {
        "rating": None,
        "actions": {"column": "did", "weights": {"lend": 1, "buy": 2}},
    }
    record = QueryRecord("ada", True, {}, ["104", "105"], [10, 20], ["buy", "lend"], ["104", "105"], 20)
    values = query_values(Declaration.model_validate(content), record, 20)
    assert values["history_action"] == ["buy", "lend"]
    assert "history_action" not in query_values(declaration_of(model.files), record, 20)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("room", "upstairs", r"--context room=upstairs: found 'upstairs', expected a finite number"),
        ("rom", "7", r"no such context; expected one of: device, room, tags, since, mood$"),
        ("at", "7", r"the moment of the request is given with --at"),
    ],
)
def test_a_context_that_is_none_is_refused(salon, name, value, message):
    with pytest.raises(UserError, match=message):
        context_values(salon, {name: value})


def _without_declaration(file):
    file.write_text(json.dumps({"index": "exact"}))


def _of_another_release(file):
    description = json.loads(file.read_text())
    description["declaration"]["interactions"]["novelty"] = True
    file.write_text(json.dumps(description))


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        ("model.json", lambda file: file.unlink(), "model.json cannot be read"),
        ("model.json", lambda file: file.write_text(file.read_text()[:99]), "model.json cannot be read"),
        ("model.json", lambda file: file.write_bytes(b"\xff\xfe"), "model.json cannot be read"),
        ("model.json", lambda file: file.write_text("[]"), "has no declaration of the data"),
        ("model.json", _without_declaration, "has no declaration of the data"),
        ("model.json", _of_another_release, "has no declaration of the data"),
        ("candidates.parquet", lambda file: file.unlink(), "candidates.parquet cannot be read"),
        ("candidates.parquet", lambda file: file.write_bytes(b""), "candidates.parquet cannot be read"),
        ("candidates.parquet", lambda file: file.write_bytes(file.read_bytes()[:-9]), "cannot be read"),
        (
            "candidates.parquet",
            lambda file: pq.write_table(pa.table({"a": [1]}), file),
            "candidates.parquet has columns a. Expected id and title",
        ),
        ("../assets/query_reader", lambda file: file.write_bytes(b"\xff"), "query_reader cannot be read"),
    ],
)
def test_a_damaged_model_is_advice_not_a_traceback(root, model, tmp_path, file, damage, message):
    version = tmp_path / "7"
    shutil.copytree(root / "serving" / "1700000010", version)
    damage(version / "assets.extra" / file)
    with pytest.raises(UserError, match=rf"{message}.*Push again: westwork run --no-cache"):
        recommend(model, ModelFiles(version), root / "data", "ada", 3)


def test_only_the_heads_that_the_model_has_are_shown():
    items = (Recommendation("1", "Song", 1, 0.5, {"positive": 0.25}),)
    answer = Answer("eve", True, True, 0, "1", "m", 9, ("positive",), items, (Item("2", "Hymn"),), "fay")
    shown = _printed(answer, k=1)
    assert "P(positive)" in shown and "0.25" in shown and "Hymn" in shown
    assert "rating" not in shown and "liked" not in shown
    first = answer.as_json()["recommendations"][0]
    assert first == {"id": "1", "title": "Song", "rank": 1, "score": 0.5, "positive": 0.25}


def test_a_version_that_is_no_model_is_refused(root):
    with pytest.raises(UserError, match=r"999.*cannot be read.*westwork run --no-cache"):
        load(root / "serving" / "999")


def test_json_is_all_that_is_printed(root, tmp_path):
    where = ["--domain", str(FIXTURES / "tiny"), "--root", str(root)]
    command = [*WESTWORK, "recommend", *where, "--user", "ada", "--k", "2", "--json", "--keep-seen"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=_noisy())
    assert (ended.returncode, ended.stderr) == (0, "")
    answer = json.loads(ended.stdout)
    assert answer["version"] == "1700000010"
    first = answer["recommendations"][0]
    assert (first["rank"], first["id"], first["title"]) == (1, "104", "The Last Lighthouse")
    assert (first["score"], first["rating"], first["positive"]) == (104.0, 3.5, 0.75)
    assert answer["history"][0] == {"id": "106", "title": "Rivers, Roads and Rails"}


def test_an_error_while_the_output_is_captured_still_shows(root, tmp_path):
    broken = tmp_path / "root"
    shutil.copytree(root, broken)
    (broken / "data" / "interactions.csv").unlink()
    command = [*WESTWORK, "recommend", "--domain", str(FIXTURES / "tiny"), "--root", str(broken), "--example"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=_noisy())
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("error found no file ")
    assert ended.stderr.count("\n") == 1


def _noisy() -> dict[str, str]:
    """The environment in which TensorFlow says all it can."""
    assert "TF_USE_LEGACY_KERAS" in os.environ
    return {**environment(), "TF_CPP_MIN_LOG_LEVEL": "0"}


def _printed(answer, k: int) -> str:
    console = Console(file=io.StringIO(), width=100)
    print_answer(console, answer, k, ["westwork", "recommend"])
    return console.file.getvalue()
