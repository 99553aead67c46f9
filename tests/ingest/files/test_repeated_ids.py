"""Tables in which ids come more than once: which row stays, and what is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from components.ingest.declaration import Candidates, Queries
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import read_columns

COLUMNS = [Column(name="id"), Column(name="name")]


def _read(tmp_path: Path, texts: list[str], **keys: Any) -> tuple[list[str], list[str]]:
    files = []
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.csv").write_text("id,name,at\n" + text)
        files.append(str(tmp_path / f"{number}.csv"))
    told: list[str] = []
    table = read_columns(Candidates(files="*.csv", id="id", **keys), files, COLUMNS, "id", told.append)
    assert table.column_names == ["id", "name"]
    return [f"{row['id']}{row['name']}" for row in table.to_pylist()], told


@pytest.mark.parametrize(
    ("texts", "keys", "kept"),
    [
        (["b,x,\na,x,\nb,y,\n"], {"duplicates": "first"}, ["ax", "bx"]),
        (["b,x,\na,x,\nb,y,\n"], {"duplicates": "last"}, ["ax", "by"]),
        (["a,x,\n", "a,y,\n"], {"duplicates": "last"}, ["ay"]),
        (["a,x,3\na,y,20\na,z,1\n"], {"duplicates": "first", "newest_by": "at"}, ["ay"]),
        (["a,x,3\na,y,3\na,z,\n"], {"duplicates": "first", "newest_by": "at"}, ["ax"]),
        (["a,x,3\na,y,3\na,z,\n"], {"duplicates": "last", "newest_by": "at"}, ["ay"]),
        (
            ["a,x,2024-03-01\n", "a,y,2023-12-31T23:00:00\n"],
            {"duplicates": "last", "newest_by": "at"},
            ["ax"],
        ),
        (["a,x,\nb,x,9\na,y,\n"], {"duplicates": "last", "newest_by": "at"}, ["ay", "bx"]),
    ],
)
def test_the_row_that_is_asked_for_stays(tmp_path, texts, keys, kept):
    assert _read(tmp_path, texts, **keys)[0] == kept


def test_it_is_said_how_many_ids_came_twice_and_which_row_stays(tmp_path):
    text = "a,x,1\na,y,2\na,z,1\nb,x,1\nb,y,1\nc,x,1\n"
    _, (told,) = _read(tmp_path, [text], duplicates="last", newest_by="at")
    assert told.startswith("2 ids come more than once in column 'id' of *.csv; 3 rows are left out.")
    assert "that with the greatest 'at', of equal ones the last one" in told


def test_nothing_is_said_where_no_id_repeats(tmp_path):
    assert _read(tmp_path, ["a,x,\nb,x,\n"], duplicates="last") == (["ax", "bx"], [])


def test_without_the_key_a_repeated_id_is_refused(tmp_path):
    with pytest.raises(UserError, match="id 'a' comes twice"):
        _read(tmp_path, ["a,x,\na,x,\n"])


def test_a_cell_that_is_neither_number_nor_time_tells_nothing_of_the_newest(tmp_path):
    with pytest.raises(UserError, match=r"row 2, column 'at': found 'v2', expected a number or a time"):
        _read(tmp_path, ["a,x,1\na,y,v2\n"], duplicates="last", newest_by="at")


def test_the_column_of_the_newest_must_be_there(tmp_path):
    with pytest.raises(UserError, match="has no column 'updated'"):
        _read(tmp_path, ["a,x,1\n"], duplicates="last", newest_by="updated")


@pytest.mark.parametrize("table", [Candidates, Queries])
def test_the_newest_of_what_is_refused_is_refused(table):
    with pytest.raises(ValidationError, match="say duplicates: last"):
        table(files="t.csv", id="id", newest_by="at")
