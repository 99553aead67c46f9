"""Small versions, saved once; tests that change them take copies."""

import shutil
import sys
from pathlib import Path

import pytest

# tests/ is no package; the modules beside this file are found by their folder.
sys.path.insert(0, str(Path(__file__).resolve().parent))

from running_server import running
from tiny_model import save


@pytest.fixture(scope="session")
def saved(tmp_path_factory) -> Path:
    """A base path with the versions 1 and 2. Not to be changed."""
    base = tmp_path_factory.mktemp("saved")
    for version in (1, 2):
        save(base / str(version), version)
    return base


@pytest.fixture
def base(saved, tmp_path) -> Path:
    """A base path of the test's own, with version 1."""
    shutil.copytree(saved / "1", tmp_path / "base" / "1")
    return tmp_path / "base"


@pytest.fixture(scope="module")
def server(saved):
    """A server of both versions, 2 being labelled canary, that its tests leave as it is."""
    with running(saved, newest=2, labels={"stable": 1, "canary": 2}) as server:
        yield server
