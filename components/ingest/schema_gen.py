"""A step that hands a schema to those after it."""

from __future__ import annotations

import os
from typing import Any

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx.components.schema_gen.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

CONTENT_KEY = "content"
SCHEMA_KEY = "schema"


class Executor(base_executor.BaseExecutor):
    """Writes the schema it is given."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step."""
        schema = artifact_utils.get_single_instance(output_dict[SCHEMA_KEY])
        fileio.makedirs(schema.uri)
        with fileio.open(os.path.join(schema.uri, DEFAULT_FILE_NAME), "w") as file:
            file.write(exec_properties[CONTENT_KEY])


class SchemaGenSpec(ComponentSpec):
    """Parameter and output of the step."""

    PARAMETERS = {CONTENT_KEY: ExecutionParameter(type=str)}
    INPUTS: dict[str, ChannelParameter] = {}
    OUTPUTS = {SCHEMA_KEY: ChannelParameter(type=standard_artifacts.Schema)}


class SchemaGen(base_component.BaseComponent):
    """Node whose output ``schema`` is the schema it is made with.

    TFX's ImportSchemaGen is given a path, and what is cached is cached by it: an edit of the file went
    unnoticed. This one is given the content, so an edit is another step; and no step needs the user's files.
    """

    SPEC_CLASS = SchemaGenSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(self, schema: schema_pb2.Schema) -> None:
        """Makes the node.

        Args:
            schema: The schema, whole.
        """
        super().__init__(
            spec=SchemaGenSpec(
                content=text_format.MessageToString(schema),
                schema=types.Channel(type=standard_artifacts.Schema),
            )
        )
