"""Drift and skew through the real nodes, by TFX' own local runner, with statistics made in a moment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2
from tfx import types
from tfx import v1 as tfx
from tfx.dsl.components.base import base_component, base_executor, executor_spec
from tfx.orchestration import metadata
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ComponentSpec, ExecutionParameter

from components.ingest.errors import UserError
from components.ingest.gate.anomaly_gate import AnomalyGate
from components.ingest.gate.distributions import Distributions
from components.ingest.gate.verdict import Verdict, read_verdict
from components.ingest.schema_gen import SchemaGen
from pipeline.graph import Places, compare_distributions

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

from measured import INTERACTION_SPLITS, candidates, interactions, statistics

SCHEMAS = {
    "interaction": 'feature { name: "town" type: BYTES } feature { name: "born" type: FLOAT }',
    "candidate": 'feature { name: "pages" type: FLOAT }',
}
SETTINGS = {
    "drift": {
        "interactions": {"town": {"l_infinity": 0.1}},
        "candidates": {"pages": {"jensen_shannon": 0.1}},
    },
    "skew": {"born": {"jensen_shannon": 0.3}},
}


class MeasureExecutor(base_executor.BaseExecutor):
    """Invents a stream's examples and measures them."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Runs the step."""
        (artifact,) = output_dict["statistics"]
        data = json.loads(exec_properties["data"])
        splits = {
            split: interactions(**data["interaction"] | data.get(split, {})) for split in INTERACTION_SPLITS
        }
        if exec_properties["stream"] == "candidate":
            splits = {"catalogue": candidates(**data["candidate"])}
        made = statistics(Path(artifact.uri), splits, data["span"])
        artifact.split_names, artifact.span = made.split_names, made.span


class MeasureSpec(ComponentSpec):
    """Interface of Measure."""

    PARAMETERS = {"data": ExecutionParameter(type=str), "stream": ExecutionParameter(type=str)}
    INPUTS = {}
    OUTPUTS = {"statistics": ChannelParameter(type=standard_artifacts.ExampleStatistics)}


class Measure(base_component.BaseComponent):
    """Stands for everything up to StatisticsGen."""

    SPEC_CLASS = MeasureSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(MeasureExecutor)


@pytest.fixture
def run(tmp_path, declare) -> Callable[..., Verdict]:
    """Runs the nodes from the statistics to the gate on data of a span; returns the gate's verdict."""

    def run_span(
        span: int,
        data: Mapping[str, Any] | None = None,
        over_threshold: str = "stop",
        settings: Mapping[str, Any] = SETTINGS,
    ) -> Verdict:
        said = json.dumps({"interaction": {}, "candidate": {}, **(data or {}), "span": span}, sort_keys=True)
        measured, validated = {}, {}
        for stream in SCHEMAS:
            channel = types.Channel(type=standard_artifacts.ExampleStatistics)
            measured[stream] = Measure(MeasureSpec(data=said, stream=stream, statistics=channel)).with_id(
                f"{stream}_measure"
            )
            schema = SchemaGen(text_format.Parse(SCHEMAS[stream], schema_pb2.Schema()))
            validator = tfx.components.ExampleValidator(
                measured[stream].outputs["statistics"], schema.with_id(f"{stream}_schema").outputs["schema"]
            )
            validated[stream] = [schema, validator.with_id(f"{stream}_validator")]
        channels = {stream: node.outputs["statistics"] for stream, node in measured.items()}
        wanted = Distributions(**settings, over_threshold=over_threshold)
        places = Places("", "", "", str(tmp_path / "statistics"))
        baselines, compared = compare_distributions(wanted, places, channels)
        gate = AnomalyGate(
            *(validated[stream][1].outputs["anomalies"] for stream in SCHEMAS),
            comparisons={key: node.outputs["anomalies"] for key, node in compared.items()},
            statistics=channels,
            declaration=declare(),
            over_threshold=wanted.over_threshold,
            published=places.statistics if wanted.compares_spans else "",
        )
        connection = metadata.sqlite_metadata_connection_config(str(tmp_path / "metadata.sqlite"))
        pipeline = tfx.dsl.Pipeline(
            pipeline_name="shop",
            pipeline_root=str(tmp_path / "artifacts"),
            components=[
                *measured.values(), *validated["interaction"], *validated["candidate"],
                *baselines, *compared.values(), gate,
            ],
            enable_cache=True,
            metadata_connection_config=connection,
        )  # fmt: skip
        tfx.orchestration.LocalDagRunner().run(pipeline)
        return read_verdict(str(newest(tmp_path / "artifacts" / "AnomalyGate" / "verdict")))

    return run_span


def newest(directory: Path) -> Path:
    """The output of a node's latest execution."""
    return max((path for path in directory.iterdir() if path.is_dir()), key=lambda path: int(path.name))


def published(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "statistics").iterdir())


MOVED = {
    "interaction": {"towns": {"Hagen": 60, "Soest": 100, "Unna": 40}},
    "candidate": {"pages": 900.0},
}


def test_a_span_that_drifted_stops_with_its_distances_until_a_warning_is_enough(run, tmp_path) -> None:
    first = run(1)
    assert all(compared.first for compared in first.compared if compared.kind == "drift")
    assert [compared.kind for compared in first.compared] == ["drift", "drift", "skew"]
    assert not first.warnings

    with pytest.raises(UserError) as raised:
        run(2, MOVED)
    message = str(raised.value)
    assert message.startswith("the data's distributions moved further than domain.yaml allows; 4 above")
    for split in INTERACTION_SPLITS:
        place = f"queries.csv, column 'town' (interactions, split {split} of span 2 beside span 1)"
        assert f"{place}: L-infinity distance 0.2, threshold 0.1; " in message
    assert "'Hagen' changed most" in message or "'Unna' changed most" in message
    assert "candidates.csv, column 'pages' (candidates, split catalogue of span 2 beside span 1)" in message
    assert "Jensen-Shannon divergence 1, threshold 0.1" in message
    assert "over_threshold=warn" in message
    # What was stopped is nothing to compare the next span with; what passed with a warning is.
    assert published(tmp_path) == ["1"]
    warned = run(2, MOVED, over_threshold="warn")
    assert warned.warnings == tuple(message.splitlines()[1:5])
    assert published(tmp_path) == ["1", "2"]
    third = run(3, MOVED)
    assert not third.warnings
    assert [compared.comparison.baseline_span for compared in third.compared] == [2, 2, 3]


def test_a_repeated_run_is_cached_and_no_span_is_compared_with_itself(run, tmp_path) -> None:
    nearby = {"interaction": {"towns": {"Hagen": 105, "Soest": 95}}}
    run(1)
    verdict = run(2, nearby)
    distances = {
        (compared.kind, difference.feature): difference.distance
        for compared in verdict.compared
        for difference in compared.comparison.differences
    }
    assert distances["drift", "town"] == pytest.approx(0.025)
    gates = tmp_path / "artifacts" / "AnomalyGate" / "verdict"
    before = newest(gates)
    assert run(2, nearby) == verdict
    assert newest(gates) == before
    # Another threshold makes the comparison anew, after span 2 itself was published.
    drift = {"interactions": {"town": {"l_infinity": 0.01}}}
    with pytest.raises(UserError, match=r"span 2 beside span 1\): L-infinity distance 0.025, threshold 0.01"):
        run(2, nearby, settings={"drift": drift})


def test_eval_that_is_unlike_train_stops_without_anything_published(run, tmp_path) -> None:
    skew = {"skew": {"town": {"l_infinity": 0.1}}}
    unlike = {"eval": {"towns": {"Hagen": 160, "Soest": 40}}}
    with pytest.raises(UserError, match=r"split eval beside split train\): L-infinity distance 0.3, "):
        run(1, unlike, settings=skew)
    assert not (tmp_path / "statistics").exists()
