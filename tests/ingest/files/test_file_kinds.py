"""A file of another kind than declared is called by its kind, whatever its name, with the key to set."""

from __future__ import annotations

import bz2
import gzip
import io
import zipfile
from pathlib import Path

import pytest

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files.tables import check_columns, read_batches

TEXT = "id,name\n1,a\n2,bö\n"
COLUMNS = ("id", "name")


def packed(**members: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in members.items():
            # ZipInfo's own moment, not now: the bytes name the test, and every process must collect the same.
            archive.writestr(zipfile.ZipInfo(name.replace("__", "/").replace("_", ".")), text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        (
            "t.csv",
            packed(log_csv=TEXT),
            ["a zip archive that holds log.csv", "Unpack it", "compression: zip"],
        ),
        ("t.csv", packed(a_csv=TEXT, b_csv=TEXT), ["a zip archive of 2 files (a.csv, b.csv)", "Unpack it"]),
        ("t.csv", packed(a_csv=TEXT)[:40], ["a zip archive or a spreadsheet, cut off"]),
        ("t.csv", packed(xl__workbook_xml="<x/>"), ["is a spreadsheet", "format: xlsx"]),
        ("t.csv", packed(content_xml="<x/>", mimetype="ods"), ["is a spreadsheet"]),
        ("t.xlsx", packed(a_csv=TEXT), ["a zip archive that holds a.csv, expected a spreadsheet"]),
        ("t.csv", gzip.compress(TEXT.encode(), mtime=0), ["compressed with gzip", "compression: gzip"]),
        ("t.csv", bz2.compress(TEXT.encode()), ["compressed with bz2", "compression: bz2"]),
        ("t.csv", b"\xfd7zXZ\0...", ["compressed with xz", "Unpack it"]),
        ("t.csv.gz", TEXT.encode(), ["is not compressed with gzip", "compression: none"]),
        ("t.csv.zip", TEXT.encode(), ["is not compressed with zip"]),
        ("t.csv", b"PAR1....", ["a Parquet file", "format: parquet"]),
        ("t.csv", b"SQLite format 3\0...", ["an SQLite database", "Write it as CSV"]),
        ("t.csv", b"%PDF-1.7\n", ["a PDF document"]),
        ("t.csv", b"\n <!DOCTYPE html><html>", ["a web page", "Fetch the data itself"]),
        ("t.jsonl", b"<html><body>Sign in", ["a web page"]),
        ("t.parquet", b"<?xml version='1.0'?>", ["an XML document", "expected a Parquet file"]),
        ("t.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1..", ["of old Office", "format: xlsx"]),
        ("t.csv", b"version https://git-lfs.github.com/spec/v1\n", ["Git LFS", "git lfs pull"]),
        ("t.csv", b"x" * 257 + b"ustar\0", ["a tar archive", "Unpack it"]),
        ("t.csv", b'{"id": 1, "name": "a"}\n', ["looks like JSON Lines", "format: jsonl"]),
        ("t.csv", b'[ {"id": 1}]', ["looks like a JSON array", "format: json"]),
        ("t.xlsx", TEXT.encode(), ["cannot be read", "Expected a spreadsheet"]),
        ("t.csv", TEXT.encode("utf-16"), ["looks like UTF-16", "encoding: utf-16 beside"]),
        ("t.csv", TEXT.encode("utf-16-le"), ["looks like UTF-16-LE", "encoding: utf-16-le"]),
        ("t.csv", TEXT.encode("utf-16-be"), ["looks like UTF-16-BE", "encoding: utf-16-be"]),
        ("t.csv", TEXT.encode("utf-32"), ["looks like UTF-32", "encoding: utf-32 beside"]),
        ("t.csv", TEXT.encode("utf-32-le"), ["looks like UTF-32-LE", "encoding: utf-32-le"]),
        ("t.csv", "id,имя,данные\n1,да,нет\n2,так,же\n".encode("utf-16-be"), ["looks like UTF-16-BE"]),
    ],
)
def test_a_file_of_another_kind_is_told_with_what_to_do(tmp_path: Path, name, content, fragments) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError) as raised:
        check_columns(Table(files=name), [str(tmp_path / name)], COLUMNS)
    for fragment in [str(tmp_path / name), *fragments]:
        assert fragment in str(raised.value)


@pytest.mark.parametrize("declared", ["utf-16", "utf-16-be", "utf-32"])
def test_a_wide_encoding_that_a_file_is_not_in_is_told(tmp_path: Path, declared: str) -> None:
    (tmp_path / "t.csv").write_text(TEXT)
    with pytest.raises(UserError, match=r"does not look like UTF-.*Remove 'encoding'"):
        check_columns(Table(files="t.csv", encoding=declared), [str(tmp_path / "t.csv")], COLUMNS)


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("utf-32", "utf-32"),
        ("utf-32-be", "utf-32-be"),
        ("utf-8-sig", "utf-8"),
        ("latin-1", "cp1252"),
    ],
)
def test_text_is_read_in_the_encoding_declared(tmp_path: Path, written: str, declared: str) -> None:
    (tmp_path / "t.csv").write_bytes(TEXT.encode(written))
    table = Table(files="t.csv", encoding=declared)
    check_columns(table, [str(tmp_path / "t.csv")], COLUMNS)
    (rows,) = read_batches(table, str(tmp_path / "t.csv"), COLUMNS)
    assert rows.batch.to_pydict() == {"id": ["1", "2"], "name": ["a", "bö"]}


def test_a_list_within_an_object_is_no_array_of_objects(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('{"items": [{"id": 1, "name": "a"}]}')
    with pytest.raises(UserError, match="begins with an object, expected one JSON array"):
        check_columns(Table(files="t.json", format="json"), [str(tmp_path / "t.json")], COLUMNS)
