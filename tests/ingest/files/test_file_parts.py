from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.ingest.declaration import Table
from components.ingest.files.file_parts import file_parts
from components.ingest.files.rows import FilePart
from components.ingest.files.tables import read_batches

CSV_LINES = st.lists(st.sampled_from(["1,a", "22,b,c", "", "333,é", "4"]), min_size=1, max_size=40)
JSON_LINES = st.lists(
    st.sampled_from(['{"id":1,"name":"a"}', '{"id":"22"}', "", "[1]", '{"id":3']), min_size=1, max_size=40
)


def everything(table: Table, parts: list[FilePart] | list[str]) -> tuple[list[tuple], list[tuple]]:
    """All good rows as (number, id, name as text) and all malformed ones as (number, text, reason)."""
    good: list[tuple] = []
    malformed: list[tuple] = []
    for part in parts:
        for rows in read_batches(table, part, ["id", "name"]):
            cells = rows.batch.to_pydict()
            ids = [str(value) for value in cells["id"]]
            good += zip(rows.numbers.tolist(), ids, cells["name"], strict=True)
            malformed += [(row.number, row.text, row.reason) for row in rows.malformed]
    return good, sorted(malformed)


@pytest.fixture(scope="module")
def write(tmp_path_factory) -> Callable[[str, bytes], str]:
    """Writes a file under a name, over what was there; returns its path."""
    directory = tmp_path_factory.mktemp("parts")

    def put(name: str, content: bytes) -> str:
        (directory / name).write_bytes(content)
        return str(directory / name)

    return put


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CSV_LINES, st.integers(5, 60), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_the_parts_of_a_csv_file_are_the_file_with_its_row_numbers(
    write, lines, size, newline, ended
) -> None:
    text = newline.join(['"id",name', *lines]) + (newline if ended else "")
    file, table = write("t.csv", text.encode()), Table(files="t.csv")
    parts = file_parts(table, file, size)
    good, malformed = everything(table, parts)
    assert (good, malformed) == everything(table, [file])
    expected = list(enumerate(lines, 1))
    assert [(number, f"{id_},{name}") for number, id_, name in good] == [
        (number, line) for number, line in expected if line.count(",") == 1
    ]
    assert [number for number, *_ in malformed] == [
        number for number, line in expected if line and line.count(",") != 1
    ]
    assert len(parts) > 1 or len(text.encode()) < 2 * size + 100
    assert [part.number for part in parts] == list(range(len(parts)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(JSON_LINES, st.integers(5, 60))
def test_the_parts_of_json_lines_are_the_file_with_its_row_numbers(write, lines, size) -> None:
    file, table = write("t.jsonl", "\n".join(lines).encode()), Table(files="t.jsonl")
    good, malformed = everything(table, file_parts(table, file, size))
    assert (good, malformed) == everything(table, [file])
    assert [number for number, *_ in good] == [
        number for number, line in enumerate(lines, 1) if line.startswith("{") and line.endswith("}")
    ]
    assert {number for number, *_ in malformed} == {
        number for number, line in enumerate(lines, 1) if line in ("[1]", '{"id":3')
    }


def test_parquet_is_cut_between_row_groups(tmp_path: Path) -> None:
    file, table = str(tmp_path / "t.parquet"), Table(files="t.parquet")
    pq.write_table(pa.table({"id": range(50), "name": ["x"] * 50}), file, row_group_size=7)
    parts = file_parts(table, file, 1)
    assert [part.first_row for part in parts] == [1, 8, 15, 22, 29, 36, 43, 50]
    assert everything(table, parts) == everything(table, [file])
    assert everything(table, parts)[0][49] == (50, "49", "x")
    assert file_parts(table, file) == [FilePart(file)]


@pytest.mark.parametrize(
    ("name", "content", "options"),
    [
        ("quoted.csv", b'id,name\n1,"a\nb"\n' * 20, {}),
        ("macintosh.csv", b"id,name\r1,a\r\n" * 20, {}),
        ("packed.csv", b"id,name\n1,a\n" * 20, {"compression": "gzip"}),
        ("wide.csv", ("id,name\n" + "1,a\n" * 20).encode("utf-16"), {"encoding": "utf-16"}),
    ],
)
def test_a_file_that_cannot_be_cut_safely_stays_whole(write, name, content, options) -> None:
    if "compression" in options:
        content = pa.Codec("gzip").compress(content, asbytes=True)
    file = write(name, content)
    table = Table(files=name, **options)
    assert file_parts(table, file, 16) == [FilePart(file)]
    assert everything(table, [file])[0]


def test_latin_1_is_cut_at_its_newlines(write) -> None:
    file = write("latin.csv", ("id,name\n" + "1,é\n" * 9).encode("latin-1"))
    table = Table(files="latin.csv", encoding="latin-1")
    parts = file_parts(table, file, 16)
    assert len(parts) > 1
    assert everything(table, parts)[0] == [(number, "1", "é") for number in range(1, 10)]


def test_a_part_goes_to_another_process_and_into_json(write) -> None:
    file = write("t.csv", b"id,name\n" + b"1,a\n" * 9)
    for part in file_parts(Table(files="t.csv"), file, 16):
        assert pickle.loads(pickle.dumps(part)) == part
        again = FilePart(**json.loads(json.dumps(asdict(part))))
        assert everything(Table(files="t.csv"), [again]) == everything(Table(files="t.csv"), [part])


def test_reading_needs_neither_tensorflow_nor_beam() -> None:
    script = (
        "import sys\n"
        "from components.ingest.files import columns, file_parts, tables\n"
        "print([n for n in ('tensorflow', 'tfx', 'tfx_bsl', 'apache_beam') if n in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
