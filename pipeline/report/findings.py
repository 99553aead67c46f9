"""Everything the report is about, read from a run's root; what is missing is left out and named."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import ValidationError
from tfx.utils import path_constants

from components.assemble.index_report import IndexReport, read_index_report
from components.baselines.artifact import RECORD_FILE
from components.baselines.artifact import Record as BaselinesRecord
from components.baselines.artifact import read_record as read_baselines
from components.evaluate.results import (
    Failure,
    Reliability,
    read_metrics,
    read_reliability,
    read_validation,
)
from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.ingest.gate.verdict import read_verdict
from components.ingest.summary import SUMMARY_FILE, IngestionSummary, read_ingestion_summary
from components.retrieval.config import TRAINING_HISTORY_FILE
from components.validate_serving.verdict import ServingVerdict
from components.validate_serving.verdict import read_verdict as read_serving_verdict
from pipeline.domain import Domain
from pipeline.outcome import EVALUATORS
from pipeline.report.lineage import Artifact, Execution, Record, locate, read_record
from pipeline.report.scores import Scores
from pipeline.report.statistics import SplitProfile, read_profile
from pipeline.run_root import RunRoot
from pipeline.summary import newest_version
from pipeline.trained_towers import read_training_history

Outcome = Literal["pushed", "rejected", "failed", "unfinished"]

_TRAINERS = {
    "Retrieval": "RetrievalTrainer",
    "Ranking": "RankingTrainer",
    "Alignment": "AlignmentTrainer",
}
_INTERACTION_SPLITS = ("train", "eval", "test")


@dataclasses.dataclass(frozen=True)
class Findings:
    """What there is to report.

    Attributes:
        title: What people call the data set.
        root: The run's root.
        record: The run in ML Metadata.
        outcome: What became of the run; ``rejected``: it went through, but the model is not blessed.
        stopped_at: The step that failed or is the last one of an unfinished run.
        pushed: Artifact of the model this run pushed.
        pushed_is_there: Whether its folder in the serving directory still is.
        serving: Newest version in the serving directory, from whichever run.
        declaration: What the run's data was declared as.
        ingestion: What ingestion did.
        interactions: Statistics of the interactions by split.
        candidates: Statistics of the catalogue.
        scores: Evaluation by split.
        reliability: What the heads' probabilities are worth, by split.
        failures: Bounds that were not kept.
        servable: What the check before the push found; None where the run did not get to it.
        warnings: What the gate on the data let pass, but wants to be looked at.
        baselines: How the trained baselines were made; None without any.
        index: Which index the assembled model has; None where the run did not get to it.
        training: Trainer to metric to its value in each epoch.
        lineage: Executions that the model came from, oldest first.
        gone: Artifacts that are recorded, but are not on disk any more.
    """

    title: str
    root: RunRoot
    record: Record
    outcome: Outcome
    stopped_at: Execution | None
    pushed: Artifact | None
    pushed_is_there: bool
    serving: Path | None
    declaration: Declaration | None
    ingestion: IngestionSummary | None
    interactions: Mapping[str, SplitProfile]
    candidates: SplitProfile | None
    scores: Mapping[str, Scores]
    reliability: Mapping[str, list[Reliability]]
    failures: tuple[Failure, ...]
    servable: ServingVerdict | None
    warnings: tuple[str, ...]
    baselines: BaselinesRecord | None
    index: IndexReport | None
    training: Mapping[str, Mapping[str, list[float]]]
    lineage: tuple[Execution, ...]
    gone: tuple[str, ...]


def gather(root: RunRoot, domain: Domain | None = None) -> Findings:
    """Reads the last run of a root.

    Args:
        root: The run's root.
        domain: What was run, for its title; the page can do without.

    Raises:
        UserError: If there is no run in it.
    """
    record = read_record(root)
    outputs = _Outputs(record, root)
    pushed = record.output("Pusher", "pushed_model")
    pushed = pushed if pushed and pushed.properties.get("pushed") else None
    outcome, stopped_at = _outcome(record, pushed)
    folder = pushed and Path(str(pushed.properties.get("pushed_destination", "")))
    ingestion = outputs.folder("InteractionGen", "examples", SUMMARY_FILE)
    evaluations = {
        split: str(evaluation)
        for split, step in EVALUATORS.items()
        if (evaluation := outputs.folder(step, "evaluation"))
    }
    verdict = outputs.folder("AnomalyGate", "verdict")
    servable = outputs.folder("InfraValidator", "blessing")
    title, declaration = _declared(record, domain)
    return Findings(
        title=title,
        root=root,
        record=record,
        outcome=outcome,
        stopped_at=stopped_at,
        pushed=pushed,
        pushed_is_there=bool(folder and locate_version(folder, root)),
        serving=newest_version(root.serving),
        declaration=declaration,
        ingestion=read_ingestion_summary(str(ingestion)) if ingestion else None,
        interactions=outputs.profiles("InteractionStatistics", _INTERACTION_SPLITS),
        candidates=outputs.profiles("CandidateStatistics", (CATALOGUE_SPLIT,)).get(CATALOGUE_SPLIT),
        scores={split: Scores.of(read_metrics(uri)) for split, uri in evaluations.items()},
        reliability={split: read_reliability(uri) for split, uri in evaluations.items()},
        failures=tuple(read_validation(evaluations["eval"])) if "eval" in evaluations else (),
        servable=read_serving_verdict(str(servable)) if servable else None,
        warnings=read_verdict(str(verdict)).warnings if verdict else (),
        baselines=outputs.baselines(),
        index=outputs.index(),
        training=outputs.training(),
        lineage=_lineage(record),
        gone=tuple(outputs.gone),
    )


def locate_version(folder: Path, root: RunRoot) -> Path | None:
    """Where a pushed version is now, also where the whole root has been moved; None where it is gone."""
    return next((path for path in (folder, root.serving / folder.name) if path.is_dir()), None)


class _Outputs:
    """The last run's artifacts on disk.

    Attributes:
        gone: What was asked for and recorded, but is not there.
    """

    def __init__(self, record: Record, root: RunRoot) -> None:
        self._record = record
        self._root = root
        self.gone: list[str] = []

    def folder(self, step: str, key: str, holds: str = "") -> Path | None:
        """The directory of an output; None where the step has none or it, or a file in it, is gone."""
        artifact = self._record.output(step, key)
        if artifact is None:
            return None
        folder = locate(artifact.uri, self._root)
        if folder is None or not (folder / holds).exists():
            self.gone.append(f"{step}: {artifact.uri}")
            return None
        return folder

    def profiles(self, step: str, splits: tuple[str, ...]) -> dict[str, SplitProfile]:
        folder = self.folder(step, "statistics")
        if folder is None:
            return {}
        return {split: found for split in splits if (found := read_profile(folder, split))}

    def baselines(self) -> BaselinesRecord | None:
        place = path_constants.SERVING_MODEL_DIR
        folder = self.folder("BaselineTrainer", "model", f"{place}/{RECORD_FILE}")
        return read_baselines(str(folder / place)) if folder else None

    def index(self) -> IndexReport | None:
        place = path_constants.SERVING_MODEL_DIR
        folder = self.folder("Assembler", "model", place)
        return read_index_report(str(folder / place)) if folder else None

    def training(self) -> dict[str, dict[str, list[float]]]:
        folders = {
            name: self.folder(step, "model_run", TRAINING_HISTORY_FILE) for name, step in _TRAINERS.items()
        }
        return {name: read_training_history(folder) for name, folder in folders.items() if folder}


def _outcome(record: Record, pushed: Artifact | None) -> tuple[Outcome, Execution | None]:
    steps = list(record.steps.values())
    failed = next((step for step in steps if step.state == "failed"), None)
    if failed:
        return "failed", failed
    last = steps[-1] if steps else None
    if record.output("Pusher", "pushed_model") is None:
        return "unfinished", last
    return ("pushed", None) if pushed else ("rejected", None)


def _lineage(record: Record) -> tuple[Execution, ...]:
    """Back from the pushed model; without one, from the assembled model; else from the last step."""
    pushed = record.output("Pusher", "pushed_model")
    if pushed and pushed.properties.get("pushed"):
        return record.ancestry(record.steps["Pusher"])
    if record.output("Assembler", "model"):
        return record.ancestry(record.steps["Assembler"])
    steps = list(record.steps.values())
    return record.ancestry(steps[-1]) if steps else ()


def _declared(record: Record, domain: Domain | None) -> tuple[str, Declaration | None]:
    """The domain's title and what its data is declared as.

    ML Metadata does not know the title. The domain may have changed since the run, so the declaration is the
    one that the steps were given.
    """
    settings = [execution.settings for execution in record.steps.values()]
    title = domain.title if domain else record.pipeline.removeprefix("westwork-") or record.pipeline
    for given in (s["declaration"] for s in settings if "declaration" in s):
        try:
            return title, Declaration.model_validate_json(str(given))
        except ValidationError:
            continue
    return title, domain.declaration if domain else None
