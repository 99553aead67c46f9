from __future__ import annotations

import datetime
import decimal
import json

import pyarrow as pa
import pytest

from components.ingest.declaration import Table
from components.ingest.files.columns import Column
from components.ingest.files.numbers import PLAIN, Numerals, currencies, parse_numbers, ways_to_read
from components.ingest.files.tables import read_batches

WRONG = object()
COMMA, POINT_GROUPS = Numerals(","), Numerals(",", ".")
COMMA_GROUPS, BLANK_GROUPS, SWISS = Numerals(".", ","), Numerals(",", " "), Numerals(".", "'")


@pytest.mark.parametrize(
    ("numerals", "cell", "number"),
    [
        (PLAIN, "3.50", 3.5),
        (PLAIN, "3,50", WRONG),
        (PLAIN, "1,234", WRONG),
        (PLAIN, "1 234", WRONG),
        (COMMA, "3,50", 3.5),
        (COMMA, "-0,5e1", -5),
        (COMMA, "3.50", WRONG),
        (COMMA, "1.234", WRONG),
        (COMMA, "12", 12),
        (POINT_GROUPS, "1.234.567,89", 1234567.89),
        (POINT_GROUPS, "1.23", WRONG),
        (COMMA_GROUPS, "1,234.00", 1234),
        (COMMA_GROUPS, "1234.5", 1234.5),
        (COMMA_GROUPS, "12,34,567.5", 1234567.5),
        (COMMA_GROUPS, "1,23", WRONG),
        (BLANK_GROUPS, "1 234,5", 1234.5),
        (BLANK_GROUPS, "1\u00a0234\u202f567", 1234567),
        (BLANK_GROUPS, "1 23", WRONG),
        (SWISS, "1'234.5", 1234.5),
        (SWISS, "1\u2019234", 1234),
        (PLAIN, "€ 3", 3),
        (PLAIN, "3.5 €", 3.5),
        (PLAIN, "-$4", -4),
        (PLAIN, "USD 5.25", 5.25),
        (PLAIN, "250 kr", 250),
        (COMMA_GROUPS, "R$ 1,000.50", 1000.5),
        (PLAIN, "$5.00 USD", 5),
        (PLAIN, "€", WRONG),
        (PLAIN, "5 apples", WRONG),
        (PLAIN, "3 %", 0.03),
        (PLAIN, "\u22125", -5),
        (PLAIN, "(3.50)", WRONG),
        (PLAIN, "inf", WRONG),
        (COMMA, "inf", WRONG),
        (PLAIN, "1e999", WRONG),
        (PLAIN, "٣", WRONG),
    ],
)
def test_text_is_read_as_the_table_says_it_writes_numbers(numerals, cell, number) -> None:
    # Beside a cell that the short way cannot read, and alone, where it may.
    for company in ([], ["n/a"]):
        numbers, wrong = parse_numbers(pa.array([cell, *company]), numerals)
        assert wrong[0] == (number is WRONG)
        assert numbers[0].as_py() == (None if number is WRONG else pytest.approx(number))


@pytest.mark.parametrize("cell", ["", "NA", "n.a.", "\\N", "-", "—", "?", "#N/A", "<NA>", "NULL", "Unknown"])
def test_words_for_no_number_are_missing_whatever_the_notation(cell) -> None:
    for numerals in (PLAIN, POINT_GROUPS):
        numbers, wrong = parse_numbers(pa.array([cell, "1"]), numerals)
        assert numbers.to_pylist() == [None, 1.0] and not wrong.any()


@pytest.mark.parametrize(
    ("cells", "ways"),
    [
        (["3,50", "12"], [COMMA]),
        (["1,234"], [COMMA, COMMA_GROUPS]),
        (["1,234", "12,5"], [COMMA]),
        (["1,234", "9,999.50"], [COMMA_GROUPS]),
        (["€ 1.234.567,89"], [POINT_GROUPS]),
        (["1 234,5"], [BLANK_GROUPS]),
        (["12.5", "3,5"], []),
        (["ten", None], []),
        (["2.5"], [PLAIN]),
    ],
)
def test_the_ways_to_read_a_column_are_told_by_all_its_cells(cells, ways) -> None:
    assert ways_to_read(pa.array(cells, pa.string())) == ways


def test_the_reason_names_the_keys_that_would_read_the_column() -> None:
    column = Column(name="price", type="number")
    for cells, numerals, advice in (
        (["3,50", "4"], PLAIN, "set decimal: ','"),
        (["1,234"], PLAIN, "set decimal: ',' or thousands: \",\" on the table, whichever is meant"),
        (["1.234,5"], PLAIN, "set decimal: ',' and thousands: \".\""),
        (["3.5"], COMMA, "said to write numbers with decimal: ','"),
    ):
        assert advice in column.reasons(pa.array(cells), "price", numerals)[0].as_py()
    assert "set" not in column.reasons(pa.array(["ten"]), "price")[0].as_py()


def test_a_table_cannot_use_one_sign_for_two_things() -> None:
    with pytest.raises(ValueError, match="for both decimal and thousands"):
        Table(files="a.csv", decimal=",", thousands=",")
    assert Table(files="a.csv", decimal=",", thousands=".").numerals == POINT_GROUPS


def test_the_currencies_of_a_column_are_told_apart() -> None:
    assert currencies(pa.array(["€ 3", "4 €", "$5", None, "6", "7 kr", "8 %", "GBP 9"])) == [
        "€",
        "$",
        "GBP",
        "kr",
    ]
    assert currencies(pa.array(["3", "kr", None])) == []


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["1", "1e39"]),
        pa.array(["x", "-4e38"]),
        pa.array([1.0, 1e300]),
        pa.array([decimal.Decimal(1), decimal.Decimal("1e40")]),
        pa.array([1.0, float("-inf")]),
        pa.array(["1", "9" * 40]),
    ],
)
def test_a_number_that_float32_cannot_hold_is_wrong_in_every_type(cells) -> None:
    values, wrong = Column(name="c", type="number").convert(cells)
    assert wrong[1] and values[1].as_py() is None
    vectors, bad = Column(name="c", type="numbers", dim=2, separator=" ").convert(
        pa.array([[0.0, 1.0], [0.0, 1e39]])
    )
    assert bad.tolist() == [False, True] and vectors[1].as_py() is None


def test_the_greatest_number_of_float32_is_one() -> None:
    values, wrong = Column(name="c", type="number").convert(pa.array([3.4028234e38, -3.4028234e38]))
    assert not wrong.any() and values.null_count == 0


@pytest.mark.parametrize(
    ("cells", "ids", "wrong"),
    [
        (
            pa.array(["12345.0", "12345", "007.0", "1.5", "1.0.0", "v1.0", None]),
            ["12345", "12345", "007", "1.5", "1.0.0", "v1.0", None],
            [],
        ),
        (pa.array(["-3.00", "4."]), ["-3", "4."], []),
        (pa.array([2**63 + 1], pa.uint64()), [str(2**63 + 1)], []),
        (
            pa.array([decimal.Decimal("5.00"), decimal.Decimal("1180591620717411303439.00")]),
            ["5", "1180591620717411303439"],
            [],
        ),
        (
            pa.array([42.0, 2.0**53, 1e300, float("inf"), float("nan")]),
            ["42", None, None, None, None],
            [1, 2, 3],
        ),
        (pa.array([1.0, 2.0**24], pa.float32()), ["1", None], [1]),
        (pa.array([["a"]]), [None], [0]),
        (pa.array([{"id": 1}]), [None], [0]),
        (pa.array([datetime.date(2020, 1, 2)]), ["2020-01-02"], []),
    ],
)
def test_an_id_is_its_digits_whatever_its_type_or_it_is_refused(cells, ids, wrong) -> None:
    converted = Column(name="c", type="id").convert(cells)
    assert converted.values.to_pylist() == ids
    assert converted.wrong.nonzero()[0].tolist() == wrong


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        (pa.array([["a"]]), "user holds a list"),
        (pa.array([{"id": 1}]), "user holds an object"),
        (pa.array([2.0**60]), "column's type (double) cannot hold to its last digit"),
        (pa.array([2.0**30], pa.float32()), "column's type (float) cannot hold to its last digit"),
        (pa.array([[1]], pa.large_list(pa.int64())), "user holds a list"),
    ],
)
def test_what_is_no_id_is_told_for_what_it_is(cells, reason) -> None:
    assert reason in Column(name="c", type="id").reasons(cells, "user")[0].as_py()


BIG = 1180591620717411303431


@pytest.mark.parametrize("ending", ["jsonl", "json"])
@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([BIG, BIG + 2, 7], [str(BIG), str(BIG + 2), "7"]),
        ([-BIG, None, 1], [str(-BIG), None, "1"]),
        ([2**64, 2**63, -1], [str(2**64), str(2**63), "-1"]),
        ([BIG, "u1", True], [str(BIG), "u1", "true"]),
        ([BIG, 4.0, "x"], [str(BIG), "4", "x"]),
    ],
)
def test_integers_of_any_length_in_json_keep_their_digits(tmp_path, ending, values, ids) -> None:
    lines = [json.dumps({"id": value}) for value in values]
    text = "\n".join(lines) if ending == "jsonl" else f"[{','.join(lines)}]"
    (tmp_path / f"t.{ending}").write_text(text)
    table = Table(files=f"t.{ending}")
    (rows,) = read_batches(table, str(tmp_path / f"t.{ending}"), ["id"])
    assert Column(name="id", type="id").convert(rows.batch.column("id")).values.to_pylist() == ids


def test_long_integers_in_lists_and_numbers_of_json_are_exact_too(tmp_path) -> None:
    (tmp_path / "t.jsonl").write_text(
        f'{{"tags": [{BIG}, 1], "price": {10**30}}}\n{{"tags": [], "price": 2}}\n'
    )
    (rows,) = read_batches(Table(files="t.jsonl"), str(tmp_path / "t.jsonl"), ["tags", "price"])
    tags = Column(name="tags", type="strings").convert(rows.batch.column("tags")).values
    assert tags.to_pylist() == [[str(BIG), "1"], None]
    prices, wrong = Column(name="price", type="number").convert(rows.batch.column("price"))
    assert prices.to_pylist() == [1e30, 2.0] and not wrong.any()


SECOND = 1_600_000_000
BOUNDS = {"earliest": 631_152_000, "latest": 4_102_444_800}
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@pytest.mark.parametrize("found", UNITS)
@pytest.mark.parametrize("declared", UNITS)
@pytest.mark.parametrize("kind", [int, str, float])
def test_every_unit_taken_for_another_is_told_with_the_right_one(found, declared, kind) -> None:
    column = Column(name="at", type="moment", unit=declared, **BOUNDS)
    cells = pa.array([kind(SECOND * UNITS[found])])
    if found == declared:
        assert column.convert(cells).values.to_pylist() == [SECOND]
        return
    assert column.convert(cells).wrong.all()
    reason = column.reasons(cells, "timestamp")[0].as_py()
    assert reason.endswith(f"is the unit {declared!r} right? As {found} it would be a moment of 2020")


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        (20200913, "YYYYMMDD"),
        (44000, "spreadsheet's day number"),
        (18518, "days since 1970"),
        (637_356_384_000_000_000, ".NET's ticks"),
        (5, "is the unit 's' right?"),
    ],
)
def test_other_counts_of_time_are_told(cell, hint) -> None:
    column = Column(name="at", type="moment", **BOUNDS)
    for cells in (pa.array([cell]), pa.array([str(cell), "soon"])):
        reasons = column.reasons(cells, "timestamp").to_pylist()
        assert hint in reasons[0]
        assert not any("unit" in reason for reason in reasons[1:])
