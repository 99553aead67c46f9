"""How files are written."""

from __future__ import annotations

import bz2
import gzip

import pytest

from pipeline.propose.csv_form import sniff_csv
from tests.pipeline.propose.shop import (
    events,
    init,
    items,
    proposed,
    unbroken,
    users,
    write_csv,
    write_jsonl,
)


def test_formats_compressions_delimiters_and_encodings_are_told_by_the_content(tmp_path):
    log = tmp_path / "log.data"
    log.write_bytes(gzip.compress(write_csv(tmp_path / "x.csv", events(), "\t").read_bytes()))
    # A bar separates the cells here, so it cannot separate genres, too.
    rows = [
        {"item_id": r["item_id"], "name": f"Café au lait n° {at}", "genres": r["genres"].replace("|", ", ")}
        for at, r in enumerate(items())
    ]
    catalogue = write_csv(tmp_path / "items.txt", rows, "|", "latin-1")
    people = tmp_path / "users.jsonl.bz2"
    people.write_bytes(bz2.compress(write_jsonl(tmp_path / "y.jsonl", users()).read_bytes()))
    domain = proposed(tmp_path, log, catalogue, people)
    source = domain.interactions.sources[0]
    assert (source.resolved_format, source.compression_of(source.files), source.delimiter) == (
        "csv",
        "gzip",
        "\t",
    )
    assert (domain.candidates.delimiter, domain.candidates.encoding) == ("|", "iso8859-1")
    assert domain.candidates.features["genres"].separator == ","
    assert domain.queries is not None and domain.queries.resolved_format == "jsonl"
    assert "read as iso8859-1 it says 'i0|Café au lait n°" in unbroken(
        (tmp_path / "domain" / "domain.yaml").read_text()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"user,item,ts\n", "holds no rows, only columns: user, item, ts"),
        (b"1::1193::5::978300760\n1::661::3::978302109\n", "the cells are separated by '::'"),
        (b"[]", "is an empty JSON array"),
        (b'{"user": 1}\n{"user": \n', "line 2, is not JSON"),
        (b"PK\x03\x04 a spreadsheet", "is a zip archive or a spreadsheet"),
        (b"PAR1 broken", "cannot be read as Parquet"),
        (b"\x1f\x8b broken", "cannot be decompressed as gzip"),
        (b"SQLite format 3", "is an SQLite database"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_what_to_do(tmp_path, content, message):
    path = tmp_path / "log"
    path.write_bytes(content)
    result = init(tmp_path / "domain", path)
    assert result.exit_code == 1
    assert message in result.stderr and str(path) in result.stderr
    assert not (tmp_path / "domain").exists()


@pytest.mark.parametrize(
    ("text", "columns", "keys"),
    [
        ("user,item,at\nu1,i1,1,\nu2,i2,2,\n", ("user", "item", "at"), {}),
        ("user\titem\nu1\ti1\nu2\ti2\n", ("user", "item"), {}),
        ("Sales of May\n\nuser,item,at\nu1,i1,1\nu2,i2,2\n", ("user", "item", "at"), {"skip_lines": 2}),
        ("1,10,100\n2,11,101\n1,12,102\n", ("column_1", "column_2", "column_3"), None),
        ("u1\t2020-01-01\tx\nu2\t2020-01-02\ty\n", ("column_1", "time", "column_3"), None),
        ("N5\tnews\thttps://a.b/5\nN6\tnews\thttps://a.b/6\n", ("column_1", "column_2", "column_3"), None),
        ("a,b,a\n1,x,3\n4,y,6\n", ("a", "b", "a_2"), {"skip_lines": 1, "header": ["a", "b", "a_2"]}),
        ("user,item,at\n" + "u1,i1\nu2,i2,2\nu3,i3,3\n" * 9, ("user", "item", "at"), {"ragged": "pad"}),
        ('"a";"b"\n"1";"x \\"y; z\\" w"\n"2";"y"\n', ("a", "b"), {"escape": "\\"}),
        ('a\tb\n1\t"Wheel" of\n2\t"no end\n3\tx\n', ("a", "b"), {"quote": ""}),
    ],
)
def test_what_a_csv_file_needs_to_be_read_is_proposed(text, columns, keys):
    form = sniff_csv("file.csv", text)
    assert form.columns == columns
    assert dict(form.keys) == ({"header": list(columns)} if keys is None else keys)
