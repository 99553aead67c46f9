"""Data that must stop a run, and a root that cannot be written: on the tiny bookshop's columns."""

import csv
import sys
from pathlib import Path

from command import westwork

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS / "fixtures"))

from bookshop import write_bookshop  # noqa: E402


def shop(root):
    """Fresh data in a run root, and the words that run it."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    write_bookshop(root / "data", readers=600, shelves=2, books_a_shelf=6)
    return ["run", "--domain", str(TESTS / "fixtures" / "tiny"), "--root", str(root)]


def edit(path, change):
    """Rewrites a CSV file row by row; ``change`` gets the rows with the header first."""
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(change(rows))


def _mars(rows):
    return [rows[0], *([row[0], "Mars" if n == 3 else row[1], *row[2:]] for n, row in enumerate(rows[1:]))]


def test_bad_input_stops_the_run_and_is_named(tmp_path):
    """By the gate; what ingestion refuses, and what else the gate does, tests of their own show sooner."""
    words = shop(tmp_path)
    edit(tmp_path / "data" / "queries.csv", _mars)
    stopped = westwork(*words)
    said = stopped.stdout + stopped.stderr
    assert stopped.returncode == 1, said
    for word in ("queries.csv", "town", "Mars"):
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
