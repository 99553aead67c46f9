from __future__ import annotations

from pathlib import Path

import pytest
from tfx.components.example_gen import utils as tfx_utils
from tfx.v1 import proto

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.file_patterns import as_glob, newest_spans
from components.ingest.files.tables import table_files, table_spans


def test_the_newest_spans_are_read_each_in_its_highest_version() -> None:
    files = [
        f"/d/s{span}/v{version}/{part}.csv" for span in (2, 9, 10) for version in (1, 12) for part in "ab"
    ]
    found = newest_spans("/d/s{SPAN}/v{VERSION}/*.csv", [*files, "/d/s11/v1/a.csv"], spans=2)
    assert found.by_span == {
        10: ("/d/s10/v12/a.csv", "/d/s10/v12/b.csv"),
        11: ("/d/s11/v1/a.csv",),
    }
    assert found.files == ("/d/s10/v12/a.csv", "/d/s10/v12/b.csv", "/d/s11/v1/a.csv")
    assert found.newest == 11


def test_a_date_is_the_span_of_its_days_since_1970() -> None:
    found = newest_spans("/d/{YYYY}-{MM}-{DD}.csv", ["/d/1970-01-03.csv", "/d/2024-02-29.csv"])
    assert list(found.by_span) == [2, 19782]


def test_names_that_are_no_span_are_left_out() -> None:
    files = ["/d/7.csv", "/d/x.csv", "/d/12-old.csv", "/d/2024-02-30.csv"]
    assert newest_spans("/d/{SPAN}.csv", files).files == ("/d/7.csv",)
    assert newest_spans("/d/{SPAN:2}.csv", ["/d/7.csv", "/d/07.csv"]).files == ("/d/07.csv",)
    with pytest.raises(UserError, match=r"no file fits .*\{YYYY\}.*2024-02-30"):
        newest_spans("/d/{YYYY}-{MM}-{DD}.csv", files)


def test_a_pattern_without_placeholders_numbers_nothing() -> None:
    found = newest_spans("/d/[a-c]*.csv", ["/d/b.csv", "/d/a.csv"], spans=1)
    assert found.files == ("/d/a.csv", "/d/b.csv") and found.by_span == {} and found.newest is None


def test_wildcards_beside_placeholders_keep_their_meaning() -> None:
    files = ["/d/a-1.x.csv", "/d/b-2.y.csv", "/d/c-3.yy.csv"]
    assert newest_spans("/d/[!c]-{SPAN}.?.csv", files).files == ("/d/a-1.x.csv", "/d/b-2.y.csv")


@pytest.mark.parametrize(
    ("pattern", "fault"),
    [
        ("{SPAN}/{YYYY}-{MM}-{DD}.csv", "both"),
        ("{YYYY}-{MM}.csv", "a part of a date"),
        ("{SPAN}/{SPAN}.csv", "twice"),
        ("{VERSION}.csv", "alone"),
    ],
)
def test_placeholders_that_make_no_sense_are_named(pattern: str, fault: str) -> None:
    with pytest.raises(UserError, match=f"found.*{fault}.*Correct 'files'"):
        newest_spans(pattern, ["x.csv"])


@pytest.mark.parametrize("pattern", ["s-{SPAN}-v{VERSION:2}.csv", "{YYYY}{MM}{DD}.{VERSION}.csv"])
def test_the_newest_span_is_the_one_that_tfx_takes(tmp_path: Path, pattern: str) -> None:
    names = {
        "s-{SPAN}-v{VERSION:2}.csv": ["s-3-v01.csv", "s-3-v02.csv", "s-12-v01.csv", "s-12-v03.csv"],
        "{YYYY}{MM}{DD}.{VERSION}.csv": ["20240131.9.csv", "20240201.9.csv", "20240201.10.csv"],
    }[pattern]
    for name in names:
        (tmp_path / name).write_text("x")
    split = proto.Input.Split(name="s", pattern=pattern)
    _, span, _ = tfx_utils.calculate_splits_fingerprint_span_and_version(str(tmp_path), [split])
    found = table_spans(Table(files=pattern), str(tmp_path), spans=1)
    assert found.newest == span
    assert found.files == (str(tmp_path / split.pattern),)


def test_a_tables_pattern_is_looked_up_in_the_data_directory(tmp_path: Path) -> None:
    for name in ("2024-01-31.csv", "2024-02-01.csv", "notes.csv"):
        (tmp_path / name).write_text("id\n1\n")
    table = Table(files="{YYYY}-{MM}-{DD}.csv")
    assert as_glob(table.files) == "*-*-*.csv"
    assert [Path(file).name for file in table_files(table, str(tmp_path))] == [
        "2024-01-31.csv",
        "2024-02-01.csv",
    ]
    assert [Path(file).name for file in table_files(table, str(tmp_path), spans=1)] == ["2024-02-01.csv"]
    with pytest.raises(UserError, match=r"found no file .*\{SPAN\}\.parquet .*notes\.csv"):
        table_files(Table(files="{SPAN}.parquet"), str(tmp_path))
