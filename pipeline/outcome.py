"""Gathers, from the artifacts the steps have left, what a run came to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.utils import path_utils

from components.assemble.index_report import read_index_report
from components.baselines.artifact import read_record
from components.evaluate.results import EVALUATED, OVERALL, read_metrics, read_validation
from components.ingest.gate.verdict import read_verdict
from components.ingest.summary import IngestionSummary, read_ingestion_summary
from components.validate_serving.verdict import read_verdict as read_serving_verdict
from pipeline.summary import Pushed, RunSummary, SplitFacts
from pipeline.trained_baselines import in_words
from pipeline.trained_towers import factorized_top_k, read_training_history

EVALUATORS = {"test": "TestEvaluator", "eval": "Evaluator"}
"""Split to the step that evaluates on it."""


def collect_summary(
    outputs: Mapping[str, Mapping[str, Sequence[metadata_store_pb2.Artifact]]],
) -> RunSummary:
    """Read the summary's figures out of a finished run's artifacts.

    Args:
        outputs: Step to output key to artifacts, of every step.
    """
    ingestion = read_ingestion_summary(outputs["InteractionGen"]["examples"][0].uri)
    evaluations = {split: outputs[step]["evaluation"][0].uri for split, step in EVALUATORS.items()}
    metrics = {split: overall_metrics(uri) for split, uri in evaluations.items()}
    servable = read_serving_verdict(outputs["InfraValidator"]["blessing"][0].uri)
    return RunSummary(
        splits={
            name: SplitFacts(**split.model_dump(include=set(SplitFacts.model_fields)))
            for name, split in ingestion.splits.items()
        },
        order=ingestion.order,
        split=ingestion.split,
        bad_by_reason=ingestion.bad_by_reason,
        left_out=left_out(ingestion),
        candidates=ingestion.candidates,
        stubs=ingestion.stubs,
        warnings=(
            *ingestion.remarks,
            *read_verdict(outputs["AnomalyGate"]["verdict"][0].uri).warnings,
        ),
        evaluated={split: int(values.get(EVALUATED) or 0) for split, values in metrics.items()},
        metrics=metrics,
        baselines=_baselines(outputs.get("BaselineTrainer", {})),
        factorized_top_k=_factorized_top_k(outputs),
        index=_index(outputs["Assembler"]["model"][0].uri),
        failures=tuple(str(failure) for failure in read_validation(evaluations["eval"])),
        not_servable=servable.reasons,
        served=servable.in_words(),
        pushed=_pushed(outputs["Pusher"]["pushed_model"][0]),
    )


def left_out(ingestion: IngestionSummary) -> dict[str, int]:
    """Why rows that are not bad are in no split, and how many; without reasons that did not occur."""
    counts = {"repeat another row": ingestion.duplicates, "older than since": ingestion.before_since}
    counts |= {"left out by where": ingestion.left_out, "cancel an interaction": ingestion.cancellations}
    counts["cancelled"] = ingestion.cancelled
    return {why: count for why, count in counts.items() if count}


def overall_metrics(evaluation_uri: str) -> dict[str, float | None]:
    """The candidate model's and its rivals' numbers over the whole split; None where one is NaN.

    Args:
        evaluation_uri: Of an Evaluator's ModelEvaluation artifact.
    """
    return {
        f"{metric.rival}/{metric.name}": None if math.isnan(metric.value) else metric.value
        for metric in read_metrics(evaluation_uri)
        if metric.slice == OVERALL and metric.model == "candidate"
    }


def _baselines(outputs: Mapping[str, Sequence[metadata_store_pb2.Artifact]]) -> dict[str, str]:
    """What the trained baselines are; empty where all are turned off."""
    if not outputs.get("model"):
        return {}
    return in_words(read_record(path_utils.serving_model_path(outputs["model"][0].uri)))


def _factorized_top_k(
    outputs: Mapping[str, Mapping[str, Sequence[metadata_store_pb2.Artifact]]],
) -> dict[str, float]:
    """What the trainer of the towers measured, the last one where alignment trained them on."""
    for step in ("AlignmentTrainer", "RetrievalTrainer"):
        for run in outputs.get(step, {}).get("model_run", ()):
            return factorized_top_k(read_training_history(Path(run.uri)))
    return {}


def _index(model_uri: str) -> str | None:
    """What became of the index, in words."""
    report = read_index_report(path_utils.serving_model_path(model_uri))
    return None if report is None else report.in_words()


def _pushed(artifact: metadata_store_pb2.Artifact) -> Pushed | None:
    properties = artifact.custom_properties
    if not properties["pushed"].int_value:
        return None
    return Pushed(
        version=properties["pushed_version"].string_value,
        path=properties["pushed_destination"].string_value,
    )
