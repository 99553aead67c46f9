"""``westwork serve`` as a process, and ``westwork recommend --target`` asking it."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from click.testing import CliRunner

from components.ingest.errors import UserError
from pipeline.cli import main
from pipeline.recommend import load, recommend
from serving.client import Recommender
from serving.model_files import ModelFiles

FIXTURES = Path(__file__).parent.parent / "fixtures"
WESTWORK = [sys.executable, "-m", "pipeline.cli"]
VERSION = "1700000010"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """A run's root with the bookshop's data and a pushed version."""
    root = tmp_path_factory.mktemp("root")
    shutil.copytree(FIXTURES / "tiny", root / "data")
    (root / "logs").mkdir()
    runpy.run_path(str(FIXTURES / "bookshop_model.py"))["save"](root / "serving" / VERSION)
    return root


@pytest.fixture(scope="module")
def serving(root):
    """The process, gRPC's target and REST's URL."""
    command = [*WESTWORK, "serve", "--domain", str(FIXTURES / "tiny"), "--root", str(root)]
    command += ["--port", "0", "--rest-port", "0", "--batch-size", "4", "--ui"]
    noisy = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=noisy)
    line = process.stdout.readline()
    said = re.fullmatch(
        rf"serving recommender, version {VERSION}, from {re.escape(str(root))}/serving \| "
        r"gRPC (127\.0\.0\.1:\d+) \| REST (http://127\.0\.0\.1:\d+)/v1/models/recommender "
        r"\| explorer http://127\.0\.0\.1:\d+/\n",
        line,
    )
    if said is None:
        process.kill()
        pytest.fail(f"{line!r}\n{process.stderr.read()}")
    yield process, *said.groups()
    process.kill()
    process.wait()


def test_recommend_asks_a_server_as_it_asks_the_model_itself(root, serving):
    path = root / "serving" / VERSION
    local = recommend(load(path), ModelFiles(path), root / "data", "ada", 3)
    with Recommender(serving[1]) as recommender:
        remote = recommend(recommender, ModelFiles(path), root / "data", "ada", 3)
        assert remote.model == f"{serving[1]}, model recommender"
        assert {**remote.as_json(), "model": local.model} == local.as_json()
        with pytest.raises(UserError, match="k must be at least 1"):
            recommend(recommender, ModelFiles(path), root / "data", "ada", 0)


def test_the_command_line_shows_what_the_server_answers(root, serving):
    where = ["--domain", str(FIXTURES / "tiny"), "--root", str(root), "--target", serving[1]]
    asked = CliRunner().invoke(main, ["recommend", *where, "--user", "ada", "--k", "2", "--keep-seen"])
    assert asked.exit_code == 0, asked.output
    assert f"version {VERSION}" in asked.output and "The Last Lighthouse" in asked.output
    assert f"--target {serving[1]} --name recommender --user bob" in asked.output
    asked = CliRunner().invoke(main, ["recommend", *where, "--user", "ada", "--name", "nobody"])
    assert asked.exit_code == 1
    assert "there is no model 'nobody'; served: recommender" in asked.stderr


def test_rest_answers_beside_grpc(serving):
    with urllib.request.urlopen(f"{serving[2]}/v1/models/recommender") as answer:
        assert json.load(answer)["model_version_status"][0]["version"] == VERSION


def test_the_explorer_looks_users_up_in_the_runs_tables(serving):
    with urllib.request.urlopen(f"{serving[2]}/explorer/api/user?id=ada") as answer:
        found = json.load(answer)
    assert found["known"] and found["query"]["history"] == ["104", "105", "106"]
    with urllib.request.urlopen(f"{serving[2]}/explorer/api/model") as answer:
        told = json.load(answer)
    assert (told["name"], told["version"], told["exclude_seen"]) == ("recommender", VERSION, True)


def test_it_ends_in_order_when_it_is_told_to(serving):
    process = serving[0]
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, "")
    # Nothing of TensorFlow's, though it was told to say all it can.
    lines = [re.sub(r"^\S+ \S+ ", "", line) for line in err.splitlines()]
    assert [line.split(":")[0] for line in lines] == [
        "INFO model recommender",
        "INFO model recommender",
        "INFO stopping",
        "INFO model recommender",
    ]
    assert "version 1700000010 is available, 0 requests of warm-up replayed" in lines[1]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--tls-key", __file__], 2, "expected both --tls-cert and --tls-key"),
        (["--tls-client-ca", __file__], 2, "--tls-client-ca needs --tls-cert"),
        (["--ui", "--no-rest"], 2, "--ui is a page on REST's port: leave out --no-rest"),
        (["--label", "stable"], 2, "found 'stable', expected NAME=VERSION"),
        (["--domain", str(FIXTURES / "tiny"), "--root", "nowhere"], 1, "no model has been pushed to"),
    ],
)
def test_what_cannot_be_served_is_told_at_once(arguments, code, message):
    ended = CliRunner().invoke(main, ["serve", *arguments])
    assert (ended.exit_code, message in ended.stderr) == (code, True), ended.output


def test_a_directory_without_versions_is_told(tmp_path):
    ended = CliRunner().invoke(main, ["serve", "--model", str(tmp_path), "--port", "0"])
    assert ended.exit_code == 1
    assert f"found none in {tmp_path}" in ended.stderr
