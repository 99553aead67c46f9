"""Whether the two schemas beside a domain file speak of the features it declares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.errors import UserError
from components.ingest.example_schema import ExampleFeature, complete_schema, feature_types
from pipeline.check_data.report import Finding
from pipeline.schema_files import read_schema

_IGNORED_STAGES = (schema_pb2.PLANNED, schema_pb2.ALPHA, schema_pb2.DEBUG_ONLY, schema_pb2.DEPRECATED)


def check_schema(
    path: Path, features: Sequence[ExampleFeature]
) -> tuple[schema_pb2.Schema | None, list[Finding]]:
    """Read a schema and hold it against the features its examples have.

    Args:
        path: The ``.pbtxt``.
        features: Those of the examples.

    Returns:
        The schema as a run would have it, completed by what follows from the declaration, None where the file
        cannot be read; and what is wrong with the file.
    """
    try:
        given = read_schema(path)
    except UserError as error:
        return None, [Finding(level="error", about=path.name, message=str(error))]
    types, said = feature_types(features), {feature.name: feature for feature in given.feature}
    findings = _about_derived(path, [f.name for f in features if f.origin == "derived" and f.name in said])
    for feature in features:
        finding = _about_feature(path, feature, said.get(feature.name))
        findings += [finding] if finding else []
    for name, unknown in said.items():
        if name in types or unknown.lifecycle_stage in _IGNORED_STAGES:
            continue
        required = unknown.presence.min_fraction > 0 or unknown.presence.min_count > 0
        findings.append(
            Finding(
                level="error" if required else "warning",
                about=path.name,
                message=f"feature {name!r} is not declared in domain.yaml"
                + (", but must be present. " if required else ". ")
                + f"There are: {', '.join(types)}. Remove it, or correct its spelling.",
            )
        )
    return complete_schema(given, features), findings


def told(schema: schema_pb2.Schema, features: Sequence[ExampleFeature]) -> frozenset[str]:
    """Return the features that :func:`check_schema` finds fault with; their anomalies say nothing new.

    Args:
        schema: As :func:`check_schema` returns it.
        features: Those of the examples.
    """
    declared, types = {feature.name: feature.type for feature in schema.feature}, feature_types(features)
    return frozenset(name for name in {*declared, *types} if declared.get(name) != types.get(name))


def _about_derived(path: Path, names: Sequence[str]) -> list[Finding]:
    """What to say of features that ingestion derives and a schema describes all the same."""
    if not names:
        return []
    return [
        Finding(
            level="warning",
            about=path.name,
            message=f"describes {', '.join(map(repr, names))}, which follow from domain.yaml: a run takes "
            "them from there, whatever the schema says. Remove them from the schema.",
        )
    ]


def _about_feature(path: Path, feature: ExampleFeature, said: schema_pb2.Feature | None) -> Finding | None:
    """What is wrong with what a schema says, or does not say, of a feature that the examples have."""
    wanted = _name(feature.schema.type)
    if feature.origin == "derived":
        return None
    if said is None:
        if feature.origin == "key":
            return None
        return Finding(
            level="error",
            about=path.name,
            message=f"lacks feature {feature.name!r}. Expected one of type {wanted}: add "
            f'feature {{ name: "{feature.name}" type: {wanted} }}',
        )
    if said.type != feature.schema.type:
        return Finding(
            level="error",
            about=path.name,
            message=f"feature {feature.name!r} has type {_name(said.type)}; its examples hold {wanted}. "
            f"Set type: {wanted}.",
        )
    return None


def _name(kind: int) -> str:
    return str(schema_pb2.FeatureType.Name(kind))
