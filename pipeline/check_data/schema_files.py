"""Whether the two schemas beside a domain file speak of the features it declares."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from components.ingest.declaration import (
    ACTION,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    REPEAT,
    WEIGHT,
    Declaration,
)
from components.ingest.plan import CandidatePlan, InteractionPlan
from pipeline.check_data.report import Finding

INTERACTION_SCHEMA, CANDIDATE_SCHEMA = "interactions.pbtxt", "candidates.pbtxt"

_BYTES, _FLOAT, _INT = schema_pb2.BYTES, schema_pb2.FLOAT, schema_pb2.INT
_TYPES = {"string": _BYTES, "strings": _BYTES, "number": _FLOAT, "moment": _INT, "numbers": _FLOAT}
_IGNORED_STAGES = (schema_pb2.PLANNED, schema_pb2.ALPHA, schema_pb2.DEBUG_ONLY, schema_pb2.DEPRECATED)


def example_types(declaration: Declaration) -> dict[str, int]:
    """Features of an interaction example, and the type (TFMD's) of each."""
    log, plan = declaration.interactions, InteractionPlan.of(declaration)
    types = {log.query_id: _BYTES, log.candidate_id: _BYTES, log.timestamp.column: _INT}
    types |= {log.rating.column: _FLOAT} if log.rating else {}
    types |= {ACTION: _BYTES} if log.actions else {}
    types |= {log.position: _INT} if log.position else {}
    types |= {log.propensity: _FLOAT} if log.propensity else {}
    types |= {HISTORY_ACTION: _BYTES} if declaration.history_actions else {}
    types |= {HISTORY: _BYTES, HISTORY_AGE: _FLOAT, POSITIVE: _FLOAT, WEIGHT: _FLOAT, REPEAT: _FLOAT}
    return types | {column.name: _TYPES[column.type] for column in (*plan.context, *plan.attributes)}


def candidate_types(declaration: Declaration) -> dict[str, int]:
    """Features of a candidate example, and the type (TFMD's) of each."""
    return {column.name: _TYPES[column.type] for column in CandidatePlan.of(declaration).columns}


def read_schema(path: Path, types: dict[str, int]) -> tuple[schema_pb2.Schema | None, list[Finding]]:
    """Reads a schema and holds it against the features it should have.

    Args:
        path: The ``.pbtxt``.
        types: Feature to type, as the examples will have it.

    Returns:
        The schema, None where it cannot be read; and what is wrong with it.
    """
    try:
        schema = text_format.Parse(path.read_text(encoding="utf-8"), schema_pb2.Schema())
    except FileNotFoundError:
        there = ", ".join(sorted(file.name for file in path.parent.glob("*.pbtxt"))) or "none"
        return None, [
            _error(
                path,
                f"found no such file in {path.parent} (schemas there: {there}). Expected a "
                "TFMD schema. Write it, or have `westwork init` propose one.",
            )
        ]
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        return None, [_error(path, f"cannot be read as a TFMD schema: {error}. Mend it.")]
    findings = []
    declared = {feature.name: feature for feature in schema.feature}
    for name, wanted in types.items():
        feature = declared.get(name)
        if feature is None:
            findings.append(
                _error(
                    path,
                    f"lacks feature {name!r}. Expected one of type {_name(wanted)}: add "
                    f'feature {{ name: "{name}" type: {_name(wanted)} }}',
                )
            )
        elif feature.type != wanted:
            findings.append(
                _error(
                    path,
                    f"feature {name!r} has type {_name(feature.type)}; its examples hold "
                    f"{_name(wanted)}. Mend the type.",
                )
            )
    for name, feature in declared.items():
        if name in types or feature.lifecycle_stage in _IGNORED_STAGES:
            continue
        required = feature.presence.min_fraction > 0 or feature.presence.min_count > 0
        findings.append(
            Finding(
                level="error" if required else "warning",
                about=path.name,
                message=f"feature {name!r} is not declared in domain.yaml"
                + (", but must be present. " if required else ". ")
                + f"There are: {', '.join(types)}. Remove it, or mend its spelling.",
            )
        )
    return schema, findings


def told(schema: schema_pb2.Schema, types: dict[str, int]) -> frozenset[str]:
    """Features that :func:`read_schema` finds fault with; their values' anomalies say nothing new."""
    declared = {feature.name: feature.type for feature in schema.feature}
    return frozenset(name for name in {*declared, *types} if declared.get(name) != types.get(name))


def _error(path: Path, message: str) -> Finding:
    return Finding(level="error", about=path.name, message=message)


def _name(kind: int) -> str:
    return str(schema_pb2.FeatureType.Name(kind))
