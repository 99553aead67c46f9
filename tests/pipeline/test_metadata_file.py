"""A store that cannot be worked with is told with what is wrong, what to remove, and what is lost."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from components.ingest.errors import UserError
from pipeline import metadata_file
from pipeline.metadata_file import check_metadata
from pipeline.run_root import RunRoot


@pytest.fixture
def root(tmp_path: Path) -> RunRoot:
    """A root with a store of several pages, as ML Metadata lays one out."""
    with sqlite3.connect(tmp_path / "metadata.sqlite") as store:
        store.execute("CREATE TABLE MLMDEnv (schema_version INTEGER)")
        store.execute("CREATE TABLE Artifact (uri TEXT)")
        store.executemany("INSERT INTO Artifact VALUES (?)", [("x" * 500,)] * 100)
    store.close()
    (tmp_path / "artifacts" / "InteractionGen").mkdir(parents=True)
    return RunRoot(tmp_path)


def cut(store: Path) -> None:
    store.write_bytes(store.read_bytes()[: store.stat().st_size // 2])


def cut_within_the_header(store: Path) -> None:
    store.write_bytes(store.read_bytes()[:50])


def overwritten(store: Path) -> None:
    content = bytearray(store.read_bytes())
    content[4096:20000] = b"\xff" * (20000 - 4096)
    store.write_bytes(content)


def a_folder(store: Path) -> None:
    store.unlink()
    store.mkdir()


def another_database(store: Path) -> None:
    store.unlink()
    with sqlite3.connect(store) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
    other.close()


def a_link_to_nowhere(store: Path) -> None:
    store.unlink()
    os.symlink(store.with_name("gone"), store)


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (cut, "is damaged ("),
        (cut_within_the_header, "is damaged ("),
        (overwritten, "is damaged ("),
        (lambda store: store.write_bytes(b""), "is empty"),
        (lambda store: store.write_bytes(bytes(8192)), "is damaged (file is not a database)"),
        (lambda store: store.write_text("not a database " * 99), "is damaged (file is not a database)"),
        (a_folder, "is no file"),
        (another_database, "is a database of something else"),
        (a_link_to_nowhere, "is no file"),
        (Path.unlink, "is gone"),
    ],
)
def test_a_damaged_store_is_told_with_what_to_remove_and_what_is_lost(
    root: RunRoot, damage: Callable[[Path], None], found: str
) -> None:
    damage(root.metadata)
    with pytest.raises(UserError) as raised:
        check_metadata(root)
    said = str(raised.value)
    assert said.startswith(f"{root.metadata} {found}"), said
    removed = said.split("rm -r ")[1].splitlines()[0].split()
    assert removed[-1] == str(root.artifacts)
    assert (str(root.metadata) in removed) == os.path.lexists(root.metadata)
    assert "the next run repeats every step" in said


def test_a_store_in_use_is_waited_for_then_told(root: RunRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_file, "_PATIENCE_SECONDS", 0.1)
    holder = sqlite3.connect(root.metadata)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(UserError, match=r"metadata\.sqlite is in use by another process: .*Wait"):
        check_metadata(root)
    holder.close()
    check_metadata(root)


def test_a_whole_store_and_a_fresh_root_are_let_be(root: RunRoot, tmp_path: Path) -> None:
    before = root.metadata.read_bytes()
    check_metadata(root)
    assert root.metadata.read_bytes() == before
    fresh = RunRoot(tmp_path / "fresh")
    check_metadata(fresh)
    fresh.artifacts.mkdir(parents=True)
    check_metadata(fresh)
