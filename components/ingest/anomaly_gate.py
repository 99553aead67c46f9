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

from components.ingest.errors import UserError

STREAMS = ("interaction", "candidate")
VERDICT_KEY = "verdict"
VERDICT_FILE = "verdict.json"


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
            UserError: Naming for every anomaly the stream's files, split, feature and values.
        """
        found: list[str] = []
        examined: dict[str, list[str]] = {}
        for stream in STREAMS:
            artifact = artifact_utils.get_single_instance(input_dict[f"{stream}_anomalies"])
            examined[stream] = artifact_utils.decode_split_names(artifact.split_names)
            lines = [
                f"    split {split}, {line}"
                for split in examined[stream]
                for line in describe_anomalies(read_anomalies(artifact, split))
            ]
            if lines:
                found += [f"  {stream}s, {exec_properties[f'{stream}_files']}:", *lines]
        if found:
            raise UserError(
                "\n".join(
                    [
                        "the data is not what its schema says:",
                        *found,
                        "Expected what interactions.pbtxt and candidates.pbtxt, beside domain.yaml, say. "
                        "Mend the files' values; or, where the data is right, the schema.",
                    ]
                )
            )
        verdict = artifact_utils.get_single_instance(output_dict[VERDICT_KEY])
        verdict.split_names = artifact_utils.encode_split_names([])
        fileio.makedirs(verdict.uri)
        with fileio.open(os.path.join(verdict.uri, VERDICT_FILE), "w") as file:
            file.write(json.dumps({"anomalies": 0, "examined": examined}, sort_keys=True) + "\n")


def read_anomalies(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    """What ExampleValidator found in one split."""
    path = os.path.join(artifact_utils.get_split_uri([artifact], split), DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> Iterator[str]:
    """A line an anomaly: the feature, in short, and TFDV's description with the values."""
    for reason in anomalies.dataset_anomaly_info.reason:
        yield f"whole split: {reason.short_description}: {reason.description}"
    for feature in sorted(anomalies.anomaly_info):
        info = anomalies.anomaly_info[feature]
        reasons = info.reason or [info]
        for reason in reasons:
            yield f"feature {feature!r}: {reason.short_description}: {reason.description}"


class AnomalyGateSpec(ComponentSpec):
    """Inputs, parameters and output of the gate."""

    INPUTS = {
        f"{stream}_anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)
        for stream in STREAMS
    }
    PARAMETERS = {f"{stream}_files": ExecutionParameter(type=str) for stream in STREAMS}
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
        interaction_files: str,
        candidate_files: str,
    ) -> None:
        """Makes the node.

        Args:
            interaction_anomalies: Output of the ExampleValidator of the interactions.
            candidate_anomalies: Output of the ExampleValidator of the candidates.
            interaction_files: What to call the interactions' source in an error: its files.
            candidate_files: The same for the candidates.
        """
        super().__init__(
            spec=AnomalyGateSpec(
                interaction_anomalies=interaction_anomalies,
                candidate_anomalies=candidate_anomalies,
                interaction_files=interaction_files,
                candidate_files=candidate_files,
                verdict=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
