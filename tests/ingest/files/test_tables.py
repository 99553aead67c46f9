from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files import csv_reader
from components.ingest.files.columns import Column
from components.ingest.files.tables import check_columns, read_batches, read_columns, table_files

COLUMNS = (Column(name="id"), Column(name="size", type="number"))


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def test_csv_with_byte_order_mark_quotes_and_leading_zeros_is_read_as_it_is(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", b'\xef\xbb\xbfid,size\r\n007,"1"\r\n"a,\nb",2.5\r\n')
    table = read_columns(Table(files="t.csv"), [file], COLUMNS, "id")
    assert table.to_pydict() == {"id": ["007", "a,\nb"], "size": [1.0, 2.5]}


def test_several_files_are_one_table_sorted_bytewise_by_key(tmp_path: Path) -> None:
    write(tmp_path / "t1.csv", "size,id\n1,é\n2,10\n")
    write(tmp_path / "t2.csv", "id,size\n9,3\nZ,\n")
    files = table_files(Table(files="t?.csv"), str(tmp_path))
    table = read_columns(Table(files="t?.csv"), files, COLUMNS, "id")
    assert table.to_pydict() == {"id": ["10", "9", "Z", "é"], "size": [2.0, 3.0, None, 1.0]}


def test_parquet_integers_become_string_ids(tmp_path: Path) -> None:
    file = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"id": [42, 7], "size": pa.array([1, 2], pa.int8())}), file)
    table = read_columns(Table(files="t.parquet"), [file], COLUMNS, "id")
    assert table.to_pydict() == {"id": ["42", "7"], "size": [1.0, 2.0]}


@pytest.mark.parametrize("block", [16, 40, 1 << 20])
def test_row_numbers_are_the_files_also_past_malformed_rows(
    tmp_path: Path, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", block)
    lines = [f"{row}" if row % 5 == 0 else f"{row},x" for row in range(1, 101)]
    file = write(tmp_path / "t.csv", "id,size\n" + "\n".join(lines) + "\n")
    parts = list(read_batches(Table(files="t.csv"), file, ["id"]))
    ids = np.concatenate([part.batch["id"].to_numpy(zero_copy_only=False) for part in parts])
    numbers = np.concatenate([part.numbers for part in parts])
    assert numbers.tolist() == [row for row in range(1, 101) if row % 5]
    assert ids.tolist() == [str(number) for number in numbers]
    malformed = [row for part in parts for row in part.malformed]
    assert [row.number for row in malformed] == list(range(5, 101, 5))
    assert (
        malformed[0].text == "5"
        and malformed[0].reason == "found 1 cells, expected 2; ragged: pad fills such rows"
    )


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("id,size\na,1\nb,big\n", ["row 2", "'size'", "'big'", "a finite number"]),
        ("id,size\na,1\n,2\n", ["row 2", "'id'", "an id in every row"]),
        ("id,size\na,1\nb,2\na,3\n", ["'a' comes twice", "row 1", "row 3"]),
        ("id,size\na,1\nb\n", ["row 2", "found 1 cells, expected 2", "'b'"]),
        ("id,size\n", ["found no rows"]),
        (b"id,size\n\xff\xfe,1\n", ["UTF-8"]),
    ],
)
def test_a_wrong_cell_is_named_with_file_row_column_and_value(tmp_path: Path, content, fragments) -> None:
    file = write(tmp_path / "t.csv", content)
    with pytest.raises(UserError) as raised:
        read_columns(Table(files="t.csv"), [file], COLUMNS, "id")
    for fragment in [file, *fragments]:
        assert fragment in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("t.csv", "key,size\n", ["'id'", "key, size", "has no column"]),
        ("t.csv", "id;size\n1;2\n", ["id;size", "delimited by ';'"]),
        ("t.csv", "id,size,id\n", ["2 columns called 'id'"]),
        ("t.csv", "", ["is empty"]),
        ("t.parquet", "id,size\n1,2\n", ["cannot be read", "Expected a Parquet file"]),
    ],
)
def test_a_wrong_header_is_named_with_the_columns_that_are_there(tmp_path, name, content, fragments) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(UserError) as raised:
        check_columns(Table(files=name), [file], ["id", "size"])
    for fragment in [file, *fragments]:
        assert fragment in str(raised.value)


def test_a_pattern_without_files_says_what_is_in_its_directory(tmp_path: Path) -> None:
    write(tmp_path / "other.csv", "id\n")
    with pytest.raises(UserError, match=r"found no file .*interactions\.csv .*other\.csv"):
        table_files(Table(files="interactions.csv"), str(tmp_path))
    with pytest.raises(UserError, match="no such directory"):
        table_files(Table(files="interactions.csv"), str(tmp_path / "absent"))


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_file_named_by_uri_is_read_like_one_named_by_path(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        write(path, "id,size\n007,1\n8,2\n")
    else:
        pq.write_table(pa.table({"id": ["007", "8"], "size": [1, 2]}), path)
    table = Table(files=f"t.{suffix}")
    by_path, by_uri = (read_columns(table, [file], COLUMNS, "id") for file in (str(path), path.as_uri()))
    assert by_uri.to_pydict() == by_path.to_pydict() == {"id": ["007", "8"], "size": [1.0, 2.0]}


def test_a_missing_file_named_by_uri_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"file://.*t\.csv cannot be read"):
        check_columns(Table(files="t.csv"), [(tmp_path / "t.csv").as_uri()], ["id"])
