from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.ingest.files.columns import Column
from components.ingest.files.time_format import time_format


def seconds(*fields: int) -> int:
    return int(datetime(*fields, tzinfo=UTC).timestamp())


MOMENT = seconds(2021, 3, 9, 20, 5, 7)
MINUTE = seconds(2021, 3, 9, 20, 5)
DAY = seconds(2021, 3, 9)


def read(cells: list, **keys) -> tuple[list[int | None], list[int]]:
    converted = Column(name="at", type="moment", **keys).convert(pa.array(cells))
    return converted.values.to_pylist(), np.flatnonzero(converted.wrong).tolist()


@pytest.mark.parametrize(
    ("form", "cell", "expected"),
    [
        ("%d/%m/%Y %H:%M", "09/03/2021 20:05", MINUTE),
        ("%d/%m/%Y %H:%M", "9/3/2021 20:05", MINUTE),
        ("%d/%m/%Y %H:%M", "  09/03/2021   20:05 ", MINUTE),
        ("%m/%d/%Y", "03/09/2021", DAY),
        ("%d.%m.%Y %H:%M:%S", "09.03.2021 20:05:07", MOMENT),
        ("%d.%m.%y", "09.03.21", DAY),
        ("%d-%m-%y", "09-03-69", seconds(1969, 3, 9)),
        ("%d-%m-%y", "09-03-68", seconds(2068, 3, 9)),
        ("%Y%m%d", "20210309", DAY),
        ("%Y%m%d%H%M%S", "20210309200507", MOMENT),
        ("%Y%m%dT%H%M%S%z", "20210309T220507+0200", MOMENT),
        ("%m/%d/%Y %I:%M:%S %p", "03/09/2021 08:05:07 PM", MOMENT),
        ("%m/%d/%Y %I:%M%p", "3/9/2021 8:05pm", MINUTE),
        ("%I:%M %p, %d %B %Y", "8:05 p.m., 9 March 2021", MINUTE),
        ("%I:%M %p %d %b %Y", "12:00 am 09 MAR 2021", DAY),
        ("%I:%M %p %d %b %Y", "12:05 PM 09 mar 2021", seconds(2021, 3, 9, 12, 5)),
        ("%a %b %d %H:%M:%S %z %Y", "Tue Mar 09 20:05:07 +0000 2021", MOMENT),
        ("%A, %d. %B %Y", "Tuesday, 9. March 2021", DAY),
        ("%d/%m/%Y %H:%M:%S.%f", "09/03/2021 20:05:07.999999", MOMENT),
        ("%d/%m/%Y %H:%M:%S,%f", "31/12/1969 23:59:59,5", -1),
        ("%d/%m/%Y %H:%M %z", "09/03/2021 14:35 -05:30", MINUTE),
        ("%d/%m/%Y %H:%M %Z", "09/03/2021 20:05 GMT", MINUTE),
        ("%Y-%m-%d %H:%M:%S UTC", "2021-03-09 20:05:07 UTC", MOMENT),
        ("%d/%m/%Y um %H Uhr", "09/03/2021 um 20 Uhr", seconds(2021, 3, 9, 20)),
        ("%d/%m/%Y", "29/02/2000", seconds(2000, 2, 29)),
        ("%d%%%m%%%Y", "09%03%2021", DAY),
        ("rfc2822", "Tue, 09 Mar 2021 20:05:07 GMT", MOMENT),
        ("rfc2822", "9 Mar 2021 15:05 -0500", MINUTE),
        ("rfc2822", "Tue, 9 Mar 2021 15:05:07 EST (winter)", MOMENT),
    ],
)
def test_a_cell_of_the_format_is_its_moment(form, cell, expected) -> None:
    assert read([cell], format=form) == ([expected], [])


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("%d/%m/%Y", "03/13/2021"),
        ("%d/%m/%Y", "31/04/2021"),
        ("%d/%m/%Y", "29/02/1900"),
        ("%d/%m/%Y", "09/03/2021 20:05"),
        ("%d/%m/%Y", "09/03/21"),
        ("%d/%m/%Y", "09-03-2021"),
        ("%d/%m/%Y", "00/03/2021"),
        ("%d/%m/%Y %H:%M", "09/03/2021"),
        ("%d/%m/%Y %H:%M", "09/03/2021 24:00"),
        ("%d/%m/%Y %H:%M", "09/03/2021 20:60"),
        ("%d/%m/%Y %H:%M:%S", "09/03/2021 20:05:60"),
        ("%d/%m/%Y %I:%M %p", "09/03/2021 20:05 PM"),
        ("%d/%m/%Y %I:%M %p", "09/03/2021 00:05 AM"),
        ("%d/%m/%Y %H:%M %z", "09/03/2021 20:05 +9900"),
        ("%d/%m/%Y %H:%M %Z", "09/03/2021 20:05 IST"),
        ("%d %b %Y", "9 March 2021"),
        ("%Y%m%d", "2021039"),
        ("%Y%m%d", "2021-03-09"),
        ("%Y%m%d", "1615320307"),
        ("%Y-%m-%d", "0000-00-00"),
        ("rfc2822", "2021-03-09T20:05:07Z"),
        ("rfc2822", "Tue, 09 Mar 2021 20:05:07"),
    ],
)
def test_a_cell_that_does_not_fit_is_wrong_and_told_with_an_example(form, cell) -> None:
    column = Column(name="at", type="moment", format=form)
    assert read([cell], format=form) == ([None], [0])
    (reason,) = column.reasons(pa.array([cell]), "timestamp").to_pylist()
    assert f"timestamp is not a time written as {form}, such as '" in reason
    example = time_format(form).example
    assert example in reason and read([example], format=form)[1] == []


def test_typed_times_integers_and_missing_words_are_read_whatever_the_format() -> None:
    form = {"format": "%Y%m%d"}
    assert read([20210309, None], **form) == ([DAY, None], [])
    assert read([20210309.0, float("nan"), 20210309.5], **form) == ([DAY, None, None], [2])
    assert read([datetime(2021, 3, 9, tzinfo=UTC)], **form) == ([DAY], [])
    cells = ["20210309", "", None, " NULL ", "n/a", "soon"]
    assert read(cells, **form) == ([DAY, None, None, None, None, None], [5])


@pytest.mark.parametrize("form", ["%d/%m/%Y %H:%M", "%b %d, %Y %I:%M %p"])
@pytest.mark.parametrize(
    ("clock", "utc"),
    [
        ((2024, 1, 15, 12, 0), (2024, 1, 15, 11, 0)),
        ((2024, 7, 15, 12, 0), (2024, 7, 15, 10, 0)),
        ((2024, 3, 31, 2, 30), (2024, 3, 31, 1, 0)),  # skipped: the end of the gap
        ((2024, 10, 27, 2, 30), (2024, 10, 27, 0, 30)),  # shown twice: the first
    ],
)
def test_times_without_an_offset_are_of_the_declared_zone(form, clock, utc) -> None:
    cell = datetime(*clock).strftime(form)
    assert read([cell], format=form, timezone="Europe/Berlin") == ([seconds(*utc)], [])


def test_a_zone_in_the_cell_or_at_the_formats_end_is_above_the_declared_one() -> None:
    for form, cell in (
        ("%d/%m/%Y %H:%M %z", "09/03/2021 20:05 +0000"),
        ("%d/%m/%Y %H:%MZ", "09/03/2021 20:05Z"),
        ("%d/%m/%Y %H:%M GMT", "09/03/2021 20:05 gmt"),
        ("rfc2822", "09 Mar 2021 20:05 UT"),
    ):
        assert read([cell], format=form, timezone="America/New_York") == ([MINUTE], [])


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%d/%m", "lacks a year"),
        ("%H:%M", "lacks a year"),
        ("%Y-%d", "lacks a month"),
        ("%Y-%m", "lacks a day"),
        ("DD/MM/YYYY", "lacks a year"),
        ("%d/%m/%Y %y", "a year (%Y or %y) more than once"),
        ("%d/%m/%Y %q", "'%q', which is no code"),
        ("%d/%m/%Y %", "'%', which is no code"),
        ("%c", "'%c', which is no code"),
        ("%d/%m/%Y %I:%M", "%I, hours up to 12, but not %p"),
        ("%d/%m/%Y %H:%M %p", "%p, am or pm, but not %I"),
        ("%d/%m/%Y %M", "minutes, but no hours"),
        ("%d/%m/%Y %H:%S", "seconds, but no minutes"),
        ("%d/%m/%Y .%f", "a fraction of a second, but no seconds"),
        ("", "lacks a year"),
    ],
)
def test_a_format_that_is_none_is_refused(form, said) -> None:
    with pytest.raises(ValueError, match="format") as error:
        time_format(form)
    assert said in str(error.value)


@given(
    moments=st.lists(st.datetimes(datetime(1901, 1, 1), datetime(2099, 12, 31)), min_size=1, max_size=20),
    form=st.sampled_from(
        [
            "%d/%m/%Y %H:%M:%S",
            "%Y%m%d%H%M%S",
            "%m-%d-%Y %I:%M:%S %p",
            "%d %B %Y %H.%M.%S",
            "%b %d %Y %I:%M:%S %p",
        ]
    ),
    zone=st.sampled_from(["UTC", "Asia/Kolkata"]),
    blanks=st.booleans(),
)
def test_what_strftime_writes_is_read_back(moments, form, zone, blanks) -> None:
    cells = [moment.strftime(form).replace(" ", "  " if blanks else " ") for moment in moments]
    if zone == "UTC":
        expected = [int(moment.replace(microsecond=0, tzinfo=UTC).timestamp()) for moment in moments]
    else:
        moments = [
            moment.replace(year=2000 + moment.year % 90, day=moment.day % 28 + 1) for moment in moments
        ]
        cells = [moment.strftime(form) for moment in moments]
        expected = [int(moment.replace(tzinfo=ZoneInfo(zone)).timestamp()) for moment in moments]
    assert read(cells, format=form, timezone=zone) == (expected, [])


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("2021-03-09 20:05:07 UTC", MOMENT),
        ("2021-03-09 20:05:07 gmt", MOMENT),
        ("2021-03-09t20:05:07z", MOMENT),
        ("2021-03-09 20:05:07,25", MOMENT),
        ("2021-03-09T20:05:07+0000", MOMENT),
        ("2021-03-09 22:05:07 +02", MOMENT),
        ("2021/03/09", DAY),
        ("2021/3/9 20:05", MINUTE),
        ("2021.03.09 20:05:07", MOMENT),
        ("20210309T200507Z", MOMENT),
        ("Tue, 09 Mar 2021 20:05:07 GMT", MOMENT),
        ("9 Mar 2021 22:05:07 +0200", MOMENT),
    ],
)
def test_text_that_can_mean_one_moment_only_needs_no_format(cell, expected) -> None:
    assert read([cell]) == ([expected], [])
    assert read([cell, "2021-03-09", "", "NA", "03/09/2021"])[0] == [expected, DAY, None, None, None]


@pytest.mark.parametrize(
    "cell",
    ["09/03/2021", "03/09/2021 20:05", "09.03.2021", "Mar 9, 2021", "2021-13-09", "2021/02/30", "0000-00-00"],
)
def test_text_that_could_mean_several_moments_or_none_is_wrong(cell) -> None:
    assert read([cell]) == ([None], [0])
    assert read(["2021-03-09", cell])[1] == [1]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (44264, DAY),
        ("44264", DAY),
        (44264.83688657407, MOMENT),
        ("44264.5", seconds(2021, 3, 9, 12)),
        (25569, 0),
    ],
)
def test_excels_days_are_days_since_1900(cell, expected) -> None:
    assert read([cell], unit="excel_days") == ([expected], [])
