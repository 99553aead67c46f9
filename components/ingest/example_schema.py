"""The schema of an example: what follows from the declaration, joined with what the user says of columns.

One home for what ingestion's examples hold. A user's ``.pbtxt`` says which values of the own columns are
right; ids, moment, rating and all that ingestion derives follow from ``domain.yaml`` and are added here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.declaration import (
    ACTION,
    EVENT_ORDER,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    REPEAT,
    WEIGHT,
    Declaration,
)
from components.ingest.files.columns import Column, ColumnType
from components.ingest.plan import CandidatePlan, InteractionPlan

_BYTES, _FLOAT, _INT = schema_pb2.BYTES, schema_pb2.FLOAT, schema_pb2.INT
_TYPES: dict[ColumnType, int] = {
    "id": _BYTES,
    "string": _BYTES,
    "strings": _BYTES,
    "number": _FLOAT,
    "moment": _INT,
    "numbers": _FLOAT,
}


@dataclass(frozen=True)
class ExampleFeature:
    """A feature of an example, and who says what is right of it.

    Attributes:
        schema: What the declaration says of it: name, type, and how many values at least.
        origin: ``derived``: ingestion makes it, so that the declaration says all. ``key``: a column whose
            meaning the declaration names (ids, moment, rating, position, propensity); the user's schema may
            say more. ``column``: a declared feature; only the user's schema knows which values are right.
    """

    schema: schema_pb2.Feature
    origin: Literal["derived", "key", "column"]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.schema.name)


def interaction_features(declaration: Declaration) -> list[ExampleFeature]:
    """Return the features of an interaction example."""
    plan = InteractionPlan.of(declaration)
    return [
        *(ExampleFeature(schema, "key") for schema in _keys(plan)),
        *(ExampleFeature(schema, "derived") for schema in _derived(plan)),
        *map(_of_column, (*plan.context, *plan.attributes)),
    ]


def candidate_features(declaration: Declaration) -> list[ExampleFeature]:
    """Return the features of a candidate example."""
    key, *others = CandidatePlan.of(declaration).columns
    return [ExampleFeature(_single(key.name, _BYTES), "key"), *map(_of_column, others)]


def feature_types(features: Iterable[ExampleFeature]) -> dict[str, int]:
    """Return the type (TFMD's) of each feature."""
    return {feature.name: feature.schema.type for feature in features}


def complete_schema(given: schema_pb2.Schema, features: Sequence[ExampleFeature]) -> schema_pb2.Schema:
    """Join a user's schema with what follows from the declaration.

    Args:
        given: The user's.
        features: Of :func:`interaction_features` or :func:`candidate_features`.

    Returns:
        The user's schema, with derived features as the declaration has them whatever the user says; with
        the keys the user does not mention; and with the structure that Transform needs: a key is there in
        every example and has one value, a column is there or not and has any number of values (a fixed
        shape becomes that number of values).
    """
    schema = schema_pb2.Schema()
    schema.CopyFrom(given)
    ours = {feature.name: feature for feature in features}
    said = {feature.name: feature for feature in given.feature}
    del schema.feature[:]
    for name, feature in said.items():
        match ours[name].origin if name in ours else "column":
            case "derived":
                continue
            case "key":
                schema.feature.append(_with_structure(feature, ours[name].schema))
            case _:
                schema.feature.append(_without_shape(feature))
    schema.feature.extend(
        feature.schema
        for feature in features
        if feature.origin == "derived" or (feature.origin == "key" and feature.name not in said)
    )
    return schema


def _keys(plan: InteractionPlan) -> list[schema_pb2.Feature]:
    """The columns whose meaning the declaration names."""
    moment, rating = plan.timestamp_column, plan.interactions.rating
    keys = [_single(plan.query_column.name, _BYTES), _single(plan.candidate_column.name, _BYTES)]
    if moment is not None and plan.interactions.timestamp.has_time:
        # The day called latest is the first that is too late.
        last = None if moment.latest is None else moment.latest - 1
        bounds = schema_pb2.IntDomain(min=moment.earliest, max=last)
        keys.append(_single(moment.name, _INT, int_domain=bounds))
    if rating:
        bounds = schema_pb2.FloatDomain(min=rating.minimum, max=rating.maximum)
        keys.append(_single(rating.column, _FLOAT, float_domain=bounds))
    if plan.position_column:
        bounds = schema_pb2.IntDomain(min=1)
        keys.append(_optional(plan.position_column.name, _INT, int_domain=bounds))
    if plan.propensity_column:
        bounds = schema_pb2.FloatDomain(min=0, max=1)
        keys.append(_optional(plan.propensity_column.name, _FLOAT, float_domain=bounds))
    return keys


def _derived(plan: InteractionPlan) -> list[schema_pb2.Feature]:
    """What ingestion adds to an interaction example."""
    log, several = plan.interactions, schema_pb2.ValueCount(min=0, max=plan.history.length)
    # Strictly earlier, in whole seconds: an age of 0 would be the interaction itself.
    earlier, share = schema_pb2.FloatDomain(min=1), schema_pb2.FloatDomain(min=0, max=1)
    features = [
        schema_pb2.Feature(name=HISTORY, type=_BYTES, value_count=several),
        schema_pb2.Feature(name=HISTORY_AGE, type=_FLOAT, value_count=several, float_domain=earlier),
    ]
    if not log.timestamp.has_time:
        features.append(_single(EVENT_ORDER, _INT, int_domain=schema_pb2.IntDomain(min=0)))
    if plan.history_actions:
        words = schema_pb2.StringDomain(value=plan.history_actions)
        features.append(
            schema_pb2.Feature(name=HISTORY_ACTION, type=_BYTES, value_count=several, string_domain=words)
        )
    if log.actions:
        words = schema_pb2.StringDomain(value=plan.action_names)
        features.append(_single(ACTION, _BYTES, string_domain=words))
    positive = share if log.has_negatives else schema_pb2.FloatDomain(min=1, max=1)
    return [
        *features,
        _single(POSITIVE, _FLOAT, float_domain=positive),
        _single(WEIGHT, _FLOAT, float_domain=schema_pb2.FloatDomain(min=0)),
        _single(REPEAT, _FLOAT, float_domain=share),
    ]


def _single(name: str, kind: int, **domain: Any) -> schema_pb2.Feature:
    """A feature that every example has one value of."""
    presence = schema_pb2.FeaturePresence(min_fraction=1.0, min_count=1)
    shape = schema_pb2.FixedShape(dim=[schema_pb2.FixedShape.Dim(size=1)])
    return schema_pb2.Feature(name=name, type=kind, presence=presence, shape=shape, **domain)


def _optional(name: str, kind: int, **domain: Any) -> schema_pb2.Feature:
    """A feature that an example has one value of, or none."""
    return schema_pb2.Feature(name=name, type=kind, value_count=schema_pb2.ValueCount(min=0, max=1), **domain)


def _of_column(column: Column) -> ExampleFeature:
    return ExampleFeature(schema_pb2.Feature(name=column.name, type=_TYPES[column.type]), "column")


def _with_structure(feature: schema_pb2.Feature, wanted: schema_pb2.Feature) -> schema_pb2.Feature:
    """What the user says of a key's values, in the structure that follows from the declaration."""
    joined = schema_pb2.Feature()
    joined.CopyFrom(wanted)
    joined.MergeFrom(_without_shape(feature))
    joined.type = wanted.type
    if wanted.HasField("shape"):
        joined.presence.CopyFrom(wanted.presence)
        joined.shape.CopyFrom(wanted.shape)
    return joined


def _without_shape(feature: schema_pb2.Feature) -> schema_pb2.Feature:
    """A copy with as many values as its shape has places: Transform takes shapes of what is always there."""
    joined = schema_pb2.Feature()
    joined.CopyFrom(feature)
    if feature.HasField("shape"):
        count = math.prod(dimension.size for dimension in feature.shape.dim)
        joined.value_count.CopyFrom(schema_pb2.ValueCount(min=count, max=count))
    return joined
