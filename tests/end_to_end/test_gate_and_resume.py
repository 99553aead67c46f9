"""Runs that must not end well, and one that was killed: on a bookshop of twelve books.

Twelve books are too few for ScaNN and fewer than k: the same runs show that such a catalogue works. Those
that come to an end are of a domain that says neither what was liked nor where it stood, but what was read.
"""

import csv
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from command import WESTWORK, westwork

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "fixtures"))

from bookshop import write_bookshop  # noqa: E402

SETTINGS = (
    "retrieval.batch_size=64",
    "retrieval.epochs=4",
    "ranking.batch_size=64",
    "ranking.epochs=10",
    "ranking.learning_rate=0.005",
    "evaluation.baselines.trials=2",
    # Who reads what follows from the shelf; of books dealt out at random nobody knows more than popularity.
    "evaluation.floors={recommend/ndcg@10_lift: 0.05}",
)
SET = [word for setting in SETTINGS for word in ("--set", setting)]


TINY = TESTS / "fixtures" / "tiny"


def unrated(folder):
    """The bookshop's domain without its ratings, in a folder that is made; nobody reads their column then."""
    shutil.copytree(TINY, folder)
    content = yaml.safe_load((folder / "domain.yaml").read_text())
    del content["interactions"]["rating"]
    (folder / "domain.yaml").write_text(yaml.safe_dump(content))
    return folder


def shop(root, domain=TINY):
    """Fresh data in a run root, and the words that run it."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    write_bookshop(root / "data", readers=600, shelves=2, books_a_shelf=6)
    return ["run", "--domain", str(domain), "--root", str(root), *SET]


def edit(path, change):
    """Rewrites a CSV file row by row; ``change`` gets the rows with the header first."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))


def kill_in_trainer(words, root):
    """Starts a run, kills it with SIGKILL once a trainer writes, and returns what it had printed."""
    run = subprocess.Popen([*WESTWORK, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    for line in run.stdout:
        said += line
        if line.startswith(("RetrievalTrainer running", "RankingTrainer running")):
            time.sleep(1)
            os.kill(run.pid, signal.SIGKILL)
            break
    run.wait(timeout=60)
    run.stdout.close()
    return said


@pytest.fixture(scope="module")
def killed_then_finished(tmp_path_factory):
    """A run killed in a trainer, then run again to its end: its root and domain, and what both runs said."""
    root = tmp_path_factory.mktemp("bookshop")
    domain = unrated(tmp_path_factory.mktemp("domains") / "unrated")
    words = shop(root, domain)
    before = kill_in_trainer(words, root)
    return root, domain, before, westwork(*words)


def test_a_killed_run_completes_when_run_again_and_reuses_finished_steps(killed_then_finished):
    *_, before, finished = killed_then_finished
    assert "Trainer running" in before
    assert "Pusher" not in re.sub(r"^\d+ steps:.*$", "", before, flags=re.MULTILINE)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    done_before = set(re.findall(r"^(\w+) done", before, re.MULTILINE))
    cached = set(re.findall(r"^(\w+) cached", finished.stdout, re.MULTILINE))
    assert {"InteractionGen", "InteractionTransform", "CandidateTransform"} <= done_before
    assert done_before <= cached


def test_a_catalogue_under_sixteen_is_searched_exactly_and_k_may_exceed_it(killed_then_finished):
    root, domain, *_ = killed_then_finished
    (version,) = (root / "serving").iterdir()
    assert json.loads((version / "assets.extra" / "model.json").read_text())["index"] == "exact"
    asked = westwork(
        *("recommend", "--domain", str(domain), "--root", str(root)),
        *("--user", "reader1", "--k", "50", "--keep-seen", "--json"),
    )
    assert asked.returncode == 0, asked.stderr
    assert len(json.loads(asked.stdout)["recommendations"]) == 12


def test_shuffled_books_are_not_blessed_nor_a_slow_model_and_the_earlier_version_stays(killed_then_finished):
    root, domain, _, finished = killed_then_finished
    assert finished.returncode == 0 and "RMSE" not in finished.stdout
    before = {path.name for path in (root / "serving").iterdir()}
    words = shop(root, domain)

    def shuffle_books(rows):
        books = [row[1] for row in rows[1:]]
        random.Random(5).shuffle(books)
        return [rows[0], *([row[0], book, *row[2:]] for row, book in zip(rows[1:], books, strict=True))]

    edit(root / "data" / "interactions.csv", shuffle_books)
    shuffled = westwork(*words, "--set", "serving.latency_p50_ms=0.0001")
    assert shuffled.returncode == 3, shuffled.stdout + shuffled.stderr
    for gate in ("Evaluator", "InfraValidator"):
        assert re.search(rf"^{gate} done .* does not bless the model$", shuffled.stdout, re.MULTILINE)
    assert re.search(r"recommend/ndcg@10_lift -?[\d.e-]+ is below its floor 0.05", shuffled.stdout)
    assert re.search(
        r"^  too slow: .* where serving.latency_p50_ms allows 0.0001", shuffled.stdout, re.MULTILINE
    )
    assert "NOT BLESSED" in shuffled.stdout
    assert {path.name for path in (root / "serving").iterdir()} == before


def _eleven_stars(rows):
    return [rows[0], *([*row[:2], "11" if n == 6 else row[2], row[3]] for n, row in enumerate(rows[1:]))]


def _mars(rows):
    return [rows[0], *([row[0], "Mars" if n == 3 else row[1], *row[2:]] for n, row in enumerate(rows[1:]))]


@pytest.mark.parametrize(
    ("file", "change", "named"),
    [
        ("interactions.csv", _eleven_stars, ["interactions.csv", "row 7", "stars", "11"]),
        ("queries.csv", _mars, ["queries.csv", "town", "Mars"]),
    ],
    ids=["value out of range", "value outside the schema"],
)
def test_bad_input_stops_the_run_and_is_named(tmp_path, file, change, named):
    """By ingestion and by the gate; what else each of them refuses, tests of their own show sooner."""
    words = shop(tmp_path)
    edit(tmp_path / "data" / file, change)
    stopped = westwork(*words)
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode == 1, said
    for word in named:
        assert word in said, (word, said)
    assert "Traceback" not in said
    assert not (tmp_path / "serving").exists() or not any((tmp_path / "serving").iterdir())
    assert "Transform done" not in said


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    blocked = tmp_path / "a file"
    blocked.write_text("not a directory")
    words = shop(tmp_path / "ok")
    words[words.index("--root") + 1] = str(blocked / "runs")
    stopped = westwork(*words)
    assert stopped.returncode == 1
    assert str(blocked) in stopped.stdout + stopped.stderr
    assert "Traceback" not in stopped.stdout + stopped.stderr
