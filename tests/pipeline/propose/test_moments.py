"""Which columns are times, and how they are read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.pipeline.propose.shop import (
    START,
    events,
    items,
    proposed,
    unbroken,
    write_csv,
    write_parquet,
)


@pytest.mark.parametrize(
    ("unit", "per_second"), [("s", 1), ("ms", 1_000), ("us", 1_000_000), ("ns", 1_000_000_000)]
)
def test_the_unit_of_a_timestamp_is_told_by_what_gives_plausible_times(tmp_path, unit, per_second):
    rows = [{**row, "ts": row["ts"] * per_second} for row in events()]
    log = write_parquet(tmp_path / "log.parquet", rows)
    domain = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items()))
    assert domain.interactions.timestamp.unit == unit


@pytest.mark.parametrize(
    ("form", "parts", "says_local"),
    [
        ("%Y-%m-%dT%H:%M:%S%z", ("hour_of_day", "day_of_week"), False),
        ("%Y-%m-%d %H:%M:%S", ("hour_of_day", "day_of_week"), True),
        ("%Y-%m-%d", ("day_of_week",), False),
    ],
)
def test_times_in_text_are_read_and_a_missing_offset_is_told(tmp_path, form, parts, says_local):
    rows = [
        {**row, "ts": (datetime.fromtimestamp(START, UTC) + timedelta(hours=number)).strftime(form)}
        for number, row in enumerate(events())
    ]
    log = write_csv(tmp_path / "log.csv", rows)
    domain = proposed(tmp_path, log, write_csv(tmp_path / "items.csv", items()))
    assert domain.interactions.context["ts"].parts == parts
    text = unbroken((tmp_path / "domain" / "domain.yaml").read_text())
    assert ("the times say no offset" in text) == says_local
