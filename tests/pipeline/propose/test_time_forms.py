"""How text writes times: decided by all cells of a column."""

from __future__ import annotations

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from pipeline.propose.moments import find_moments
from pipeline.propose.time_forms import find_form

FIRST = datetime(2020, 3, 1)


def written(form: str, count: int = 300, hours: int = 7) -> pa.Array:
    return pa.array([(FIRST + timedelta(hours=hours * at)).strftime(form) for at in range(count)])


@pytest.mark.parametrize(
    ("form", "found"),
    [
        ("%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M"),
        ("%m/%d/%Y", "%m/%d/%Y"),
        ("%m/%d/%Y %I:%M:%S %p", "%m/%d/%Y %I:%M:%S %p"),
        ("%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M"),
        ("%Y%m%d", "%Y%m%d"),
        ("%a, %d %b %Y %H:%M:%S +0000", "rfc2822"),
        ("%b %d, %Y, %I:%M %p", "%b %d, %Y, %I:%M %p"),
        ("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %Y"),
        ("%d/%b/%Y:%H:%M:%S +0200", "%d/%b/%Y:%H:%M:%S %z"),
        ("%m/%d/%y %H:%M", "%m/%d/%y %H:%M"),
    ],
)
def test_the_form_of_times_is_found(form, found):
    moments = find_moments(["time"], written(form))
    assert moments is not None and moments.format == found and not moments.unsure
    shift = 7_200 if "+0200" in form else 0
    assert moments.first == (FIRST - datetime(1970, 1, 1)).total_seconds() - shift


@pytest.mark.parametrize("form", ["%Y-%m-%d %H:%M:%S UTC", "%Y/%m/%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d"])
def test_what_can_mean_but_one_moment_needs_no_form(form):
    moments = find_moments(["time"], written(form))
    assert moments is not None and moments.format == ""
    assert moments.has_offset == ("UTC" in form or "Z" in form)


@pytest.mark.parametrize(
    "cells", [["a 1"] * 9, ["12345"] * 9, ["1 2 3 4"] * 9, ["3/4"] * 9, ["i1-2 i3-4"] * 9]
)
def test_what_is_no_time_has_no_form(cells):
    assert find_form(pa.array(cells)) is None


def test_the_order_of_the_rows_tells_days_from_months_below_13():
    days = [datetime(2020, month, day) for month in range(1, 13) for day in range(1, 13)]
    first = find_form(pa.array([day.strftime("%d/%m/%Y") for day in days]))
    assert first is not None and first.format == "%d/%m/%Y" and not first.ambiguous
    assert "the rows are in order of time" in first.evidence
    second = find_form(pa.array([day.strftime("%m/%d/%Y") for day in days]))
    assert second is not None and second.format == "%m/%d/%Y" and not second.ambiguous


def test_days_below_13_in_no_order_are_a_doubt_that_names_the_other_form():
    cells = pa.array([f"{1 + at * 5 % 12:02d}/{1 + at * 7 % 12:02d}/2020" for at in range(200)])
    moments = find_moments(["day"], cells)
    assert moments is not None and "%m/%d/%Y would fit as well" in moments.unsure


def test_days_as_excel_counts_them_are_a_time():
    moments = find_moments(["date"], pa.array([43_831.0 + at / 2 for at in range(100)]))
    assert moments is not None and moments.unit == "excel_days"
    assert moments.first == datetime(2020, 1, 1).timestamp() - datetime(1970, 1, 1).timestamp()
