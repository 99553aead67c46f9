"""Puts the report together and writes it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from components.assemble.tuning import Tuning
from components.evaluate.results import EVALUATED
from pipeline.against_baselines import shortfalls, winners
from pipeline.domain import Domain
from pipeline.report import (
    baseline_tables,
    data_profile,
    diagram,
    figures,
    formats,
    metric_plots,
    metric_tables,
)
from pipeline.report.findings import Findings, gather
from pipeline.report.lineage import Execution, locate, read_fingerprints
from pipeline.report.scores import Scores
from pipeline.run_root import RunRoot
from pipeline.trained_towers import factorized_top_k
from pipeline.trained_towers import in_words as factorized_in_words

TEMPLATE = "report.html.jinja"

_SPLITS = ("test", "eval")


def write_report(root: Path, domain: Domain | None = None) -> Path:
    """Writes the report on a root's last run.

    It is one page that needs no network: style and plots are in it. It is written aside and renamed, so
    that a reader never sees half of it.

    Args:
        root: The run's root, as ``westwork run --root`` has it.
        domain: What was run, for its title; the page can do without.

    Returns:
        Path of the page, ``<root>/report.html``.

    Raises:
        UserError: If there is no run in the root.
    """
    places = RunRoot(Path(root).absolute())
    page = render(gather(places, domain), written=time.time())
    part = places.report.with_name(f".{places.report.name}.part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, places.report)
    return places.report


def render(findings: Findings, written: float) -> str:
    """The page.

    Args:
        findings: What it is about.
        written: The present, seconds since 1970 UTC.
    """
    environment = Environment(
        loader=PackageLoader("pipeline.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for filter_ in (
        formats.count,
        formats.duration,
        formats.moment,
        formats.place,
        formats.share,
        formats.size,
    ):
        environment.filters[filter_.__name__] = filter_
    return environment.get_template(TEMPLATE).render(
        found=findings,
        run=findings.record,
        written=written,
        started=min((step.started for step in findings.record.steps.values()), default=None),
        took=_took(findings),
        **_metrics(findings),
        curves=_curves(findings.training),
        index_plots=_index_plots(findings.index.tuning if findings.index else None),
        **_data(findings),
        **_lineage(findings),
    )


def _took(findings: Findings) -> float | None:
    """Seconds from the first step's start to the last one's end; None where that was not recorded."""
    steps = list(findings.record.steps.values())
    if not steps or steps[-1].seconds is None:
        return None
    return steps[-1].started + steps[-1].seconds - steps[0].started


def _metrics(findings: Findings) -> dict[str, Any]:
    scores = {split: findings.scores[split] for split in _SPLITS if split in findings.scores}
    headline_split = next(iter(scores), "")
    first = scores.get(headline_split)
    return {
        "headline_split": headline_split,
        "split_is_later": findings.ingestion is None or findings.ingestion.split == "time",
        "headlines": metric_tables.headlines(first) if first else [],
        "has_repeats": first.has_repeats if first else False,
        "has_ratings": first.has(metric_tables.RMSE) if first else False,
        "has_heads": bool(first.heads) if first else False,
        "legend": metric_plots.legend(first) if first else [],
        "new_legend": metric_plots.new_legend(first) if first else [],
        "slice_legend": metric_plots.legend(first, judged=True) if first else [],
        "shortfalls": [(split, shortfalls(s.overall())) for split, s in scores.items()],
        "winners": [(split, _winners(s)) for split, s in scores.items()],
        "searches": baseline_tables.search_tables(findings.baselines) if findings.baselines else [],
        "samples": _samples(findings, scores),
        "tables": [_tables(s, split) for split, s in scores.items()],
        "later_plots": [metric_plots.later_plot(s, split) for split, s in scores.items()],
        "new_tables": [
            metric_tables.new_table(s, _title(split)) for split, s in scores.items() if s.has_repeats
        ],
        "new_plots": [metric_plots.new_plot(s, split) for split, s in scores.items() if s.has_repeats],
        "slices": metric_plots.slice_groups(first) if first else [],
        **_cascade(findings, scores),
        "has_baseline": any(s.has_baseline for s in scores.values()),
    }


def _cascade(findings: Findings, scores: Mapping[str, Scores]) -> dict[str, Any]:
    """What becomes of the ranker's choice, and what its probabilities are worth."""
    size = findings.index.candidates if findings.index else None
    plots = (metric_plots.funnel_plot(s, split, size) for split, s in scores.items())
    return {
        "funnels": [plot for plot in plots if plot],
        "funnel_table": metric_tables.funnel_table(scores),
        "reliability": [
            plot
            for split in scores
            for plot in metric_plots.reliability_plots(findings.reliability.get(split, []), split)
        ],
    }


def _winners(scores: Scores) -> str:
    """Who is best, by metric, over all later interactions; then over candidates new to the user."""
    parts = []
    for where, rivals in (("", scores.later_rivals), (", new to the user", scores.new_rivals)):
        best = winners(scores.overall(), rivals)
        parts += [
            f"{metric_tables.label(metric)}{where} {metric_tables.NAMES[rival]}"
            for metric, rival in best.items()
        ]
    return ", ".join(parts)


def _title(split: str) -> str:
    return f"{split.capitalize()} split"


def _tables(scores: Scores, split: str) -> list[metric_tables.MetricTable]:
    judged = metric_tables.judgement_table(scores, _title(split))
    return [metric_tables.list_table(scores, _title(split)), *([judged] if judged else [])]


def _samples(findings: Findings, scores: Mapping[str, Scores]) -> list[tuple[str, float, int]]:
    """Split, interactions evaluated and those there are, where only a sample was evaluated."""
    splits = findings.ingestion.splits if findings.ingestion else {}
    return [
        (split, evaluated, splits[split].count)
        for split, s in scores.items()
        if split in splits and (evaluated := s.value(EVALUATED)) < splits[split].count
    ]


def _curves(training: Mapping[str, Mapping[str, Sequence[float]]]) -> list[tuple[str, str, list[Markup]]]:
    """Trainer, what to say of it, and its plots: losses in one, each validation metric in its own."""
    shown = []
    for name, history in training.items():
        losses = [
            (label, colour, history[key])
            for label, colour, key in (("train", "train", "epoch_loss"), ("eval", "eval", "val_epoch_loss"))
            if history.get(key)
        ]
        plots = [figures.curves(f"{name}: loss", losses)] if losses else []
        plots += [
            figures.curves(
                f"{name}: {metric_tables.label(key.removeprefix('val_'))}, eval split",
                [("eval", "eval", values)],
                next(iter(history.get(f"before_{key}", ())), None),
            )
            for key, values in sorted(history.items(), key=lambda item: (len(item[0]), item[0]))
            if key.startswith("val_") and "@" in key and values
        ]
        epochs = max((len(values) for values in history.values()), default=0)
        said = [f"{epochs} epoch{'' if epochs == 1 else 's'}", factorized_in_words(factorized_top_k(history))]
        shown.append((name, "; ".join(filter(None, said)), plots))
    return shown


def _index_plots(tuning: Tuning | None) -> list[Markup]:
    """Recall of an index by the candidates it visits, and by the time it takes."""
    if tuning is None:
        return []
    chosen = tuning.line.index(tuning.chosen) if tuning.chosen else None
    title = f"Recall of the exact {tuning.k} best"
    return [
        figures.tradeoff(title, axis, [(cost, point.recall) for cost, point in points], chosen, tuning.target)
        for axis, points in (
            ("candidates visited, %", [(100 * point.visited, point) for point in tuning.line]),
            ("milliseconds a query", [(point.milliseconds, point) for point in tuning.line]),
        )
    ]


def _data(findings: Findings) -> dict[str, Any]:
    declared, train = findings.declaration, findings.interactions.get("train")
    ingestion = findings.ingestion
    return {
        "splits_caption": data_profile.splits_caption(ingestion) if ingestion else "",
        "splits_ends": data_profile.splits_ends(ingestion) if ingestion else (),
        "row_tables": data_profile.row_tables(ingestion) if ingestion else [],
        "timeline": data_profile.timeline(findings.interactions, declared),
        "interaction_rows": data_profile.interaction_rows(train, declared) if train else [],
        "candidate_rows": data_profile.candidate_rows(findings.candidates, declared)
        if findings.candidates
        else [],
    }


def _lineage(findings: Findings) -> dict[str, Any]:
    record, lineage = findings.record, findings.lineage
    ids = {execution.id for execution in lineage}
    steps_in_lineage = {execution.step for execution in lineage}
    return {
        "diagram": diagram.draw(record, lineage) if lineage else None,
        "lineage": [_listed(findings, execution) for execution in lineage],
        "bystanders": [
            _listed(findings, step)
            for step in record.steps.values()
            if step.id not in ids and step.step not in steps_in_lineage
        ],
        "fingerprints": [
            (execution.step, read_fingerprints(execution))
            for execution in lineage
            if read_fingerprints(execution)
        ],
    }


def _listed(findings: Findings, execution: Execution) -> dict[str, Any]:
    """A row of a table of executions; paths are shown from the run's root, where they are under it."""
    return {
        "execution": execution,
        "state": diagram.state(findings.record, execution),
        "outputs": [(key, artifact, _short(artifact.uri, findings)) for key, artifact in execution.outputs],
    }


def _short(uri: str, findings: Findings) -> str:
    path, root = locate(uri, findings.root) or Path(uri), findings.root.path
    return str(path.relative_to(root)) if path.is_relative_to(root) else uri
