"""The gate between validation and everything that learns: an anomaly stops the run.

TFX' ExampleValidator writes anomalies down and lets the run go on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError

STREAMS = ("interaction", "candidate")
SOURCES_KEY = "sources"
VERDICT_KEY = "verdict"
VERDICT_FILE = "verdict.json"

_WHOLE_SPLIT = ""


class Executor(base_executor.BaseExecutor):
    """Reads both streams' anomalies and raises if there is any."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step.

        Raises:
            UserError: Naming for every anomaly the file, column and split, and TFDV's description with
                the values.
        """
        sources = json.loads(exec_properties[SOURCES_KEY])
        found: list[str] = []
        examined: dict[str, list[str]] = {}
        for stream in STREAMS:
            artifact = artifact_utils.get_single_instance(input_dict[f"{stream}_anomalies"])
            examined[stream] = artifact_utils.decode_split_names(artifact.split_names)
            for split in examined[stream]:
                for feature, description in describe_anomalies(read_anomalies(artifact, split)):
                    file = sources[stream].get(feature, sources[stream][_WHOLE_SPLIT])
                    place = f"{file}, column {feature!r}" if feature else file
                    found.append(f"  {place} ({stream}s, split {split}): {description}")
        if found:
            raise UserError(
                "\n".join(
                    [
                        f"the data is not what its schema says; {len(found)} anomalies:",
                        *found,
                        "Expected what interactions.pbtxt and candidates.pbtxt, beside domain.yaml, say. "
                        "Mend the files' values; or, where the data is right, the schema.",
                    ]
                )
            )
        verdict = artifact_utils.get_single_instance(output_dict[VERDICT_KEY])
        verdict.split_names = artifact_utils.encode_split_names([])
        fileio.makedirs(verdict.uri)
        with fileio.open(os.path.join(verdict.uri, VERDICT_FILE), "w") as output:
            output.write(json.dumps({"anomalies": 0, "examined": examined}, sort_keys=True) + "\n")


def feature_sources(declaration: Declaration) -> dict[str, dict[str, str]]:
    """Stream to feature to the files its values come from; "" stands for all other features."""
    queries = declaration.queries
    return {
        "interaction": {
            _WHOLE_SPLIT: declaration.interactions.files,
            **({name: queries.files for name in queries.features} if queries else {}),
        },
        "candidate": {_WHOLE_SPLIT: declaration.candidates.files},
    }


def read_anomalies(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    """What ExampleValidator found in one split."""
    path = os.path.join(artifact_utils.get_split_uri([artifact], split), DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> Iterator[tuple[str, str]]:
    """Feature ("" for the split as a whole) and description of every anomaly, by feature."""
    for reason in anomalies.dataset_anomaly_info.reason:
        yield _WHOLE_SPLIT, f"{reason.short_description}: {reason.description}"
    for feature in sorted(anomalies.anomaly_info):
        info = anomalies.anomaly_info[feature]
        for reason in info.reason or [info]:
            yield feature, f"{reason.short_description}: {reason.description}"


class AnomalyGateSpec(ComponentSpec):
    """Inputs, parameters and output of the gate."""

    INPUTS = {
        f"{stream}_anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)
        for stream in STREAMS
    }
    PARAMETERS = {SOURCES_KEY: ExecutionParameter(type=str)}
    # Of a type Kubeflow knows: it has no way to a custom artifact type in a nested module.
    OUTPUTS = {VERDICT_KEY: ChannelParameter(type=standard_artifacts.ExampleAnomalies)}


class AnomalyGate(base_component.BaseComponent):
    """Stops the run at the first sign that the data is not what the schemas say.

    Nothing reads its output ``verdict`` (how many anomalies, always 0, and which splits were
    looked at); it lets TFX cache the step. Steps that must wait for it name it as upstream node.
    """

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        interaction_anomalies: types.BaseChannel,
        candidate_anomalies: types.BaseChannel,
        declaration: Declaration,
    ) -> None:
        """Makes the node.

        Args:
            interaction_anomalies: Output of the ExampleValidator of the interactions.
            candidate_anomalies: Output of the ExampleValidator of the candidates.
            declaration: Says which files a feature's values come from, for the error.
        """
        super().__init__(
            spec=AnomalyGateSpec(
                interaction_anomalies=interaction_anomalies,
                candidate_anomalies=candidate_anomalies,
                sources=json.dumps(feature_sources(declaration)),
                verdict=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
