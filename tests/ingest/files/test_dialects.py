"""Tables are read however they are written, with the keys that say how; rows keep their numbers."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files import csv_reader, json_reader
from components.ingest.files.file_parts import file_parts
from components.ingest.files.tables import check_columns, read_batches

COLUMNS = ("id", "name")


def read(file: str, columns=COLUMNS, size: int = 1 << 20, **keys: Any) -> tuple[list[tuple], list[tuple]]:
    """Good rows as (number, cells ...), malformed ones as (number, reason); read in parts of a size."""
    table = Table(files=Path(file).name, **keys)
    check_columns(table, [file], columns)
    good: list[tuple] = []
    malformed: list[tuple] = []
    for part in file_parts(table, file, size):
        for rows in read_batches(table, part, columns):
            good += zip(rows.numbers.tolist(), *rows.batch.to_pydict().values(), strict=True)
            malformed += [(row.number, row.reason) for row in rows.malformed]
    return good, sorted(malformed)


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


CSV = [
    ("trailing delimiter in rows", "id,name\n1,a,\n2,b,\n", {}, [(1, "1", "a"), (2, "2", "b")], []),
    ("three of them", "id,name\n1,a,,,\n2,b,,,\n", {}, [(1, "1", "a"), (2, "2", "b")], []),
    ("in the header, too", "id,name,\r\n1,a,\r\n2,b,\r\n", {}, [(1, "1", "a"), (2, "2", "b")], []),
    ("in the header alone", "id,name,\n1,a\n2,b\n", {}, [(1, "1", "a"), (2, "2", "b")], []),
    (
        "in some rows",
        "id,name\n1,a\n2,b,\n3,c\n4,d,,\n",
        {},
        [(n, str(n), "abcd"[n - 1]) for n in (1, 2, 3, 4)],
        [],
    ),
    (
        "with something behind it",
        "id,name\n1,a,\n2,b,x\n3,c,\n",
        {},
        [(1, "1", "a"), (3, "3", "c")],
        [(2, "found 3 cells, expected 2")],
    ),
    ("semicolons", "id;name\n1;a;\n2;b\n", {"delimiter": ";"}, [(1, "1", "a"), (2, "2", "b")], []),
    (
        "short rows",
        "id,more,name\n1,x,a\n2\n3,y\n",
        {"ragged": "pad"},
        [(1, "1", "a"), (2, "2", ""), (3, "3", "")],
        [],
    ),
    (
        "short rows, unless told",
        "id,more,name\n1,x,a\n2,y\n",
        {},
        [(1, "1", "a")],
        [(2, "found 2 cells, expected 3; ragged: pad fills such rows")],
    ),
    (
        "a quote never closed is not filled",
        'id,more,name\n1,x,a\n2,"b\n',
        {"ragged": "pad"},
        [(1, "1", "a")],
        [(2, "found 2 cells, expected 3; ragged: pad fills such rows")],
    ),
    ("backslashes", 'id,name\n1,"a \\"b\\", c"\n', {"escape": "\\"}, [(1, "1", 'a "b", c')], []),
    (
        "bare quotes",
        'id\tname\n1\t"Wheel" of\n2\t"b\n3\tc"\n',
        {"quote": "", "delimiter": "\t"},
        [(1, "1", '"Wheel" of'), (2, "2", '"b'), (3, "3", 'c"')],
        [],
    ),
    ("single quotes", "id,name\n1,'a, b'\n", {"quote": "'"}, [(1, "1", "a, b")], []),
    ("a title", "Report\nof May,,\nid,name\n1,a\n2\n", {"skip_lines": 2, "ragged": "pad"}, None, []),
    ("no header", "1,a\n2,b,\n", {"header": ["id", "name"]}, [(1, "1", "a"), (2, "2", "b")], []),
    (
        "another header",
        "x,x\nid,id\n1,a\n2,b\n",
        {"header": ["id", "name"], "skip_lines": 2},
        [(1, "1", "a"), (2, "2", "b")],
        [],
    ),
    ("pandas' index", ",id,name\n0,1,a\n1,2,b\n", {}, [(1, "1", "a"), (2, "2", "b")], []),
    ("a name twice that nobody reads", "id,x,x,name\n1,,,a\n", {}, [(1, "1", "a")], []),
]


@pytest.mark.parametrize("size", [8, 1 << 20])
@pytest.mark.parametrize(
    ("text", "keys", "good", "malformed"), [row[1:] for row in CSV], ids=[r[0] for r in CSV]
)
def test_csv_is_read_as_it_is_written(tmp_path: Path, text, keys, good, malformed, size: int) -> None:
    file = write(tmp_path / "t.csv", text)
    expected = good if good is not None else [(1, "1", "a"), (2, "2", "")]
    assert read(file, size=size, **keys) == (expected, malformed)


@pytest.mark.parametrize("block", [64, 200, 1 << 20])
def test_repaired_rows_stand_where_they_stood(tmp_path: Path, monkeypatch, block: int) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", block)
    ends = ["", ",", ",,", "", ",x"]
    lines = [f"{n}{',a' if n % 7 else ''}{ends[n % 5] if n % 7 else ''}" for n in range(1, 201)]
    file = write(tmp_path / "t.csv", "id,name\n" + "\n".join(lines) + "\n")
    good, malformed = read(file, ragged="pad")
    assert good == [(n, str(n), "a" if n % 7 else "") for n in range(1, 201) if n % 5 != 4 or not n % 7]
    assert [number for number, _ in malformed] == [n for n in range(1, 201) if n % 5 == 4 and n % 7]


@pytest.mark.parametrize("block", [7, 64, 1 << 20])
@pytest.mark.parametrize("name", ["t.json", "t.json.zip"])
def test_a_json_array_is_read_object_by_object(tmp_path: Path, monkeypatch, name: str, block: int) -> None:
    monkeypatch.setattr(json_reader, "BLOCK_BYTES", block)
    monkeypatch.setattr(json_reader, "BATCH_ROWS", 3)
    rows = [{"id": n, "name": ["é", "😀", 'a "b" ]', "}"][n % 4]} for n in range(1, 12)]
    rows[4:6] = [7, {"id": 12345678901234567890123, "name": None}]
    text = json.dumps(rows, indent=1, ensure_ascii=False).encode()
    if name.endswith("zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("t.json", text)
            archive.writestr("__MACOSX/._t.json", b"")
    else:
        write(tmp_path / name, b"\xef\xbb\xbf \n" + text)
    good, malformed = read(str(tmp_path / name))
    assert [row[0] for row in good] == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert str(good[4][1]) == "12345678901234567890123" and good[0][2] == "😀"
    assert malformed == [(5, "not a JSON object but a number")]


@pytest.mark.parametrize(
    ("keys", "fragment"),
    [
        ({"files": "~/events.csv"}, "not expanded"),
        ({"files": "$DATA/events.csv"}, "not expanded"),
        ({"files": "x/${DATA}/events.csv"}, "not expanded"),
        ({"files": "a/**/b.csv"}, "for each folder"),
        ({"files": " "}, "found no name"),
        ({"quote": "«"}, "one ASCII character"),
        ({"quote": "''"}, "at most 1 character"),
        ({"escape": "\n"}, "ends no line"),
        ({"quote": ","}, "are both ','"),
        ({"skip_lines": -1}, "greater than or equal to 0"),
        ({"header": []}, "at least 1 item"),
        ({"header": ["a", "a"]}, "named twice"),
        ({"files": "t.parquet", "header": ["a"]}, "says nothing of"),
        ({"sheet": "x"}, "expected it with format xlsx"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused(keys, fragment: str) -> None:
    with pytest.raises(ValidationError, match=fragment):
        Table(**{"files": "t.csv", **keys})


def test_an_archive_of_two_files_is_refused_with_their_names(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("a.csv", "id,name\n1,a\n")
        archive.writestr("b.csv", "id,name\n1,a\n")
    with pytest.raises(UserError, match=r"archive of 2 files: a\.csv, b\.csv\. Expected exactly one"):
        read(str(tmp_path / "t.zip"))


@pytest.mark.parametrize(
    ("text", "keys", "fragment"),
    [
        ("id\tname\n1\ta\n", {}, 'say delimiter: "\\t"'),
        ("id;name\n1;a\n", {}, 'say delimiter: ";"'),
        ("id|name\n1|a\n", {}, 'say delimiter: "|"'),
        ("Report\n\nid,name\n1,a\n", {}, "Line 3 has it: say skip_lines: 2"),
        ("sep=,\nid,name\n1,a\n", {}, "say skip_lines: 1"),
        ("\n\nid,name\n1,a\n", {}, "say skip_lines: 2"),
        ("1,2,a\n1,3,b\n", {}, "say header: with the names of its 3 columns"),
        ("id, Name \n1,a\n", {}, "Say columns: {name: ' Name '}"),
        ("ID,name\n1,a\n", {}, "Is 'ID' meant?"),
        ("id,name,name\n1,a,b\n", {}, "header: [...] and skip_lines: 1"),
        ("id,nom\n1,a\n", {}, "columns there are: id, nom"),
    ],
)
def test_a_header_that_is_not_as_declared_is_told_with_the_key(tmp_path: Path, text, keys, fragment) -> None:
    with pytest.raises(UserError) as raised:
        read(write(tmp_path / "t.csv", text), **keys)
    assert fragment in str(raised.value)
