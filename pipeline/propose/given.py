"""The files ``westwork init`` was given: which belong together, and how they are written."""

from __future__ import annotations

import glob
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from components.ingest.declaration import Compression, Format, Table
from components.ingest.errors import UserError
from components.ingest.files.file_patterns import as_glob
from components.ingest.files.zip_archives import members
from pipeline.propose.dialect import Dialect, dialect_of

DATA_SUFFIXES = (
    ".csv", ".tsv", ".txt", ".dat", ".data", ".tab", ".parquet", ".pq", ".jsonl", ".ndjson", ".json", ".xlsx",
    ".xlsm", ".xlsb", ".xls", ".ods", ".zip",
)  # fmt: skip
"""What counts as data in a folder; a file given by name may be called as it likes."""
_COMPRESSED = (".gz", ".bz2", ".zst", ".lz4", ".zip")
_ABOUT_DATA = ("readme", "license", "licence", "requirements")
"""Text files that are called so hold no table."""

_PER_FILE = ("ragged", "escape")
"""Keys that one of several like files may call for, and that do no harm to the others."""

_DATES = (
    ("{YYYY}-{MM}-{DD}", re.compile(r"(?<!\d)((?:19|20)\d\d)-(\d\d)-(\d\d)(?!\d)")),
    ("{YYYY}{MM}{DD}", re.compile(r"(?<!\d)((?:19|20)\d\d)(\d\d)(\d\d)(?!\d)")),
)
_SPAN = re.compile(r"(?i)(?<![a-z])(span[-_=]?)(\d+)(?!\d)")
_CHANGING = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|\d+")


@dataclass(frozen=True)
class GivenTable:
    """Files alike enough to be one table.

    Attributes:
        pattern: Absolute path, glob or span pattern that stands for the files.
        files: Their absolute paths, in order.
        format: What they are written in.
        compression: How they are compressed; ``none`` for Parquet, which compresses itself.
        dialect: Columns, delimiter and encoding.
    """

    pattern: str
    files: tuple[str, ...]
    format: Format
    compression: Compression
    dialect: Dialect

    @property
    def label(self) -> str:
        """A short name for people: the end of the pattern."""
        parts = Path(self.pattern).parts
        return "/".join(parts[-2:]) if self.has_spans and "{" in parts[-2] else parts[-1]

    @property
    def has_spans(self) -> bool:
        """Whether the pattern numbers spans."""
        return "{" in self.pattern

    @property
    def as_glob(self) -> str:
        """The pattern as a glob."""
        return as_glob(self.pattern)

    @property
    def stem(self) -> str:
        """The words of the file's name, without suffixes, digits and the like."""
        name = re.sub(r"\{\w+\}|[*?]|\d+", " ", self.label.split("/")[-1].split(".")[0])
        words = re.findall(r"[^\W_]+", name) or re.findall(r"[^\W_\d]+", Path(self.pattern).parent.name)
        return "_".join(words).lower() or "table"

    def as_table(self, pattern: str | None = None) -> Table:
        """The declaration that reads these files; or others alike, in ``pattern``."""
        return Table(
            files=pattern or self.pattern,
            format=self.format,
            compression=self.compression,
            **({"delimiter": self.dialect.delimiter} if self.format == "csv" else {}),
            encoding=self.dialect.encoding,
            **self.dialect.keys,
        )

    def newest(self) -> GivenTable:
        """The last of the files as a table of its own."""
        return GivenTable(
            glob.escape(self.files[-1]), self.files[-1:], self.format, self.compression, self.dialect
        )


def given_tables(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[GivenTable], list[str]]:
    """Sorts files into tables.

    Args:
        paths: Files, or folders, whose data files (by suffix) at any depth are taken.

    Returns:
        The tables, ordered by pattern, and remarks on files left out.

    Raises:
        UserError: If a path does not exist, a folder holds no data, or a file cannot be read.
    """
    files, remarks = _files_of(paths)
    groups: dict[tuple[object, ...], list[str]] = defaultdict(list)
    facts: dict[str, tuple[Format, Compression, Dialect]] = {}
    for file in files:
        facts[file] = dialect_of(file)
        format_, compression, dialect = facts[file]
        skeleton = _CHANGING.sub("#", file)
        fixed = tuple((key, str(value)) for key, value in dialect.keys.items() if key not in _PER_FILE)
        groups[(skeleton, format_, compression, dialect.columns, dialect.delimiter, fixed)].append(file)
    tables = []
    for alike in groups.values():
        pattern = _pattern_of(alike)
        parts = [alike] if pattern else [[file] for file in alike]
        for part in parts:
            format_, compression, _ = facts[part[0]]
            # One file out of UTF-8 is enough: Latin-1 and its kin read plain ASCII just as well.
            other = next((d for _, _, d in map(facts.__getitem__, part) if d.encoding != "utf-8"), None)
            other = other or max((facts[file][2] for file in part), key=lambda found: len(found.keys))
            tables.append(
                GivenTable(
                    pattern or glob.escape(part[0]),
                    tuple(part),
                    format_,
                    compression,
                    other,
                )
            )
    return sorted(tables, key=lambda table: table.pattern), remarks


def _files_of(paths: Sequence[str | os.PathLike[str]]) -> tuple[list[str], list[str]]:
    """Absolute paths of all files, each once, in order; and which were passed over in folders."""
    files: set[str] = set()
    remarks = []
    for path in paths:
        place = Path(os.path.abspath(path))
        if place.is_file():
            files.add(str(place))
            continue
        if not place.is_dir():
            raise UserError(
                f"there is no file or folder {place}. Give the event log, the catalogue and, if there is "
                "one, the table of users: westwork init events.csv items.csv --to DIR."
            )
        inside = sorted(
            entry
            for entry in place.rglob("*")
            if entry.is_file()
            and not any(part.startswith((".", "_")) for part in entry.relative_to(place).parts)
        )
        data = [entry for entry in inside if _is_data(entry.name) and not _is_packed_again(entry)]
        if not data:
            names = ", ".join(entry.name for entry in inside[:10]) or "nothing"
            raise UserError(
                f"{place} holds no data file: found {names}; expected files that end in "
                f"{', '.join(DATA_SUFFIXES)}, perhaps compressed. A file called otherwise can be given by "
                "name."
            )
        files.update(str(entry) for entry in data)
        passed_over = [entry.name for entry in inside if entry not in data]
        if passed_over:
            remarks.append(f"{place}: no data by their names: {', '.join(passed_over[:10])}")
    return sorted(files), remarks


def _is_data(name: str) -> bool:
    name = name.lower()
    if name.startswith(_ABOUT_DATA):
        return False
    if name.endswith(".zip"):
        return True
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name.endswith(DATA_SUFFIXES)


def _is_packed_again(entry: Path) -> bool:
    """Whether an archive in a folder holds several files, or one that lies beside it."""
    if entry.suffix.lower() != ".zip":
        return False
    try:
        names = members(str(entry))
    except (zipfile.BadZipFile, OSError, ValueError):
        return False
    return len(names) != 1 or (entry.parent / Path(names[0]).name).exists()


def _pattern_of(files: list[str]) -> str | None:
    """What stands for files whose paths differ in numbers only; None where that would take in others."""
    spans = _span_pattern(files)
    if spans:
        return spans
    if len(files) == 1:
        return glob.escape(files[0])
    pattern = _glob_of([glob.escape(file) for file in files])
    return pattern if sorted(glob.glob(pattern)) == sorted(files) else None


def _span_pattern(files: list[str]) -> str | None:
    """The pattern of folders or files that are named after days or spans."""
    for placeholder, expression in _DATES:
        marked = [_last_replaced(expression, file, placeholder, _is_a_day) for file in files]
        whole = [path for path in marked if path]
        if len(whole) == len(files) and (len(files) > 1 or placeholder in Path(whole[0]).parent.name):
            return _glob_of(whole)
    numbered = [_last_replaced(_SPAN, file, r"\g<1>{SPAN}", lambda match: True) for file in files]
    whole = [path for path in numbered if path]
    return _glob_of(whole) if len(whole) == len(files) else None


def _last_replaced(
    expression: re.Pattern[str], path: str, text: str, fits: Callable[[re.Match[str]], bool]
) -> str | None:
    """The path with the last fitting match replaced; None where none fits."""
    matches = [match for match in expression.finditer(path) if fits(match)]
    if not matches:
        return None
    last = matches[-1]
    return path[: last.start()] + last.expand(text) + path[last.end() :]


def _is_a_day(match: re.Match[str]) -> bool:
    try:
        date(*map(int, match.groups()))
    except ValueError:
        return False
    return True


def _glob_of(paths: list[str]) -> str:
    """The paths with ``*`` where their numbers differ."""
    if len(set(paths)) == 1:
        return paths[0]
    texts = _CHANGING.split(paths[0])
    numbers = [_CHANGING.findall(path) for path in paths]
    joined = texts[0]
    for place, text in enumerate(texts[1:]):
        found = {row[place] for row in numbers}
        joined += (found.pop() if len(found) == 1 else "*") + text
    return joined
