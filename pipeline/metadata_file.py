"""Whether the store of a run's root, which knows what the steps have done, can be worked with."""

from __future__ import annotations

import os
import shlex
import sqlite3
from contextlib import closing

from components.ingest.errors import UserError
from pipeline.run_root import RunRoot

_TABLE = "MLMDEnv"
"""A table that every ML Metadata store has."""
_PATIENCE_SECONDS = 5.0


def check_metadata(root: RunRoot) -> None:
    """See that the store is whole, or absent where nothing has been run; changes nothing.

    Raises:
        UserError: If it is no file, damaged, something else, of no use to this process, or in use by another;
            or if it is gone and what it knew of is still there, which new steps would be mixed with.
    """
    path = root.metadata
    if not os.path.lexists(path):
        fault = "is gone" if _has_entries(root) else None
    elif not path.is_file():
        fault = "is no file"
    elif not path.stat().st_size:
        fault = "is empty"
    else:
        fault = _fault(root)
    if fault:
        # SQLite's journal, where there is one, is of no other database.
        left = [*sorted(path.parent.glob(f"{path.name}*")), *([root.artifacts] if _has_entries(root) else [])]
        raise UserError(
            f"{path} {fault}. Expected the SQLite database in which this root's runs have recorded their "
            f"steps. Remove what is left of them: {shlex.join(['rm', '-r', *map(str, left)])}\n"
            "The data and the pushed models stay; the next run repeats every step, and reports of earlier "
            "runs cannot be made again. Or name another --root."
        )


def _has_entries(root: RunRoot) -> bool:
    return root.artifacts.is_dir() and any(root.artifacts.iterdir())


def _fault(root: RunRoot) -> str | None:
    """What is wrong with the file; None where it is a whole store."""
    path = root.metadata
    try:
        # Not read-only: what a killed run has begun to write is taken back, as ML Metadata itself would.
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=_PATIENCE_SECONDS)
        ) as store:
            (verdict,) = store.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                return f"is damaged ({verdict.splitlines()[-1]})"
            known = store.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (_TABLE,)).fetchone()
            return None if known else "is a database of something else"
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise UserError(
                f"{path} is in use by another process: {error}. Expected no other run, and no other program, "
                "to hold this root's metadata. Wait for it to end, or name another --root."
            ) from error
        raise UserError(
            f"{path} cannot be opened: {error}. Expected a file that this process may read and write, in a "
            "folder it may write to. Change its permissions, or name another --root."
        ) from error
    except sqlite3.DatabaseError as error:
        return f"is damaged ({error})"
