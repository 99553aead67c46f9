"""Whether the gate would stop the run because the eval split is too unlike the train split."""

from __future__ import annotations

from components.ingest.gate.differences import compare
from components.ingest.gate.distributions import Distributions
from pipeline.check_data.report import Finding
from pipeline.check_data.schema_anomalies import Statistics


def about_skew(distributions: Distributions, statistics: Statistics, whole: bool) -> list[Finding]:
    """Compares the eval split with the train split, as the run's gate does.

    Args:
        distributions: The thresholds, and what is to happen above them.
        statistics: Of interaction examples, by split.
        whole: Whether they are of all interactions; of some, distances are estimates, and only warned of.

    Returns:
        A finding for every distance above its threshold.
    """
    if not distributions.skew or not {"train", "eval"} <= set(statistics):
        return []
    stops = distributions.over_threshold == "stop" and whole
    found = compare(statistics["eval"], statistics["train"], distributions.skew, "eval", "train")
    return [
        Finding(
            level="error" if stops else "warning",
            about=f"distributions.skew.{difference.feature}",
            message=f"split eval beside split train: {difference.described}"
            f"{'' if whole else ' (of some of the log)'}. Correct the values, move the split, raise the "
            "threshold, or let the run go on with over_threshold: warn.",
        )
        for difference in found
        if difference.over
    ]
