"""The language of conditions: what it takes, what it refuses, and its way through JSON."""

from __future__ import annotations

import json
from datetime import date, datetime

import pytest
import yaml
from pydantic import TypeAdapter, ValidationError

from components.ingest.conditions import (
    AnyOf,
    DeclaredCondition,
    Equal,
    InRange,
    Like,
    Not,
    Present,
    parse_condition,
)

_DAY = 86_400
_2024 = 1_704_067_200
DECLARED = TypeAdapter(DeclaredCondition)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("buy", Equal(("buy",))),
        ("5", Equal((5.0,))),
        ('"5"', Equal(("5",))),
        ("no", Equal((False,))),
        ("1..", InRange("number", 1, None)),
        ("..-0.5", InRange("number", None, -0.5)),
        ("1..9", InRange("number", 1, 9)),
        ("1e3 .. 1e4", InRange("number", 1000, 10_000)),
        ("2024-01-01", InRange("moment", _2024, _2024 + _DAY - 1)),
        ("2024-01-01..2024-01-02", InRange("moment", _2024, _2024 + 2 * _DAY - 1)),
        ("..2024-01-01T06:00:00", InRange("moment", None, _2024 + _DAY // 4)),
        ("2024-01-01T01:00:00+01:00..", InRange("moment", _2024, None)),
        ("C*", Like("C*")),
        ("present", Present()),
        ("missing", Not(Present())),
        ("{not: missing}", Not(Not(Present()))),
        ("[view, 3, 'a?']", AnyOf((Equal(("view",)), Equal((3.0,)), Like("a?")))),
        ("{is: [missing, '*', 1..2]}", Equal(("missing", "*", "1..2"))),
    ],
)
def test_a_condition_is_read_as_yaml_writes_it_and_survives_json(text, condition):
    value = yaml.safe_load(text)
    assert parse_condition(value) == condition
    through_json = json.loads(json.dumps(DECLARED.dump_python(DECLARED.validate_python(value), mode="json")))
    assert parse_condition(DECLARED.validate_python(through_json)) == condition


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "found nothing.*say missing"),
        ("", "empty text.*say missing"),
        ([], "an empty list"),
        ({}, "expected a value, a list"),
        ({"not": 1, "is": 2}, "expected a value, a list"),
        ({"over": 3}, "expected a value, a list"),
        ({"is": None}, "found nothing"),
        ("..", "expected a range of two numbers or two ISO dates"),
        ("1..x", "expected a range of two numbers"),
        ("1..2024-01-01", "expected a range of two numbers"),
        ("2024-02-30..", "expected a range of two numbers"),
        ("9..1", "first end not above its last"),
        ("2024-05-02..2024-05-01", "first end not above its last"),
        (float("nan"), "expected a finite number"),
        ({"not": ["a", None]}, "found nothing"),
    ],
)
def test_what_is_no_condition_is_refused_with_what_is_one(value, message):
    with pytest.raises(ValidationError, match=message):
        DECLARED.validate_python(value)


def test_a_moment_as_yaml_reads_it_is_that_moment():
    at_noon = datetime(2024, 1, 1, 12)
    assert parse_condition(at_noon) == InRange("moment", _2024 + _DAY // 2, _2024 + _DAY // 2)
    assert parse_condition(DECLARED.validate_python(date(2024, 1, 1))) == parse_condition(
        "2024-01-01..2024-01-01"
    )
