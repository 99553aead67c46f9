"""How the report writes numbers, moments and lengths of time."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from components.ingest.event_order import Order, shown_place

NOTHING = "–"
"""Stands where there is no number."""


def score(value: float | None) -> str:
    """A metric, to four decimals."""
    return NOTHING if value is None or math.isnan(value) else f"{value:.4f}"


def count(value: float) -> str:
    """A whole number with separated thousands."""
    return f"{value:,.0f}"


def share(value: float) -> str:
    """A share of 1, as a percentage; a small one is not rounded to none."""
    if math.isnan(value):
        return NOTHING
    if 0 < value < 0.001:
        return "< 0.1%"
    return f"{value:.1%}" if value % 1 else f"{value:.0%}"


def times(ratio: float) -> str:
    """How many times as much; near 1 more exactly, so that more never reads as less or as the same."""
    return f"{ratio:.2f}×" if 0.9 < ratio < 1.1 else f"{ratio:.1f}×"


def quantity(value: float) -> str:
    """Any number, in about four digits."""
    if math.isnan(value):
        return NOTHING
    if abs(value) < 10_000 and value == int(value):
        # No separator: it may be a year.
        return f"{value:.0f}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"


def size(value: int) -> str:
    """A number of bytes."""
    number, units = float(value), ["B", "KB", "MB", "GB", "TB"]
    while number >= 1000 and len(units) > 1:
        number /= 1000
        units.pop(0)
    return f"{number:.0f} {units[0]}" if units[0] == "B" else f"{number:.1f} {units[0]}"


def moment(seconds: float) -> str:
    """Seconds since 1970 UTC as date and time, to the minute."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def place(moment_or_place: int, order: Order) -> str:
    """Where a split begins or ends: a moment, or a place in the order that data without time have."""
    return moment(moment_or_place) if order == "time" else shown_place(order, moment_or_place)


def duration(seconds: float | None) -> str:
    """A length of time."""
    if seconds is None:
        return NOTHING
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
