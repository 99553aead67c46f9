"""How a plan travels to its step: as JSON inside an ExampleGen's custom config."""

from __future__ import annotations

from typing import TypeVar

from google.protobuf import wrappers_pb2
from tfx.utils import proto_utils
from tfx.v1 import proto

from components.ingest.strict import Strict

AnyPlan = TypeVar("AnyPlan", bound=Strict)


def pack(plan: Strict) -> proto.CustomConfig:
    """Packs a plan for an ExampleGen."""
    config = proto.CustomConfig()
    config.custom_config.Pack(wrappers_pb2.StringValue(value=plan.model_dump_json()))
    return config


def unpack(plan_type: type[AnyPlan], text: str) -> AnyPlan:
    """Unpacks a plan from the execution property (a CustomConfig as JSON)."""
    config = proto.CustomConfig()
    proto_utils.json_to_proto(text, config)
    value = wrappers_pb2.StringValue()
    config.custom_config.Unpack(value)
    return plan_type.model_validate_json(value.value)
