"""Which rows a table keeps and what becomes of their cells, through the reader of files."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from components.ingest.declaration import Source, Table
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import check_columns, read_batches, read_columns

CELLS = {
    "id": ["1", "2", "3", "4", "5", "6"],
    "event": ["view", "buy", "Buy", "refund", "", "re*"],
    "count": ["1", "2.0", "-3", "1e3", "", "07"],
    "day": ["2024-01-01", "2024-01-31 23:59:59", "2024-02-01T00:30:00+01:00", "2023-12-31", "", "2024-05-05"],
    "paid": ["yes", "TRUE", "no", "False", "", "maybe"],
}


def _write(tmp_path: Path, kind: str, cells: dict[str, list[Any]]) -> str:
    path = tmp_path / f"t.{kind}"
    rows = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    if kind == "csv":
        lines = [",".join(cells), *(",".join(row.values()) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
    elif kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        pq.write_table(pa.table(cells), path)
    return str(path)


def _read(table: Table, file: str, columns: list[str]) -> tuple[list[list[Any]], list[int], int, list[Any]]:
    """The rows' cells and numbers, how many were left out, and the malformed ones."""
    check_columns(table, [file], columns)
    found, numbers, left_out, malformed = [], [], 0, []
    for rows in read_batches(table, file, columns):
        found += [[row[name] for name in columns] for row in rows.batch.to_pylist()]
        numbers += rows.numbers.tolist()
        left_out += rows.left_out
        malformed += rows.malformed
    return found, numbers, left_out, malformed


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"event": "buy"}, "2"),
        ({"event": ["view", "buy"]}, "12"),
        ({"event": "re*"}, "46"),
        ({"event": {"is": "re*"}}, "6"),
        ({"event": {"not": "re*"}}, "1235"),
        ({"event": "?uy"}, "23"),
        ({"event": "present"}, "12346"),
        ({"event": "missing"}, "5"),
        ({"event": {"not": "missing"}}, "12346"),
        ({"event": [{"not": "present"}, "buy"]}, "25"),
        ({"count": "1.."}, "1246"),
        ({"count": "..2"}, "123"),
        ({"count": "1..7"}, "126"),
        ({"count": 7}, "6"),
        ({"count": "7"}, ""),
        ({"count": {"not": "1.."}}, "35"),
        ({"day": "2024-01-01..2024-01-31"}, "123"),
        ({"day": "2024-02-01.."}, "6"),
        ({"paid": True}, "12"),
        ({"paid": False}, "34"),
        ({"event": "present", "count": "..0"}, "3"),
    ],
)
def test_rows_are_kept_where_every_condition_holds(tmp_path, kind, where, kept):
    file = _write(tmp_path, kind, CELLS)
    rows, numbers, left_out, malformed = _read(Table(files=file, where=where), file, ["id"])
    assert "".join(row[0] for row in rows) == kept and not malformed
    assert numbers == [int(number) for number in kept] and left_out == 6 - len(kept)


@pytest.mark.parametrize(
    ("where", "kept"),
    [
        ({"n": 2}, [2]),
        ({"n": "2"}, [2]),
        ({"n": "2.."}, [2, 3]),
        ({"n": "missing"}, [None]),
        ({"x": 1}, [1]),
        ({"x": "present"}, [1, 2]),
        ({"t": date(2024, 1, 1)}, [1]),
        ({"flag": True}, [1, 3]),
        ({"tags": "missing"}, [2, None]),
    ],
)
def test_typed_cells_are_compared_as_what_they_are(tmp_path, where, kept):
    file = str(tmp_path / "t.parquet")
    cells = {
        "n": pa.array([1, 2, 3, None], pa.int32()),
        "x": pa.array([1.0, 2.5, float("nan"), None]),
        "t": pa.array([datetime(2024, 1, 1, 5), datetime(2024, 1, 2), None, None], pa.timestamp("ms")),
        "flag": pa.array([True, False, True, None]),
        "tags": pa.array([["a"], [], ["b", "c"], None]),
    }
    pq.write_table(pa.table(cells), file)
    rows, *_ = _read(Table(files=file, where=where), file, ["n"])
    assert [row[0] for row in rows] == kept


@pytest.mark.parametrize(
    ("where", "number", "value", "reason"),
    [
        ({"n": "1.."}, 2, "many", "'n' under 'where' needs a number"),
        ({"n": {"not": "1.."}}, 2, "many", "needs a number"),
        ({"n": ["7", "1.."]}, 2, "many", "needs a number"),
        ({"d": "2024-01-01.."}, 3, "1704067200", "needs an ISO date or time"),
        ({"d": "..2030-01-01", "n": "present"}, 3, "1704067200", "needs an ISO date or time"),
    ],
)
def test_a_cell_that_a_range_cannot_be_told_of_is_bad_with_its_value(tmp_path, where, number, value, reason):
    cells = {"n": ["1", "many", "3"], "d": ["2024-01-01", "2024-01-02", "1704067200"]}
    file = _write(tmp_path, "csv", cells)
    _, numbers, left_out, (row,) = _read(Table(files=file, where=where), file, ["n"])
    assert (row.number, row.text, row.column) == (number, value, next(iter(where)))
    assert reason in row.reason and number not in numbers
    assert len(numbers) + left_out == 2


def test_a_row_left_out_anyway_is_not_bad(tmp_path):
    file = _write(tmp_path, "csv", {"n": ["1", "many"], "event": ["buy", "note"]})
    table = Table(files=file, where={"n": "1..", "event": "buy"})
    assert _read(table, file, ["n"]) == ([["1"]], [1], 1, [])


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ({"trim": True}, [" a ", "a", "\ta b"], ["a", "a", "a b"]),
        ({"case": "upper"}, ["ab", "Ab", "é"], ["AB", "AB", "É"]),
        ({"case": "lower"}, ["AB", "x1", "É"], ["ab", "x1", "é"]),
        ({"leading_zeros": "drop"}, ["007", "0", "000"], ["7", "0", "0"]),
        ({"leading_zeros": "drop"}, ["0.5", "00A", "100"], ["0.5", "A", "100"]),
        ({"trim": True, "case": "upper", "leading_zeros": "drop"}, [" 00b", "00B ", "b"], ["B", "B", "B"]),
    ],
)
def test_text_is_made_alike(tmp_path, rule, cells, expected):
    file = _write(tmp_path, "csv", {"id": cells})
    rows, *_ = _read(Table(files=file, clean={"id": rule}), file, ["id"])
    assert [row[0] for row in rows] == expected


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ({"a": ["?"]}, [[None, "?"], ["1.0", "0"], ["x?", "n/a"]]),
        ({"*": ["?", "n/a"]}, [[None, None], ["1.0", "0"], ["x?", None]]),
        ({"a": [1], "b": [0]}, [["?", "?"], [None, None], ["x?", "n/a"]]),
        ({"a": ["1"]}, [["?", "?"], ["1.0", "0"], ["x?", "n/a"]]),
        ({"a": ["x?"], "*": [0]}, [["?", "?"], ["1.0", None], [None, "n/a"]]),
    ],
)
def test_values_that_stand_for_none_are_no_values(tmp_path, missing, expected):
    file = _write(tmp_path, "csv", {"a": ["?", "1.0", "x?"], "b": ["?", "0", "n/a"]})
    rows, *_ = _read(Table(files=file, missing=missing), file, ["a", "b"])
    assert rows == expected


def test_a_number_that_stands_for_none_leaves_a_typed_column_its_type(tmp_path):
    file = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"n": [1, -999_999, 3]}), file)
    (rows,) = read_batches(Table(files=file, missing={"n": [-999_999]}), file, ["n"])
    assert rows.batch.schema.field("n").type == pa.int64() and rows.batch["n"].to_pylist() == [1, None, 3]


@pytest.mark.parametrize(
    ("derive", "wanted", "expected"),
    [
        ({"c": {"columns": ["a", "b"]}}, "c", ["x 1", None, None]),
        ({"c": {"columns": ["b", "a"], "separator": ""}}, "c", ["1x", None, None]),
        ({"a": {"columns": ["a", "b"], "separator": "/"}}, "a", ["x/1", None, None]),
        (
            {"c": {"columns": ["a"]}, "d": {"columns": ["c", "a"], "separator": "-"}},
            "d",
            ["x-x", "y-y", None],
        ),
        ({"a": {"columns": ["b"]}, "d": {"columns": ["a"]}}, "d", ["1", None, "3"]),
    ],
)
def test_a_value_made_of_several_is_missing_where_one_is(tmp_path, derive, wanted, expected):
    file = _write(tmp_path, "csv", {"a": ["x", "y", ""], "b": ["1", "", "3"]})
    rows, *_ = _read(Table(files=file, derive=derive), file, [wanted])
    assert [row[0] for row in rows] == expected


@pytest.mark.parametrize(
    ("rule", "cells", "expected"),
    [
        ({"into": ["i", "c"], "between": "-"}, ["N1-0 N2-1", "N3-1"], ["N1 0 1", "N2 1 1", "N3 1 2"]),
        ({"into": ["i", "c"], "between": "-"}, ["N-1-0", ""], ["N-1 0 1"]),
        ({"into": ["i", "c"], "between": ":", "separator": "|"}, ["a:1|c:0", "|"], ["a 1 1", "c 0 1"]),
        ({"into": ["i"], "separator": ";"}, ["a; b", "c"], ["a 1", "b 1", "c 2"]),
        ({"into": ["i", "c", "x"], "between": "/"}, ["a/b/1/2", ""], ["a/b 1 2 1"]),
    ],
)  # fmt: skip
def test_a_cell_that_lists_interactions_becomes_as_many_rows_of_its_number(tmp_path, rule, cells, expected):
    file = _write(tmp_path, "csv", {"u": ["p", "q"], "list": cells})
    wanted = ["u", *rule["into"]]
    rows, numbers, _, malformed = _read(Source(files=file, explode={"column": "list", **rule}), file, wanted)
    found = [" ".join([*row[1:], str(number)]) for row, number in zip(rows, numbers, strict=True)]
    assert found == expected and not malformed
    assert [row[0] for row in rows] == ["pq"[number - 1] for number in numbers]


def test_a_listed_piece_without_its_values_is_bad_alone(tmp_path):
    file = _write(tmp_path, "csv", {"list": ["N1-0 N2", "N3-1"]})
    source = Source(files=file, explode={"column": "list", "into": ["i", "c"], "between": "-"})
    rows, _, _, (bad,) = _read(source, file, ["i"])
    assert [row[0] for row in rows] == ["N1", "N3"]
    assert (bad.number, bad.text, bad.column) == (1, "N2", "list") and "2 values with '-'" in bad.reason


def test_a_typed_list_becomes_rows_too(tmp_path):
    file = str(tmp_path / "t.parquet")
    pq.write_table(pa.table({"u": ["p", "q", "r"], "items": [["a", "b"], None, [None, "c"]]}), file)
    source = Source(files=file, explode={"column": "items", "into": ["i"]})
    assert _read(source, file, ["u", "i"])[:2] == ([["p", "a"], ["p", "b"], ["r", "c"]], [1, 1, 3])


def test_the_rules_see_what_the_ones_before_them_left(tmp_path):
    file = _write(
        tmp_path, "csv", {"No": [" a1", "A2 ", "-"], "list": ["x-1", "x-0 y-1", "x-1"], "z": ["1", "2", "3"]}
    )
    source = Source(
        files=file,
        columns={"user": "No"},
        clean={"user": {"trim": True, "case": "upper"}},
        missing={"user": ["-"]},
        derive={"both": {"columns": ["user", "z"], "separator": "."}},
        explode={"column": "list", "into": ["item", "clicked"], "between": "-"},
        where={"clicked": 1, "both": "present"},
    )
    rows, numbers, left_out, _ = _read(source, file, ["item", "both"])
    assert rows == [["x", "A1.1"], ["y", "A2.2"]] and numbers == [1, 2] and left_out == 2


@pytest.mark.parametrize(
    ("rules", "column"),
    [
        ({"where": {"evnt": "buy"}}, "evnt"),
        ({"clean": {"Id": {"trim": True}}}, "Id"),
        ({"missing": {"cuont": [0]}}, "cuont"),
        ({"derive": {"c": {"columns": ["id", "size"]}}}, "size"),
        ({"explode": {"column": "basket", "into": ["id"]}}, "basket"),
    ],
)
def test_a_column_that_a_rule_names_must_be_there(tmp_path, rules, column):
    file = _write(tmp_path, "csv", CELLS)
    with pytest.raises(UserError, match=rf"has no column '{column}'; the columns there are: id, event"):
        check_columns(Source(files=file, **rules), [file], ["id"])


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"clean": {"id": {}}}, "changes nothing"),
        ({"clean": {"id": {"case": "title"}}}, "lower"),
        ({"missing": {"id": []}}, "at least 1"),
        ({"missing": {"id": [None]}}, "put null in quotes"),
        ({"where": {"id": "1..x"}}, "expected a range"),
        ({"derive": {"c": {"columns": []}}}, "at least 1"),
        ({"derive": {"c": {"columns": ["a"]}}, "clean": {"c": {"trim": True}}}, "name the columns"),
        ({"explode": {"column": "a", "into": ["x", "y"]}}, "expected 'between'"),
        ({"explode": {"column": "a", "into": ["x"], "between": "-"}}, "none for one"),
        ({"explode": {"column": "a", "into": ["x", "x"], "between": "-"}}, "each column once"),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused(rules, message):
    with pytest.raises(ValidationError, match=message):
        Source(files="t.csv", **rules)


def test_a_reference_table_keeps_its_rows_by_where_too(tmp_path):
    file = _write(tmp_path, "csv", {"id": ["1", "1", "2"], "live": ["no", "yes", "yes"]})
    kept = read_columns(Table(files=file, where={"live": True}), [file], [Column(name="id")], "id")
    assert kept["id"].to_pylist() == ["1", "2"]
    with pytest.raises(UserError, match="'where' leaves out all 3 rows"):
        read_columns(Table(files=file, where={"live": "y"}), [file], [Column(name="id")], "id")


def test_a_reference_table_refuses_a_cell_that_a_range_cannot_be_told_of(tmp_path):
    file = _write(tmp_path, "csv", {"id": ["1", "2"], "stock": ["3", "some"]})
    with pytest.raises(UserError, match=r"row 2, column 'stock': found 'some': .*needs a number"):
        read_columns(Table(files=file, where={"stock": "1.."}), [file], [Column(name="id")], "id")
