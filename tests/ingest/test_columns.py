from __future__ import annotations

import datetime

import pyarrow as pa
import pytest

from components.ingest.columns import Column, as_text

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
    ("unit", "cell"), [("s", 1_700_000_000), ("ms", 1_700_000_000_999), ("us", 1_700_000_000_999_999)]
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
