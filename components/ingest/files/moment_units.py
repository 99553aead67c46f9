"""Whether numbers that are impossible moments would be possible ones in another unit."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from components.ingest.files.moments import EXCEL_1970, PER_SECOND, SECONDS_PER_DAY, TimeUnit

UNIT_QUESTION = "is the unit"
"""How a hint at a mistaken unit begins, whichever unit is meant."""

_LATEST_YEAR = 2100
_EARLIEST_YEAR = 1990
_TICKS_PER_SECOND, _TICKS_EPOCH_SECONDS = 10_000_000, 62_135_596_800
""".NET's ticks, and the seconds from the year 1 to 1970."""
_DAY_NUMBERS = (19_000_000, 22_000_000)


def unit_hints(numbers: np.ndarray, unit: TimeUnit) -> np.ndarray:
    """What numbers would mean in another unit.

    Args:
        numbers: [n] doubles as they are in the file, NaN where a cell is no number.
        unit: What they were read in.

    Returns:
        [n] objects: text to add to the reason why a cell is no moment; empty where no other unit makes it
        one either. A year is told, not a day, so that equal faults have equal reasons.
    """
    hints = np.full(len(numbers), "", object)
    known = np.isfinite(numbers)
    hints[known] = f": {UNIT_QUESTION} {unit!r} right?"
    for meaning, seconds in _meanings(numbers, unit):
        years = _years(seconds)
        for year in np.unique(years[years > 0]).tolist():
            hints[(years == year) & known] = (
                f": {UNIT_QUESTION} {unit!r} right? As {meaning} it would be a moment of {year}"
            )
            # The first meaning that fits is the likeliest.
        known &= years == 0
    return hints


def _meanings(numbers: np.ndarray, unit: TimeUnit) -> list[tuple[str, np.ndarray]]:
    """Other readings in words, and the [n] seconds since 1970 they give; NaN where none."""
    ticks = numbers / _TICKS_PER_SECOND - _TICKS_EPOCH_SECONDS
    found = [(".NET's ticks (100 ns since the year 1; convert them)", ticks)]
    found += [(other, numbers / per) for other, per in PER_SECOND.items() if other != unit]
    low, high = _DAY_NUMBERS
    days = np.where((numbers >= low) & (numbers < high), numbers, np.nan)
    found.append(("a day written YYYYMMDD (format: '%Y%m%d')", _written_days(days)))
    if unit != "excel_days":
        excel = (numbers - EXCEL_1970) * SECONDS_PER_DAY
        found.append(("a spreadsheet's day number (unit: excel_days)", excel))
    found.append(("days since 1970 (convert them)", numbers * SECONDS_PER_DAY))
    return found


def _written_days(numbers: np.ndarray) -> np.ndarray:
    """[n] seconds of the first of the month of days such as 20200913."""
    months = numbers // 100
    year, month, day = months // 100, months % 100, numbers % 100
    real = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    since_1970 = (year - 1970) * 365.2425 + (month - 1) * 30.44 + day
    return np.where(real, since_1970 * SECONDS_PER_DAY, np.nan)


def _years(seconds: np.ndarray) -> np.ndarray:
    """[n] int years; 0 where a moment is before 1990 or in or after 2100."""
    low, high = (datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (_EARLIEST_YEAR, _LATEST_YEAR))
    likely = (seconds >= low) & (seconds < high)
    whole = np.where(likely, seconds, 0).astype(np.int64).astype("datetime64[s]")
    years = whole.astype("datetime64[Y]").astype(np.int64) + 1970
    return np.where(likely, years, 0)
