"""What follows from the declaration, joined with what the user says of columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.declaration import Declaration
from components.ingest.example_schema import candidate_features, complete_schema, interaction_features

Declare = Callable[..., Declaration]
ACTIONS = {"column": "what", "weights": {"skip": 0, "play": 1, "buy": 5}}


def completed(declaration: Declaration, text: str = "") -> dict[str, schema_pb2.Feature]:
    """The features of a completed interaction schema."""
    given = text_format.Parse(text, schema_pb2.Schema())
    whole = complete_schema(given, interaction_features(declaration))
    assert len({feature.name for feature in whole.feature}) == len(whole.feature)
    return {feature.name: feature for feature in whole.feature}


def parsed(text: str) -> schema_pb2.Feature:
    return text_format.Parse(text, schema_pb2.Feature())


@pytest.mark.parametrize(
    ("changes", "feature", "expected"),
    [
        ({"history": {"length": 7}}, "history", "type: BYTES value_count { min: 0 max: 7 }"),
        ({"history": {"length": 9}}, "history_age",
         "type: FLOAT value_count { min: 0 max: 9 } float_domain { min: 1 }"),
        ({"interactions": {"rating": None, "actions": ACTIONS}}, "action",
         'type: BYTES string_domain { value: "skip" value: "play" value: "buy" } ONE'),
        ({"interactions": {"rating": None, "actions": ACTIONS}}, "history_action",
         'type: BYTES value_count { min: 0 max: 3 } string_domain { value: "play" value: "buy" }'),
        ({"interactions": {"rating": None, "actions": ACTIONS}, "history": {"actions": ["skip", "buy"]}},
         "history_action", 'type: BYTES value_count { min: 0 max: 3 } '
         'string_domain { value: "skip" value: "buy" }'),
        ({"interactions": {"rating": None}}, "positive", "type: FLOAT float_domain { min: 1 max: 1 } ONE"),
        ({}, "positive", "type: FLOAT float_domain { min: 0 max: 1 } ONE"),
        ({}, "stars", "type: FLOAT float_domain { min: 0.5 max: 5 } ONE"),
        ({"interactions": {"rating": {"column": "stars", "minimum": 1, "maximum": 10, "positive_from": 7}}},
         "stars", "type: FLOAT float_domain { min: 1 max: 10 } ONE"),
        ({"interactions": {"timestamp": {"column": "rated_at", "earliest": "1970-01-02",
                                         "latest": "1970-01-03"}}},
         "rated_at", "type: INT int_domain { min: 86400 max: 172799 } ONE"),
        ({"interactions": {"position": "place"}}, "place",
         "type: INT int_domain { min: 1 } value_count { min: 0 max: 1 }"),
        ({"interactions": {"propensity": "chance"}}, "chance",
         "type: FLOAT float_domain { min: 0 max: 1 } value_count { min: 0 max: 1 }"),
        ({}, "reader", "type: BYTES ONE"),
    ],
)  # fmt: skip
def test_what_the_domain_says_needs_no_word_in_the_schema(
    declare: Declare, changes: dict[str, Any], feature: str, expected: str
) -> None:
    one = "presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } }"
    wanted = parsed(f'name: "{feature}" {expected.replace("ONE", one)}')
    assert completed(declare(**changes))[feature] == wanted


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        # Derived: as the domain has it, whatever the schema says.
        ('feature { name: "history" type: BYTES value_count { min: 0 max: 999 } }', None),
        ('feature { name: "weight" type: INT int_domain { max: 0 } }', None),
        ('feature { name: "repeat" type: BYTES }', None),
        # Keys: the user may say which values are right, and cannot break their structure.
        ('feature { name: "reader" type: BYTES domain: "people" }', 'domain: "people"'),
        ('feature { name: "isbn" type: BYTES value_count { min: 0 max: 5 } }', ""),
        ('feature { name: "stars" type: FLOAT float_domain { min: 2 } }', "float_domain { min: 2 max: 5 }"),
        ('feature { name: "rated_at" type: INT presence { min_fraction: 0.1 } shape {} }',
         "int_domain { min: 0 max: 4102444799 }"),
    ],
)  # fmt: skip
def test_the_user_may_narrow_a_key_and_cannot_contradict_what_follows(
    declare: Declare, said: str, expected: str | None
) -> None:
    (name,) = (feature.name for feature in text_format.Parse(said, schema_pb2.Schema()).feature)
    without = completed(declare())
    wanted = schema_pb2.Feature()
    wanted.CopyFrom(without[name])
    if expected is not None:
        wanted.MergeFrom(text_format.Parse(expected, schema_pb2.Feature()))
    assert completed(declare(), said) == without | {name: wanted}


@pytest.mark.parametrize("shape", ["shape {}", "shape { dim { size: 1 } }", "shape { dim { size: 4 } }"])
def test_a_columns_fixed_shape_becomes_as_many_values_since_it_may_be_missing(
    declare: Declare, shape: str
) -> None:
    count = 4 if "4" in shape else 1
    given = text_format.Parse(f'feature {{ name: "pages" type: FLOAT {shape} }}', schema_pb2.Schema())
    (pages, isbn) = complete_schema(given, candidate_features(declare())).feature
    assert pages == parsed(f'name: "pages" type: FLOAT value_count {{ min: {count} max: {count} }}')
    assert (isbn.name, isbn.shape.dim[0].size) == ("isbn", 1)


def test_columns_that_only_the_user_knows_are_not_invented(declare: Declare) -> None:
    assert not {"town", "postcode", "joined", "born"} & completed(declare()).keys()
    assert [f.name for f in complete_schema(schema_pb2.Schema(), candidate_features(declare())).feature] == [
        "isbn"
    ]
