"""The language of conditions on cells, as a domain file writes it.

Such as ``Quantity: 1..`` or ``Invoice: {not: "C*"}``, each a column and a condition. A condition is read
into one of a few plain objects; nothing in it is ever run as code.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_FORMS = (
    "a value, a list of conditions of which one is to hold, a range such as 1.. or 2024-01-01..2024-06-30, "
    "text with * or ?, present, missing, {not: condition} or {is: value}"
)
TRUE_WORDS, FALSE_WORDS = ("true", "yes", "on"), ("false", "no", "off")
"""What YAML reads as a truth value, in lower case."""

Scalar = str | float | bool
"""A value to compare cells with: text exactly, numbers as numbers, a truth value with the words for it."""


@dataclass(frozen=True)
class Equal:
    """The cell is one of some values."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class InRange:
    """The cell lies between two ends, both included; an end that is None is open."""

    of: Literal["number", "moment"]
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class Like:
    """The whole cell fits a pattern of ``*`` (any text) and ``?`` (any one character)."""

    pattern: str


@dataclass(frozen=True)
class Present:
    """The cell holds something."""


@dataclass(frozen=True)
class AnyOf:
    """At least one of several conditions holds."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """A condition does not hold; of a missing cell, most do not."""

    condition: Condition


Condition = Equal | InRange | Like | Present | AnyOf | Not


def parse_condition(value: Any) -> Condition:
    """Reads a condition as YAML gives it.

    Raises:
        ValueError: If it is none.
    """
    if isinstance(value, dict):
        return _of_mapping(value)
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError(f"found an empty list, expected {_FORMS}")
        return AnyOf(tuple(parse_condition(item) for item in value))
    if isinstance(value, date):
        return _range(value.isoformat(), value.isoformat())
    if isinstance(value, str):
        return _of_text(value)
    return Equal((scalar(value),))


def scalar(value: Any) -> Scalar:
    """One value to compare cells with.

    Raises:
        ValueError: If it is nothing, a list, a mapping, or a number that is not finite.
    """
    if value is None:
        raise ValueError(
            "found nothing, expected a value: put null in quotes where cells hold that word; for an empty "
            "cell say missing"
        )
    if isinstance(value, bool | str):
        if value == "":
            raise ValueError("found an empty text, expected a value: for an empty cell say missing")
        return value
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(f"found {value}, expected a finite number, or text in quotes")
        return float(value)
    if isinstance(value, date):
        return value.isoformat()
    raise ValueError(f"found {type(value).__name__}, expected one value")


def _of_mapping(value: dict[Any, Any]) -> Condition:
    if set(value) == {"not"}:
        return Not(parse_condition(value["not"]))
    if set(value) == {"is"}:
        items = value["is"] if isinstance(value["is"], list | tuple) else [value["is"]]
        return Equal(tuple(scalar(item) for item in items))
    raise ValueError(f"found {value!r}, expected {_FORMS}")


def _of_text(text: str) -> Condition:
    if text == "present":
        return Present()
    if text == "missing":
        return Not(Present())
    if ".." in text:
        lower, _, upper = text.partition("..")
        return _range(lower.strip(), upper.strip())
    if "*" in text or "?" in text:
        return Like(text)
    return Equal((scalar(text),))


def _range(lower: str, upper: str) -> InRange:
    shown = f"{lower}..{upper}"
    ends = [text for text in (lower, upper) if text]
    if ends and all(_NUMBER.fullmatch(text) for text in ends):
        first, last = (float(text) if text else None for text in (lower, upper))
        found = InRange("number", first, last)
    else:
        moments = [_moment(text) for text in ends]
        if not ends or None in moments:
            raise ValueError(
                f"found {shown!r}, expected a range of two numbers or two ISO dates, of which one may be "
                f"left out; where cells hold this very text, say {{is: {shown!r}}}"
            )
        found = InRange(
            "moment", _first_second(lower) if lower else None, _last_second(upper) if upper else None
        )
    if found.lower is not None and found.upper is not None and found.lower > found.upper:
        raise ValueError(f"found the range {shown!r}, expected its first end not above its last")
    return found


def _moment(text: str) -> datetime | None:
    """A moment, that of a date its first; UTC unless it says otherwise."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _first_second(text: str) -> float:
    moment = _moment(text)
    assert moment is not None
    return float(math.floor(moment.timestamp()))


def _last_second(text: str) -> float:
    """The last second of a date; of a moment, its own."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return _first_second(text)
    return datetime.combine(day + timedelta(days=1), time(), UTC).timestamp() - 1


def _checked(value: Any) -> Any:
    """A condition in a form that survives JSON; refuses what is none."""
    parse_condition(value)
    return _plain(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain_scalars(item) if key == "is" else _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    # A date in JSON is text, which would be compared as such.
    return f"{value.isoformat()}..{value.isoformat()}" if isinstance(value, date) else value


def _plain_scalars(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain_scalars(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _checked_scalar(value: Any) -> Any:
    scalar(value)
    return _plain_scalars(value)


DeclaredCondition = Annotated[Any, BeforeValidator(_checked)]
"""A condition as written in a domain file; :func:`parse_condition` reads it."""
DeclaredScalar = Annotated[Any, BeforeValidator(_checked_scalar)]
"""A value as written in a domain file; :func:`scalar` reads it."""
