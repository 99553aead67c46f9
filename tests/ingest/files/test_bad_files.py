"""What is wrong with a file or row is said, and whatever is right around it is read."""

from __future__ import annotations

import bz2
import codecs
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from components.ingest.declaration import Table
from components.ingest.errors import UserError
from components.ingest.files import byte_streams, csv_reader, jsonl_reader
from components.ingest.files.columns import Column
from components.ingest.files.tables import check_columns, read_batches, read_columns

COLUMNS = ("id", "name")


def write(path: Path, content: str | bytes) -> str:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(table: Table, file: str, columns=COLUMNS) -> tuple[list[tuple], list[tuple]]:
    """Good rows as (number, cells ...), malformed ones as (number, text, reason)."""
    check_columns(table, [file], columns)
    good: list[tuple] = []
    malformed: list[tuple] = []
    for rows in read_batches(table, file, columns):
        good += zip(rows.numbers.tolist(), *rows.batch.to_pydict().values(), strict=True)
        malformed += [(row.number, row.text, row.reason) for row in rows.malformed]
    return good, sorted(malformed)


LATIN = "id,name\n1,ann\n2,é\n3,bob\n4,ü,5\n6,eve\n".encode("latin-1")


def test_latin_1_rows_are_named_and_the_others_survive(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", LATIN)
    hint = "column 'name' is not UTF-8 (byte 0xE9); if the file is Latin-1, say encoding: latin-1"
    assert read(Table(files="t.csv"), file) == (
        [(1, "1", "ann"), (3, "3", "bob"), (5, "6", "eve")],
        [(2, r"\xe9", hint), (4, r"4,\xfc,5", "found 3 cells, expected 2")],
    )


def test_declared_latin_1_is_read_as_such(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", LATIN)
    good, malformed = read(Table(files="t.csv", encoding="latin-1"), file)
    assert good[1] == (2, "2", "é") and malformed == [(4, "4,ü,5", "found 3 cells, expected 2")]


def test_bytes_that_an_encoding_does_not_know_are_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", b"id,name\n1,\x80\n2,\x81\n")
    good, malformed = read(Table(files="t.csv", encoding="cp1252"), file)
    assert good == [(1, "1", "€")]
    assert malformed == [(2, r"\x81", "column 'name' is not CP1252 (byte 0x81)")]


def test_latin_1_in_a_column_nobody_reads_harms_nothing(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", LATIN)
    good, _ = read(Table(files="t.csv"), file, ["id"])
    assert [cell for _, cell in good] == ["1", "2", "3", "6"]


def test_characters_are_whole_where_the_text_is_read_in_pieces(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 61)
    monkeypatch.setattr(jsonl_reader, "BLOCK_BYTES", 61)
    names = ["é" * (1 + n % 7) + "😀" for n in range(100)]
    for encoding in ("utf-8", "utf-16", "utf-8-sig"):
        lines = "".join(f"{n},{name}\n" for n, name in enumerate(names))
        file = write(tmp_path / "t.csv", ("id,name\n" + lines).encode(encoding))
        good, malformed = read(Table(files="t.csv", encoding=encoding), file)
        assert ([name for *_, name in good], malformed) == (names, [])
        lines = "".join(f'{{"id":{n},"name":"{name}"}}\n' for n, name in enumerate(names))
        file = write(tmp_path / "t.jsonl", lines.encode(encoding))
        good, malformed = read(Table(files="t.jsonl", encoding=encoding), file)
        assert ([name for *_, name in good], malformed) == (names, [])


def test_an_invalid_byte_leaves_valid_ones_around_it_alone(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "id,name\n1,é\n2,".encode() + b"\xc3\n3," + "ü\n".encode())
    good, malformed = read(Table(files="t.csv"), file)
    assert good == [(1, "1", "é"), (3, "3", "ü")]
    assert [(number, text) for number, text, _ in malformed] == [(2, r"\xc3")]


@pytest.mark.parametrize("content", ["id,name\n1,é\n".encode("utf-16"), "id,name\n1,x\n".encode("utf-16-le")])
def test_utf_16_is_recognised(tmp_path: Path, content: bytes) -> None:
    file = write(tmp_path / "t.csv", content)
    with pytest.raises(
        UserError, match=r"looks like UTF-16(-LE)?, expected CSV in UTF-8\. Say encoding: utf-16"
    ):
        read(Table(files="t.csv"), file)


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_byte_order_mark_is_no_part_of_the_first_cell(tmp_path: Path, suffix: str) -> None:
    text = {"csv": "id,name\r\n1,x\r\n", "jsonl": '{"id":"1","name":"x"}\r\n'}[suffix]
    file = write(tmp_path / f"t.{suffix}", codecs.BOM_UTF8 + text.encode())
    assert read(Table(files=f"t.{suffix}"), file) == ([(1, "1", "x")], [])


def test_nul_bytes_are_named(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", b"id,name\n1,a\0b\n2,c\n")
    assert read(Table(files="t.csv"), file) == (
        [(2, "2", "c")],
        [(1, r"a\x00b", "column 'name' holds a NUL byte")],
    )


def test_quoted_newlines_are_part_of_their_cell(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", 'id,name\r\n1,"a\r\nb ""c"""\r\n2,d 5" e\r\n')
    assert read(Table(files="t.csv"), file) == ([(1, "1", 'a\r\nb "c"'), (2, "2", 'd 5" e')], [])


@pytest.mark.parametrize("columns", [["id", "name"], ["id"]])
def test_a_quote_never_closed_is_named_whatever_columns_are_read(tmp_path: Path, columns) -> None:
    file = write(tmp_path / "t.csv", 'id,name\n1,a\n2,"b\n3,c\n')
    good, malformed = read(Table(files="t.csv"), file, columns)
    assert [row[:2] for row in good] == [(1, "1")]
    assert malformed == [
        (
            2,
            "b\n3,c\n",
            "a quote is opened in this row and never closed; if quotes mean nothing there, say quote: ''",
        )
    ]


def test_a_quote_that_swallows_too_much_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 64)
    file = write(tmp_path / "t.csv", "id,name\n" + "1,a\n" * 20 + '2,"b\n' + "3,c\n" * 90)
    with pytest.raises(UserError, match=r"cannot be read after row 20: .*double quote opened near there"):
        read(Table(files="t.csv"), file)


def test_blank_lines_count_as_rows_and_are_passed_over(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "id,name,more\r\n1,a,\r\n\r\n,,5\r\n4,d,\r\n\r\n")
    assert read(Table(files="t.csv"), file) == ([(1, "1", "a"), (3, "", ""), (4, "4", "d")], [])


@pytest.mark.parametrize(
    ("name", "content", "fragments"),
    [
        ("t.csv", b"", ["is empty", "not even a header"]),
        ("t.jsonl", b"", ["is empty", "not a single line"]),
        ("t.parquet", b"", ["is empty", "Parquet"]),
        # Without a time in it, which would be in the test's name: each process of the suite collects its own.
        ("t.csv.gz", gzip.compress(b"", mtime=0), ["is empty"]),
        ("t.csv", b"\n\nid,name\n1,a\n", ["begins with a blank line"]),
        ("t.csv", "id,naïve\n1,a\n".encode("latin-1"), ["no column 'name'", r"id, na\xefve"]),
        ("t.csv", b"PAR1....PAR1", ["is a Parquet file", "format: parquet"]),
        ("t.csv", gzip.compress(b"id,name\n1,a\n", mtime=0), ["compressed with gzip", "compression: gzip"]),
        ("t.csv.gz", b"id,name\n1,a\n", ["not compressed with gzip", "compression: none"]),
        ("t.parquet", b"PAR1 and then the disk was full", ["was cut off", "(0 so far)"]),
        ("t.jsonl", b' [{"id":1}]', ["one JSON array", "Say format: json"]),
        ("t.jsonl", b'{"id":1}\n', ["has no column 'name'", "there are: id"]),
    ],
)
def test_a_file_that_cannot_be_read_is_named_with_what_to_do(tmp_path, name, content, fragments) -> None:
    file = write(tmp_path / name, content)
    with pytest.raises(UserError) as raised:
        read(Table(files=name), file)
    for fragment in [file, *fragments]:
        assert fragment in str(raised.value)


def test_a_header_alone_has_no_rows(tmp_path: Path) -> None:
    file = write(tmp_path / "t.csv", "id,name")
    assert read(Table(files="t.csv"), file) == ([], [])
    with pytest.raises(UserError, match="found no rows below the header"):
        read_columns(Table(files="t.csv"), [file], [Column(name="id")], "id")


@pytest.mark.parametrize("codec", ["gzip", "bz2", "zstd", "lz4"])
def test_compressed_files_are_read_and_named_where_they_are_cut_off(tmp_path, monkeypatch, codec) -> None:
    monkeypatch.setattr(byte_streams, "_READ_BYTES", 1 << 14)
    monkeypatch.setattr(csv_reader, "BLOCK_BYTES", 1 << 17)
    suffix = {"gzip": "gz", "bz2": "bz2", "zstd": "zst", "lz4": "lz4"}[codec]
    lines = b"".join(b"%d,%d\n" % (n, n * 7919 % 100_003) for n in range(120_000))
    whole = str(tmp_path / f"t.csv.{suffix}")
    with pa.CompressedOutputStream(whole, codec) as stream:
        stream.write(b"id,name\n" + lines)
    *_, last = read_batches(Table(files=f"*.csv.{suffix}"), whole, COLUMNS)
    assert last.numbers[-1] == 120_000 and last.batch["id"][-1].as_py() == "119999"
    packed = Path(whole).read_bytes()
    cut = write(tmp_path / f"cut.csv.{suffix}", packed[: len(packed) * 9 // 10])
    read_before = 0
    with pytest.raises(UserError) as raised:
        for rows in read_batches(Table(files=f"*.csv.{suffix}"), cut, COLUMNS):
            if not len(rows.numbers):
                continue
            read_before = int(rows.numbers[-1])
            assert rows.batch["id"][-1].as_py() == str(read_before - 1)
    assert read_before > 10_000
    assert f"{cut} was cut off after row {read_before:,}" in str(raised.value)


def test_a_compressed_json_lines_file_cut_off_is_named(tmp_path: Path, monkeypatch) -> None:
    lines = b"".join(b'{"id":%d,"name":%d}\n' % (n, n * 7919 % 100_003) for n in range(20_000))
    file = write(tmp_path / "t.jsonl.gz", gzip.compress(lines)[:-5_000])
    monkeypatch.setattr(byte_streams, "_READ_BYTES", 1 << 14)
    with pytest.raises(UserError, match=r"t\.jsonl\.gz was cut off after row 1\d,\d\d\d: "):
        read(Table(files="t.jsonl.gz"), file)


def test_archives_put_together_are_one_file(tmp_path: Path) -> None:
    content = gzip.compress(b"id,name\n1,a\n") + gzip.compress(b"2,b\n")
    assert read(Table(files="t.csv.gz"), write(tmp_path / "t.csv.gz", content))[0][1] == (2, "2", "b")
    declared = Table(files="t.dat", compression="bz2")
    file = write(tmp_path / "t.dat", bz2.compress(b"id,name\n1,a\n"))
    assert read(declared, file) == ([(1, "1", "a")], [])


def test_lines_that_are_no_json_objects_are_named_by_line(tmp_path: Path) -> None:
    lines = [
        b'{"id": "42", "name": "a"}',
        b"",
        b'{"id": 42}',
        b'{"id": 42.0, "name": null}',
        b"[1]",
        b'{"id":',
        b'"text"',
        b'{"id": "\xe9"}',
        b'{"id": {"deep": 1}}',
        b'{"name": "\xe9", "id": 7}',
        b'{"other": "\xe9", "id": 8}',
        b'{"id": NaN, "name": "b"}',
    ]
    good, malformed = read(Table(files="t.jsonl"), write(tmp_path / "t.jsonl", b"\n".join(lines)))
    assert good == [
        (1, "42", "a"),
        (3, "42", None),
        (4, "42", None),
        (11, "8", None),
        (12, None, "b"),
    ]
    latin = "is not UTF-8 (byte 0xE9); if the file is Latin-1, say encoding: latin-1"
    assert malformed == [
        (5, "[1]", "not a JSON object but a list"),
        (6, '{"id":', "not JSON: unexpected end of data"),
        (7, '"text"', "not a JSON object but text"),
        (8, r"\xe9", f"column 'id' {latin}"),
        (9, '{"deep":1}', "column 'id' holds an object, unlike the rows near there"),
        (10, r"\xe9", f"column 'name' {latin}"),
    ]


def test_json_values_keep_their_types_where_all_agree(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", '{"id":1,"name":["a","b"]}\n{"id":2}\n{"id":3,"name":[]}\n')
    batch = next(iter(read_batches(Table(files="t.jsonl"), file, COLUMNS))).batch
    assert batch.to_pydict() == {"id": [1, 2, 3], "name": [["a", "b"], None, []]}


def test_a_key_that_only_late_objects_have_is_a_column(tmp_path: Path) -> None:
    file = write(tmp_path / "t.jsonl", '{"id":1}\n' * 2_000 + '{"id":2,"name":"x"}\n')
    good, _ = read(Table(files="t.jsonl"), file)
    assert good[0] == (1, 1, None) and good[-1] == (2_001, 2, "x")


def test_parquet_text_that_is_none_is_named(tmp_path: Path) -> None:
    octets = pa.array([b"x", b"\xe9", None, b"z\0"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 4, octets.buffers())
    file = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"id": pa.array([1, 2, 3, 4]), "name": text}), file)
    assert read(Table(files="t.parquet"), file) == (
        [(1, 1, "x"), (3, 3, None)],
        [
            (2, r"\xe9", "column 'name' is not UTF-8 (byte 0xE9)"),
            (4, r"z\x00", "column 'name' holds a NUL byte"),
        ],
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_table_may_call_its_columns_differently(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.table({"user.id": ["1"], "name": ["x"]}), path)
    else:
        write(path, {"csv": "user.id,name\n1,x\n", "jsonl": '{"user.id":"1","name":"x"}'}[suffix])
    table = Table(files=path.name, columns={"id": "user.id", "again": "user.id"})
    assert read(table, str(path), ["again", "id", "name"]) == ([(1, "1", "1", "x")], [])
    with pytest.raises(UserError, match=r"no column 'uid' \(declared as 'id'\); .*there are: user\.id, name"):
        read(Table(files=path.name, columns={"id": "uid"}), str(path))
