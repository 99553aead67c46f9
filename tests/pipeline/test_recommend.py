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

import pytest
from rich.console import Console

from components.ingest.errors import UserError
from components.ingest.query import read_query
from pipeline.answer_view import print_answer
from pipeline.recommend import declaration_of, load, query_inputs, recommend
from pipeline.run_process import environment

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
        return recommend(model, root / "data", user, k, **options)

    return ask


def test_the_history_reaches_the_model_and_is_shown_latest_first(ask):
    answer = ask("ada")
    # ada's positives from 3.5 stars up, the latest three: 104, 105, 106.
    assert [item.id for item in answer.liked] == ["106", "105", "104"]
    assert answer.liked[0].title == "Rivers, Roads and Rails"
    assert [(item.rank, item.id, item.score) for item in answer.recommendations] == [
        (1, "104", 104.0),
        (2, "105", 103.0),
        (3, "106", 102.0),
    ]
    assert (answer.recommendations[0].title, answer.recommendations[0].rating) == ("The Last Lighthouse", 3.5)
    assert (answer.known, answer.trained_on, answer.another) == (True, True, "bob")


def test_seen_candidates_are_excluded_on_demand_and_fewer_are_returned(ask):
    answer = ask("ada", k=10, exclude_seen=True)
    assert [item.id for item in answer.recommendations] == ["107"]


def test_k_larger_than_the_catalogue_gives_the_catalogue(ask):
    assert len(ask("ada", k=1000).recommendations) == 8


def test_an_unknown_user_is_recommended_to_from_the_context_alone(ask):
    answer = ask("nobody")
    assert (answer.known, answer.trained_on, answer.liked) == (False, False, ())
    assert [item.id for item in answer.recommendations] == ["007", "101", "102"]
    shown = _printed(answer, k=3)
    assert "User nobody is not in the data" in shown
    assert "liked most recently" not in shown


def test_a_user_later_than_train_is_said_to_be_one(ask):
    answer = ask("eli")
    assert (answer.known, answer.trained_on) == (True, False)
    assert "was not there when the model was trained" in _printed(answer, k=3)


def test_the_example_user_has_the_median_number_of_positives(ask):
    # Positives: ada 6, bob 3, cyd 5, dee 3 (dee rated 104 with 1); eli is not in the vocabulary.
    assert ask(None).user == "cyd"


def test_the_request_is_made_at_the_latest_moment_unless_told(ask, root, model):
    assert ask("ada").moment == 2200
    assert ask("ada", moment=5000).moment == 5000
    declaration = declaration_of(model)
    record = read_query(declaration, str(root / "data"), "bob")
    inputs = query_inputs(model, declaration, record, 2200)
    assert inputs["rated_at"].tolist() == [2200]
    assert inputs["history"].tolist() == [["103", "101", "104"]]
    assert inputs["history_age"].tolist() == [[950.0, 550.0, 350.0]]
    assert inputs["town"].tolist() == ["Hagen"]
    assert math.isnan(inputs["born"][0])


def test_the_table_shows_titles_beside_what_was_liked_and_how_to_ask_for_another(ask):
    shown = _printed(ask("ada", k=9), k=9)
    first = next(line for line in shown.splitlines() if "Last Lighthouse" in line)
    assert first.split("  ")[0].strip() == "1"
    assert "104.00" in first and "3.50" in first and "0.75" in first and "Rivers, Roads and Rails" in first
    assert "8 of 9: the catalogue has 8 candidates." in shown
    assert "westwork recommend --user bob" in shown


def test_a_version_that_is_no_model_is_refused(root):
    with pytest.raises(UserError, match=r"999.*cannot be read.*westwork run --no-cache"):
        load(root / "serving" / "999")


def test_json_is_all_that_is_printed(root, tmp_path):
    where = ["--domain", str(FIXTURES / "tiny"), "--root", str(root)]
    command = [*WESTWORK, "recommend", *where, "--user", "ada", "--k", "2", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=_noisy())
    assert (ended.returncode, ended.stderr) == (0, "")
    answer = json.loads(ended.stdout)
    assert answer["version"] == "1700000010"
    first = answer["recommendations"][0]
    assert (first["rank"], first["id"], first["title"]) == (1, "104", "The Last Lighthouse")
    assert (first["score"], first["rating"], first["positive"]) == (104.0, 3.5, 0.75)
    assert answer["liked"][0] == {"id": "106", "title": "Rivers, Roads and Rails"}


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
