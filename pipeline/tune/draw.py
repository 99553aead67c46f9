"""The points of a search, in the order in which they are tried.

A seeded quasi-random search of our own instead of KerasTuner's, which is installed with TFX: its oracles take
the next point from the results so far and from a state file of their own, so that an interrupted search is
not the same again; it would load Keras 3 beside the Keras of TFRS; and its Hyperband trains promoted trials
again, where ours are stopped or left alone. What remains is the few lines below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from scipy.stats import qmc

from components.ingest.errors import UserError
from pipeline.tune.config import Interval, is_whole, setting

Settings = dict[str, Any]
"""Dotted key to value, as plain data."""

_REFUSALS: Final = 1000
"""So many draws in a row that are refused or were there before: the ranges have nothing more."""


def points(
    ranges: Mapping[str, Interval | tuple[Any, ...]],
    first: Settings,
    seed: int,
    check: Callable[[Settings], object],
) -> Iterator[Settings]:
    """All points of a search: ``first``, then such as a scrambled Halton sequence gives, none of them twice.

    Halton's sequence covers each range evenly from the first few points on, as independent draws do not.

    Args:
        ranges: Values of each setting.
        first: A point for comparison, in the ranges or not.
        seed: Of the scrambling. The points follow from ranges and seed, however many are taken.
        check: Raises ValueError for a point whose settings do not fit each other: it is left out.

    Raises:
        UserError: If no point of the ranges passes the check.
    """
    yield first
    sequence = qmc.Halton(d=len(ranges), scramble=True, rng=seed)
    seen = {_identity(first)}
    refused, why, is_any = 0, "", False
    while refused < _REFUSALS:
        settings = {
            key: _value(key, values, float(place))
            for (key, values), place in zip(ranges.items(), sequence.random()[0], strict=True)
        }
        refused += 1
        if _identity(settings) in seen:
            continue
        seen.add(_identity(settings))
        try:
            check(settings)
        except ValueError as error:
            why = str(error)
            continue
        refused, is_any = 0, True
        yield settings
    if why and not is_any:
        raise UserError(f"tune.ranges: none of the combinations can be trained; of the last one: {why}")


def _value(key: str, values: Interval | tuple[Any, ...], place: float) -> Any:
    """The value at a place between 0 and 1 of a setting's range; numbers of three digits."""
    if not isinstance(values, Interval):
        value = values[int(place * len(values))]
        return list(value) if isinstance(value, tuple) else value
    whole = is_whole(setting(key))
    low, high = values.low, values.high
    if whole:
        # Each number has as wide a part of the range as any other.
        low, high = low - 0.5, high + 0.5
    if values.log:
        drawn = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
    else:
        drawn = low + place * (high - low)
    drawn = round(drawn) if whole else float(f"{drawn:.3g}")
    bounds = (round(values.low), round(values.high)) if whole else (values.low, values.high)
    return min(max(drawn, bounds[0]), bounds[1])


def _identity(settings: Settings) -> str:
    return repr(sorted(settings.items()))
