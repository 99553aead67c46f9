"""How the trained baselines' hyper-parameters were searched for, as tables."""

from __future__ import annotations

from components.baselines.artifact import Record
from pipeline.report import formats
from pipeline.report.metric_tables import NAMES, Cell, MetricTable
from pipeline.trained_baselines import described, how_tuned


def search_tables(record: Record) -> list[tuple[str, MetricTable]]:
    """Of each baseline a sentence on what was chosen, and all trials, the best first."""
    found = []
    for kind, tuned in record.tuned.items():
        chosen = described(tuned.chosen.settings)
        sentence = f"{NAMES[kind]}: {chosen}; {how_tuned(tuned, record)}."
        if record.search_interactions < record.train_interactions:
            sentence += (
                f" The search trained on {formats.count(record.search_interactions)} of the"
                f" {formats.count(record.train_interactions)} positive interactions."
            )
        rows = tuple(
            (
                described(trial.settings),
                tuple(
                    Cell(formats.score(value), trial == tuned.chosen)
                    for value in (trial.recall_at_10, trial.recall_at_100)
                ),
            )
            for trial in sorted(tuned.trials, key=lambda trial: trial.worth, reverse=True)
        )
        table = MetricTable(f"{NAMES[kind]}: trials", ("Recall@10", "Recall@100"), rows)
        found.append((sentence, table))
    return found
