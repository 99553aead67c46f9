"""What every test shares: a quiet TensorFlow with the Keras that TFRS needs, and the way to two cores."""

import os
from pathlib import Path

import pytest

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

TESTS = Path(__file__).parent
LONGEST_FIRST = (
    "end_to_end/movielens",
    "end_to_end/test_gate_and_resume.py",
    "end_to_end/test_music_streams.py",
    "kubeflow",
    "evaluate",
    "ingest/test_nodes.py",
    "assemble",
)
"""Groups in the order in which they start; all others follow."""


def pytest_itemcollected(item: pytest.Item) -> None:
    """Keeps tests that share a costly fixture in one process."""
    # Not among the hooks that order the items: pytest-xdist looks at the groups before those are called.
    item.add_marker(pytest.mark.xdist_group(_group(item)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the longest groups."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(_group(item), len(ranks)))


def _group(item: pytest.Item) -> str:
    place = item.path.relative_to(TESTS)
    if "movielens" in getattr(item, "fixturenames", ()):
        return "end_to_end/movielens"
    return place.parts[0] if place.parts[0] in LONGEST_FIRST else place.as_posix()
