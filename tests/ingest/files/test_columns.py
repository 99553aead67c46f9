from __future__ import annotations

import datetime

import pyarrow as pa
import pytest

from components.ingest.features import EmbeddingFeature
from components.ingest.files.columns import Column, as_text, column_of

UTC = datetime.UTC


@pytest.mark.parametrize(
    ("column", "cells", "values", "wrong"),
    [
        ("string", pa.array(["007", "", None]), ["007", None, None], []),
        ("string", pa.array([42, None]), ["42", None], []),
        ("string", pa.array([42.0, None, float("nan")]), ["42", None, None], []),
        ("string", pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"], []),
        ("string", pa.array([["a"]]), [None], [0]),
        (
            "number",
            pa.array([" 4 ", "4.5", "-1e3", "", "NaN", "4,5"]),
            [4, 4.5, -1000, None, None, None],
            [5],
        ),
        ("number", pa.array(["1e999", "0x10", "ten"]), [None, None, None], [0, 1, 2]),
        ("number", pa.array([1.5, float("inf"), float("nan")]), [1.5, None, None], [1]),
        ("number", pa.array([[1.0]]), [None], [0]),
        ("moment", pa.array(["881250949", "881250949.9", "-0.5", ""]), [881250949, 881250949, -1, None], []),
        ("moment", pa.array([881250949, None]), [881250949, None], []),
        ("moment", pa.array(["2001-09-09T01:46:40Z", "2001-09-09", "soon"]), [10**9, 999993600, None], [2]),
        ("moment", pa.array(["99999999999999"]), [None], [0]),
        ("moment", pa.array([datetime.datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC)]), [-1], []),
        ("moment", pa.array([datetime.date(1970, 1, 2)]), [86_400], []),
        ("strings", pa.array([["a", " b"], [], None, ["", "c"]]), [["a", "b"], None, None, ["c"]], []),
        ("strings", pa.array([[1, 2]]), [["1", "2"]], []),
    ],
)
def test_cells_become_values_or_are_marked_wrong(column, cells, values, wrong) -> None:
    converted = Column(name="c", type=column).convert(cells)
    assert converted.values.to_pylist() == values
    assert converted.wrong.nonzero()[0].tolist() == wrong


def test_multivalent_text_is_cut_at_its_separator() -> None:
    column = Column(name="c", type="strings", separator="|")
    values, wrong = column.convert(pa.array(["a|b c", "", None, "|", "d||e"]))
    assert values.to_pylist() == [["a", "b c"], None, None, None, ["d", "e"]]
    assert not wrong.any()


@pytest.mark.parametrize(
    ("unit", "cell"),
    [
        ("s", 1_700_000_000),
        ("ms", 1_700_000_000_999),
        ("us", 1_700_000_000_999_999),
        ("ns", 1_700_000_000_999_999_999),
    ],
)
def test_moments_are_floored_to_seconds_from_their_unit(unit: str, cell: int) -> None:
    column = Column(name="c", type="moment", unit=unit)
    for cells in (pa.array([cell, -1]), pa.array([str(cell), "-1"])):
        assert column.convert(cells).values.to_pylist() == [1_700_000_000, -1]


def test_milliseconds_declared_as_seconds_are_wrong() -> None:
    values, wrong = Column(name="c", type="moment").convert(pa.array([1_700_000_000_000]))
    assert wrong.all() and values.to_pylist() == [None]


def test_cells_are_shown_as_they_would_be_written() -> None:
    assert as_text(pa.array([1.0, 1.5, None, float("inf")])).to_pylist() == ["1", "1.5", None, "inf"]
    assert as_text(pa.array([["a"], None])).to_pylist() == ["['a']", None]


@pytest.mark.parametrize("type_", ["number", "moment", "string"])
def test_one_bad_cell_changes_nothing_about_the_others(type_: str) -> None:
    cells = ["881250949", "4.5", "", "-1e3", "+7", ".5", "0", None, "1700000000"]
    column = Column(name="c", type=type_)
    alone = [column.convert(pa.array([cell], pa.string())) for cell in cells]
    for more in ([], ["0x1F"], ["seven"], [" 5 ", "2024-05-31"], ["inf"]):
        values, wrong = column.convert(pa.array([*cells, *more], pa.string()))
        assert values.to_pylist()[: len(cells)] == [value.values[0].as_py() for value in alone]
        assert not wrong[: len(cells)].any()
        assert type_ == "string" or wrong[len(cells) :].tolist() == [
            cell in ("0x1F", "seven", "inf") or (type_ == "number" and cell.startswith("2024"))
            for cell in more
        ]


BERLIN = {"name": "c", "type": "moment", "timezone": "Europe/Berlin"}


@pytest.mark.parametrize(
    ("clock", "utc"),
    [
        ("2024-01-15T12:00:00", "2024-01-15T11:00:00"),
        ("2024-07-15 12:00", "2024-07-15T10:00:00"),
        ("2024-07-15", "2024-07-14T22:00:00"),
        ("2024-03-31T02:30:00", "2024-03-31T01:00:00"),  # skipped: the clocks go from 2 to 3
        ("2024-10-27T02:30:00", "2024-10-27T00:30:00"),  # shown twice: the first is meant
        ("2024-07-15T12:00:00Z", "2024-07-15T12:00:00"),
        ("2024-07-15T12:00:00.25+05:30", "2024-07-15T06:30:00"),
        ("2024-07-15T12:00-0700", "2024-07-15T19:00:00"),
    ],
)
def test_times_without_an_offset_are_of_the_declared_zone(clock: str, utc: str) -> None:
    column = Column(**BERLIN)
    expected = int(datetime.datetime.fromisoformat(utc).replace(tzinfo=UTC).timestamp())
    others = ["2024-01-01T00:00:00", "2024-01-01T00:00:00+01:00", "1", None]
    for companions in ([], others[:1], others[1:2], others):
        values, wrong = column.convert(pa.array([clock, *companions]))
        assert values[0].as_py() == expected and not wrong.any()
        assert set(values.to_pylist()[1:]) <= {1704063600, 1, None}


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parquet_timestamps_of_every_unit_keep_their_zone_or_get_the_declared_one(unit: str) -> None:
    naive = pa.array([datetime.datetime(2024, 7, 15, 12), None]).cast(pa.timestamp(unit))
    assert Column(**BERLIN).convert(naive).values.to_pylist() == [1721037600, None]
    zoned = naive.cast(pa.timestamp(unit, "America/New_York"))
    assert Column(**BERLIN).convert(zoned).values.to_pylist() == [1721044800, None]
    assert Column(name="c", type="moment").convert(naive).values.to_pylist() == [1721044800, None]
    day = pa.array([datetime.date(2024, 7, 15)])
    assert Column(**BERLIN).convert(day).values.to_pylist() == [1720994400]


def test_moments_outside_the_declared_range_are_wrong_and_say_why() -> None:
    column = Column(name="c", type="moment", unit="ms", earliest=631_152_000, latest=4_102_444_800)
    cells = pa.array(["1700000000000", "1700000000", "17000000000000", "1970-01-02", "soon", "", "1e30"])
    values, wrong = column.convert(cells)
    assert values.to_pylist() == [1_700_000_000, None, None, None, None, None, None]
    assert wrong.tolist() == [False, True, True, True, True, False, True]
    no_time = "time is not a time: ms since 1970-01-01 UTC, or ISO 8601 such as 2024-05-31T12:00:00Z"
    reasons = column.reasons(cells, "time").to_pylist()
    assert [reasons[place] for place in (1, 2, 3, 4, 6)] == [
        "time before 1990-01-01: is the unit 'ms' right? As s it would be a moment of 2023",
        "time not before 2100-01-01: is the unit 'ms' right?",
        "time before 1990-01-01",
        no_time,
        f"{no_time}: is the unit 'ms' right?",
    ]
    assert column.convert(pa.array([631_152_000_000, 4_102_444_800_000])).wrong.tolist() == [False, True]


VECTORS = column_of("c", EmbeddingFeature(kind="embedding", dim=2))


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["1 2.5", None, " ", "1", "1 2 3", "1 x", "1 inf", "1  nan"]),
        pa.array([[1, 2.5], None, None, [1], [1, 2, 3], [1, None], [1, float("inf")], [1, float("nan")]]),
        pa.array([["1", "2.5"], None, None, [], ["1", "2", "3"], ["1", "x"], ["1", ""], ["1", None]]),
        pa.array([[1, 2.5], None, None, [1e300, 1]] + [[1, None]] * 4, pa.list_(pa.float64(), 2)),
    ],
)
def test_vectors_have_exactly_the_declared_length_and_finite_numbers(cells: pa.Array) -> None:
    values, wrong = VECTORS.convert(cells)
    assert values.type == VECTORS.arrow_type == pa.list_(pa.float32())
    assert values.to_pylist() == [[1, 2.5]] + [None] * 7
    assert wrong.tolist() == [False, False, False] + [True] * 5
    sliced = VECTORS.convert(cells.slice(1))
    assert sliced.values.to_pylist() == [None] * 7 and sliced.wrong.tolist() == wrong[1:].tolist()


def test_vectors_may_be_cut_at_another_separator() -> None:
    column = column_of("c", EmbeddingFeature(kind="embedding", dim=2, separator=";"))
    assert column.convert(pa.array(["1; 2", "1 2"])).values.to_pylist() == [[1, 2], None]
    assert column.expected == "2 finite numbers separated by ';', or a list of so many"


def test_every_kind_of_column_converts_nothing_into_its_own_type() -> None:
    for type_ in ("string", "strings", "number", "moment", "numbers"):
        column = Column(name="c", type=type_, separator="|", dim=2)
        for cells in (pa.array([], pa.string()), pa.nulls(2), pa.array([None], pa.string())):
            values, wrong = column.convert(cells)
            assert values.type == column.arrow_type and values.null_count == len(cells)
            assert wrong.tolist() == [False] * len(cells)
