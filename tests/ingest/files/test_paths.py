"""The data directory is a path; only ``files`` is a pattern, and no file is read twice."""

from __future__ import annotations

import os
import re
from contextlib import nullcontext
from pathlib import Path

import pytest

from components.ingest.declaration import Source, Table
from components.ingest.errors import UserError
from components.ingest.files.file_patterns import newest_spans
from components.ingest.files.same_files import copies, refuse_files_twice
from components.ingest.files.tables import directory_glob, matching_files, table_files, table_spans

NAMES = [
    "data [v2]",
    "d*a",
    "what?",
    "[!a]",
    "a]b[",
    "{SPAN}",
    "{YYYY}-{MM}",
    "ünï cödé",
    "a+b(c)|d^e$",
    "[[]",
]


def fill(folder: Path, *names: str, content: str = "id\n1\n") -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return folder


@pytest.mark.parametrize("pattern", ["e.csv", "e*.csv", "[d-f].csv", "?.csv", "./e.csv", "in/../e.csv"])
@pytest.mark.parametrize("name", NAMES)
def test_a_directory_means_itself_whatever_its_name(tmp_path: Path, name: str, pattern: str) -> None:
    folder = fill(tmp_path / name, "e.csv", "in/e.csv")
    fill(tmp_path / "data v", "e.csv")
    fill(tmp_path / "dxa", "e.csv")
    fill(tmp_path / "whatx", "e.csv")
    (found,) = table_files(Table(files=pattern), str(folder))
    assert os.path.samefile(found, folder / "e.csv")


@pytest.mark.parametrize("name", NAMES)
def test_spans_are_numbered_by_the_pattern_alone(tmp_path: Path, name: str) -> None:
    folder = fill(tmp_path / name / "7", "day-1/a[1].csv", "day-12/a[1].csv", "day-x/a[1].csv")
    found = table_spans(Table(files="day-{SPAN}/a[[]?].csv"), str(folder), 1)
    assert list(found.by_span) == [12]
    assert found.left_out == (str(folder / "day-x" / "a[1].csv"),)


@pytest.mark.parametrize(
    ("pattern", "token", "fits"),
    [
        ("{SPAN}[a-c].csv", "1b.csv", True),
        ("{SPAN}[!a-c].csv", "1b.csv", False),
        ("{SPAN}[c-a].csv", "1b.csv", False),
        ("{SPAN}[]x].csv", "1].csv", True),
        ("{SPAN}[^x].csv", "1^.csv", True),
        ("{SPAN}[.csv", "1[.csv", True),
        ("{SPAN}?.csv", "1/.csv", False),
    ],
)
def test_brackets_of_a_pattern_mean_what_they_mean_in_a_glob(pattern: str, token: str, fits: bool) -> None:
    expected = pytest.raises(UserError, match="no file fits") if not fits else nullcontext()
    with expected:
        assert newest_spans(pattern, ["/d/" + token]).files == ("/d/" + token,)


@pytest.mark.parametrize(
    ("pattern", "names", "left_out"),
    [
        ("{YYYY}-{MM}-{DD}.csv", ["2024-02-29.csv", "2024-02-30.csv", "2024-13-01.csv"], 2),
        ("{YYYY}{MM}{DD}.csv", ["20240229.csv", "20230229.csv", "notes.csv"], 2),
        ("{YYYY}/{MM}/{DD}/e.csv", ["2024/01/31/e.csv", "2024/1/31/e.csv", "2024/00/31/e.csv"], 2),
        ("s{SPAN:3}.csv", ["s001.csv", "s1.csv", "s0001.csv"], 2),
        ("s{SPAN}-v{VERSION}.csv", ["s1-v1.csv", "s1-v2.csv", "s1-vx.csv"], 1),
        ("*.csv", ["a.csv", "b.csv"], 0),
    ],
)
def test_files_that_number_no_span_are_told(tmp_path: Path, pattern, names, left_out: int) -> None:
    found = table_spans(Table(files=pattern), str(fill(tmp_path, *names)))
    assert len(found.left_out) == left_out
    remark = found.remark(pattern)
    assert (remark is None) == (not left_out)
    for file in found.left_out:
        assert remark is not None and file in remark


@pytest.mark.parametrize(
    ("pattern", "fragments"),
    [
        ("events", ["events is a folder", "it holds: a.parquet, b.parquet, readme.md", "events/*.parquet"]),
        ("events/", ["events is a folder", "Say files: events/*.parquet"]),
        ("ev*s", ["events is a folder", "Say files: ev*s/*.parquet"]),
        ("empty", ["empty is a folder", "no files", "empty/*.csv"]),
        ("day-{SPAN}", ["day-1 is a folder", "day-{SPAN}/*.csv"]),
        ("none/e.csv", ["found no file", "no such directory"]),
        ("$HOME.csv", ["found no file", "not expanded"]),
        ("a[1].csv", ["found no file", "write its brackets so: a[[]1].csv"]),
    ],
)
def test_where_no_file_fits_it_is_said_what_there_is(tmp_path: Path, pattern, fragments) -> None:
    fill(tmp_path, "events/a.parquet", "events/b.parquet", "events/readme.md", "day-1/e.csv", "a[1].csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError) as raised:
        table_files(Table(files=pattern), str(tmp_path))
    for fragment in fragments:
        assert fragment in str(raised.value)


def test_a_message_names_the_directory_as_it_is(tmp_path: Path) -> None:
    folder = fill(tmp_path / "a [b]*?", "x.csv")
    with pytest.raises(UserError, match=re.escape(f"found no file {folder}/e.csv (in {folder}: x.csv)")):
        matching_files(directory_glob(str(folder)), "e.csv")


def linked(folder: Path, name: str) -> str:
    """The path of a file that is another name of e.csv."""
    if name == "hard.csv":
        os.link(folder / "e.csv", folder / name)
    elif name == "soft.csv":
        (folder / name).symlink_to(folder / "e.csv")
    elif name == "way/e.csv":
        (folder / "way").symlink_to(folder)
    return f"{folder}/{name}"


@pytest.mark.parametrize("name", ["e.csv", "hard.csv", "soft.csv", "way/e.csv", "./e.csv", "../same/e.csv"])
@pytest.mark.parametrize("sources", [1, 2])
def test_a_file_read_twice_is_refused(tmp_path: Path, name: str, sources: int) -> None:
    folder = fill(tmp_path / "same", "e.csv")
    files = [str(folder / "e.csv"), linked(folder, name)]
    one, two = Source(files="e.csv"), Source(files="*.csv")
    tables = [(one, files)] if sources == 1 else [(one, files[:1]), (two, files[1:])]
    with pytest.raises(UserError, match=r"\.csv is (read twice|the same file as).*Expected each row once"):
        refuse_files_twice(tables)


@pytest.mark.parametrize(
    "other",
    [
        Source(files="e.csv", action="buy"),
        Source(files="e.csv", columns={"item": "bought"}),
        Source(files="e.csv", lacks=("device",)),
    ],
)
def test_a_file_may_be_read_in_two_ways(tmp_path: Path, other: Source) -> None:
    file = str(fill(tmp_path, "e.csv") / "e.csv")
    refuse_files_twice([(Source(files="e.csv"), [file]), (other, [file])])


def test_copies_are_found_by_their_content(tmp_path: Path) -> None:
    fill(tmp_path, "events.csv", "events (1).csv", "old/events.csv")
    fill(tmp_path, "other.csv", content="id\n2\n")
    fill(tmp_path, "empty.csv", "empty2.csv", content="")
    (tmp_path / "link.csv").symlink_to(tmp_path / "events.csv")
    names = [
        "events.csv",
        "events (1).csv",
        "old/events.csv",
        "other.csv",
        "empty.csv",
        "empty2.csv",
        "link.csv",
    ]
    found = copies([str(tmp_path / name) for name in names])
    assert {frozenset(pair) for pair in found} >= {
        frozenset((first, str(tmp_path / "events (1).csv"))) for first, _ in found[:1]
    }
    assert len(found) == 2 and not any("other" in file or "empty" in file for pair in found for file in pair)
