"""What every test shares: a quiet TensorFlow with the Keras that TFRS needs, and the way to two cores."""

import os
from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

os.environ["TF_USE_LEGACY_KERAS"] = "1"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

LONGEST_FIRST = (
    "end_to_end/movielens",
    "end_to_end/music",
    "kubeflow",
    "evaluate",
    "ingest/test_nodes.py",
    "assemble",
)
"""Groups in the order in which they start; all others follow."""
MUSIC = ("test_gates.py", "test_music_streams.py", "test_tune.py")
"""Files of ``end_to_end`` that share the run on music streams; all others but one share MovieLens'."""
NO_RUN = "test_bad_input.py"
"""The one that needs neither."""


class GroupScheduling(LoadScopeScheduling):
    """Keeps tests that share a costly fixture in one process.

    Not by pytest-xdist's own marks: those of 3.8 are lost on pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        return _group(PurePosixPath(nodeid.partition("::")[0]))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> GroupScheduling:
    """Deals whole groups out."""
    return GroupScheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with the longest groups."""
    ranks = {name: rank for rank, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: ranks.get(_group(PurePosixPath(item.nodeid.partition("::")[0])), len(ranks)))


def _group(file: PurePosixPath) -> str:
    place = PurePosixPath(*file.parts[file.parts.index("tests") + 1 :])
    if place.parts[0] == "end_to_end" and place.name != NO_RUN:
        return "end_to_end/music" if place.name in MUSIC else "end_to_end/movielens"
    return place.parts[0] if place.parts[0] in LONGEST_FIRST else place.as_posix()
