"""The nodes that compare distributions, compiled, and their containers' commands run."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from launcher import Artifact, Launcher, Step, steps_of
from reading_club import ROOT
from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor
from tfx.types import artifact_utils

from components.ingest.errors import UserError
from components.ingest.gate.verdict import Verdict, read_verdict

sys.path.insert(0, str(ROOT / "tests" / "fixtures"))

from measured import INTERACTION_SPLITS, candidates, interactions, statistics

THRESHOLDS = (
    "distributions.drift.interactions.town.l_infinity=0.1",
    "distributions.drift.candidates.pages.jensen_shannon=0.1",
    "distributions.skew.born.jensen_shannon=0.3",
)
UPSTREAM = {
    "StatisticsBaselineResolver": {"InteractionStatistics", "CandidateStatistics"},
    "InteractionDrift": {"InteractionStatistics", "StatisticsBaselineResolver"},
    "CandidateDrift": {"CandidateStatistics", "StatisticsBaselineResolver"},
    "InteractionSkew": {"InteractionStatistics"},
    "AnomalyGate": {
        *("InteractionValidator", "CandidateValidator", "InteractionStatistics", "CandidateStatistics"),
        *("InteractionDrift", "CandidateDrift", "InteractionSkew"),
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where passed data's statistics are kept, and the steps' outputs."""
    return tmp_path_factory.mktemp("drift")


@pytest.fixture(scope="module")
def steps(runner: ModuleType, place: Path) -> dict[str, Step]:
    """The bookshop's steps, with thresholds."""
    from pipeline.domain import load_domain

    tiny = ROOT / "tests" / "fixtures" / "tiny"
    request = runner.make_request(
        load_domain(str(tiny), THRESHOLDS),
        data="/data",
        artifacts="gs://shop/runs",
        serving="/serving",
        statistics=str(place / "statistics"),
        image="registry.example/westwork:1",
    )
    spec = pipeline_spec_pb2.PipelineSpec()
    json_format.ParseDict(runner.compile_pipeline(request), spec)
    return steps_of(spec)


def run_here(argv: Sequence[str], working: Path, log: Path) -> int:
    """Runs a container's command in this process, which has the imports already; its error is raised."""
    assert list(argv[:2]) == ["python", "-m"]
    assert argv[2] == kubeflow_v2_run_executor.__name__
    kubeflow_v2_run_executor.main(kubeflow_v2_run_executor._parse_flags([*argv[2:]]))
    return 0


def run_span(steps: dict[str, Step], place: Path, span: int, towns: dict[str, int]) -> Verdict:
    """Runs the comparisons' and the gate's commands on a span's statistics."""
    folder = place / str(span)
    launcher = Launcher(folder, run_here)
    batch = interactions(towns)
    measured = {
        "InteractionStatistics": statistics(folder / "i", dict.fromkeys(INTERACTION_SPLITS, batch), span),
        "CandidateStatistics": statistics(folder / "c", {"catalogue": candidates()}, span),
    }
    for name, artifact in measured.items():
        splits = artifact_utils.decode_split_names(artifact.split_names)
        said = {"split_names": artifact.split_names, "span": float(span)}
        launcher.outputs[name] = {"statistics": made(steps[name], "statistics", artifact.uri, said)}
        validator = name.replace("Statistics", "Validator")
        for split in splits:
            (folder / validator / f"Split-{split}").mkdir(parents=True)
            (folder / validator / f"Split-{split}" / "SchemaDiff.pb").write_bytes(b"")
        launcher.outputs[validator] = {
            "anomalies": made(steps[validator], "anomalies", str(folder / validator), said)
        }
    for name in UPSTREAM:
        launcher.run(steps[name])
    return read_verdict(launcher.outputs["AnomalyGate"]["verdict"]["uri"])


def made(step: Step, output: str, uri: str, metadata: dict[str, str | float]) -> Artifact:
    """What a step that is not run here would have put out."""
    return {"name": f"{step.name}-{output}", "type": step.outputs[output], "uri": uri, "metadata": metadata}


def test_the_comparisons_stand_between_statistics_and_gate(steps: dict[str, Step]) -> None:
    assert {name: set(steps[name].upstream) for name in UPSTREAM} == UPSTREAM
    assert json.loads(steps["InteractionSkew"].parameters["include_split_pairs"]) == [["eval", "train"]]


def test_their_commands_compare_a_span_with_the_last_and_the_gate_stops(
    steps: dict[str, Step], place: Path
) -> None:
    first = run_span(steps, place, 1, {"Hagen": 100, "Soest": 100})
    assert [(found.kind, found.first) for found in first.compared] == [
        ("drift", True),
        ("drift", True),
        ("skew", False),
    ]
    second = run_span(steps, place, 2, {"Hagen": 105, "Soest": 95})
    assert [found.comparison.baseline_span for found in second.compared] == [1, 1, 2]
    with pytest.raises(UserError, match=r"'town' \(interactions, split train of span 3 beside span 2\)"):
        run_span(steps, place, 3, {"Hagen": 160, "Soest": 40})
