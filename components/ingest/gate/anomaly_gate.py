"""The gate between validation and everything that learns: an anomaly stops the run.

TFX' validators write anomalies down and let the run go on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx import types
from tfx.components.example_validator.executor import DEFAULT_FILE_NAME
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.dsl.io import fileio
from tfx.types import artifact_utils, standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.gate.anomalies import WHOLE_SPLIT, describe_anomalies
from components.ingest.gate.comparison import read_comparison
from components.ingest.gate.published_statistics import PUBLISHED_KEY, STREAMS, publish
from components.ingest.gate.verdict import ComparedStream, Verdict, write_verdict

SOURCES_KEY = "sources"
OVER_THRESHOLD_KEY = "over_threshold"
VERDICT_KEY = "verdict"

_COMPARISONS = {
    "interaction_drift": ("interaction", "drift"),
    "candidate_drift": ("candidate", "drift"),
    "interaction_skew": ("interaction", "skew"),
}
"""Input to the stream it is of and what it compares."""

Sources = dict[str, dict[str, str]]
"""Stream to feature to the files its values come from; "" stands for all other features."""


class Executor(base_executor.BaseExecutor):
    """Reads both streams' anomalies, and the comparisons if there are any; raises, or lets the run go on."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step. Data that pass have their statistics published, where that is asked for.

        Raises:
            UserError: Naming for every anomaly the file, column and split, and TFDV's description with
                the values; for every distance above its threshold, unless that is only to be warned of,
                both splits, the distance and the threshold too.
        """
        sources: Sources = json.loads(exec_properties[SOURCES_KEY])
        examined, anomalies = _examine(input_dict, sources)
        compared = tuple(_compared(input_dict))
        moved = [line for comparison in compared for line in _describe_moves(comparison, sources)]
        stops = exec_properties[OVER_THRESHOLD_KEY] == "stop"
        if anomalies or (moved and stops):
            raise UserError("\n".join([*_about_anomalies(anomalies), *_about_moves(moved if stops else [])]))
        if exec_properties[PUBLISHED_KEY]:
            statistics = {
                stream: artifact_utils.get_single_instance(input_dict[f"{stream}_statistics"])
                for stream in STREAMS
            }
            publish(exec_properties[PUBLISHED_KEY], statistics)
        verdict = artifact_utils.get_single_instance(output_dict[VERDICT_KEY])
        verdict.split_names = artifact_utils.encode_split_names([])
        fileio.makedirs(verdict.uri)
        write_verdict(Verdict(examined=examined, compared=compared, warnings=tuple(moved)), verdict.uri)


def feature_sources(declaration: Declaration) -> Sources:
    """Stream to feature to the files its values come from; "" stands for all other features."""
    queries = declaration.queries
    return {
        "interaction": {
            WHOLE_SPLIT: ", ".join(source.files for source in declaration.interactions.sources),
            **({name: queries.files for name in queries.features} if queries else {}),
        },
        "candidate": {WHOLE_SPLIT: declaration.catalogue_files},
    }


def read_anomalies(artifact: types.Artifact, split: str) -> anomalies_pb2.Anomalies:
    """What ExampleValidator found in one split."""
    path = os.path.join(artifact_utils.get_split_uri([artifact], split), DEFAULT_FILE_NAME)
    with fileio.open(path, "rb") as file:
        return anomalies_pb2.Anomalies.FromString(file.read())


def _examine(
    inputs: dict[str, list[types.Artifact]], sources: Sources
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Which splits of which stream were validated, and a line for every anomaly."""
    examined: dict[str, tuple[str, ...]] = {}
    lines = []
    for stream in STREAMS:
        artifact = artifact_utils.get_single_instance(inputs[f"{stream}_anomalies"])
        examined[stream] = tuple(artifact_utils.decode_split_names(artifact.split_names))
        for split in examined[stream]:
            for feature, description in describe_anomalies(read_anomalies(artifact, split)):
                place = _place(sources, stream, feature)
                lines.append(f"  {place} ({stream}s, split {split}): {description}")
    return examined, lines


def _place(sources: Sources, stream: str, feature: str) -> str:
    file = sources[stream].get(feature, sources[stream][WHOLE_SPLIT])
    return f"{file}, column {feature!r}" if feature else file


def _compared(inputs: dict[str, list[types.Artifact]]) -> Iterator[ComparedStream]:
    for key, (stream, kind) in _COMPARISONS.items():
        if inputs.get(key):
            found = read_comparison(artifact_utils.get_single_instance(inputs[key]))
            yield ComparedStream(stream=stream, kind=kind, comparison=found)


def _describe_moves(compared: ComparedStream, sources: Sources) -> Iterator[str]:
    """A line for every difference above its threshold."""
    comparison = compared.comparison
    for difference in comparison.differences:
        if not difference.over:
            continue
        place = _place(sources, compared.stream, difference.feature)
        if compared.kind == "skew":
            beside = f"split {difference.baseline_split}"
        elif comparison.span == comparison.baseline_span:
            beside = "the last data that passed"
        else:
            beside = f"span {comparison.baseline_span}"
        span = f" of span {comparison.span}" if beside.startswith("span") else ""
        yield (
            f"  {place} ({compared.stream}s, split {difference.split}{span} beside {beside}): "
            f"{difference.described}"
        )


def _about_anomalies(lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [
        f"the data is not what its schema says; {len(lines)} anomalies:",
        *lines,
        "Expected what interactions.pbtxt and candidates.pbtxt, beside domain.yaml, say. "
        "Correct the files' values; or, where the data is right, the schema.",
    ]


def _about_moves(lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [
        f"the data's distributions moved further than domain.yaml allows; {len(lines)} above the threshold:",
        *lines,
        "Correct the files' values; or, where the data is right, raise the thresholds in domain.yaml's "
        "distributions, or let these data pass with --set distributions.over_threshold=warn: the next are "
        "then compared with them.",
    ]


class AnomalyGateSpec(ComponentSpec):
    """Inputs, parameters and output of the gate."""

    INPUTS = {
        **{
            f"{stream}_anomalies": ChannelParameter(type=standard_artifacts.ExampleAnomalies)
            for stream in STREAMS
        },
        **{
            key: ChannelParameter(type=standard_artifacts.ExampleAnomalies, optional=True)
            for key in _COMPARISONS
        },
        **{
            f"{stream}_statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics)
            for stream in STREAMS
        },
    }
    PARAMETERS = {
        SOURCES_KEY: ExecutionParameter(type=str),
        OVER_THRESHOLD_KEY: ExecutionParameter(type=str),
        PUBLISHED_KEY: ExecutionParameter(type=str),
    }
    # Of a type Kubeflow knows: it has no way to a custom artifact type in a nested module.
    OUTPUTS = {VERDICT_KEY: ChannelParameter(type=standard_artifacts.ExampleAnomalies)}


class AnomalyGate(base_component.BaseComponent):
    """Stops the run at the first sign that the data is not what the schemas say, or moved too far.

    No step reads its output ``verdict`` (see :mod:`components.ingest.gate.verdict`); it lets TFX cache the
    step. Steps that must wait for it name it as upstream node.
    """

    SPEC_CLASS = AnomalyGateSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        interaction_anomalies: types.BaseChannel,
        candidate_anomalies: types.BaseChannel,
        statistics: Mapping[str, types.BaseChannel],
        comparisons: Mapping[str, types.BaseChannel],
        declaration: Declaration,
        over_threshold: Literal["stop", "warn"],
        published: str,
    ) -> None:
        """Makes the node.

        Args:
            interaction_anomalies: Output of the ExampleValidator of the interactions.
            candidate_anomalies: Output of the ExampleValidator of the candidates.
            statistics: What they were found in, by stream; published if asked for.
            comparisons: Outputs of the nodes of :mod:`components.ingest.gate.comparison`; of the keys
                interaction_drift, candidate_drift and interaction_skew those there are.
            declaration: Says which files a feature's values come from, for the error.
            over_threshold: What to do about a distance above its threshold.
            published: Directory to publish the statistics of data that pass to; empty: they are not.
        """
        super().__init__(
            spec=AnomalyGateSpec(
                interaction_anomalies=interaction_anomalies,
                candidate_anomalies=candidate_anomalies,
                **{f"{stream}_statistics": statistics[stream] for stream in STREAMS},
                **comparisons,
                sources=json.dumps(feature_sources(declaration)),
                over_threshold=over_threshold,
                published=published,
                verdict=types.Channel(type=standard_artifacts.ExampleAnomalies),
            )
        )
