"""What the splits would hold, how much of them is cold, and how long histories get."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from components.ingest.declaration import TimeSplit
from components.ingest.history import history_windows
from components.ingest.partition import Partition
from components.ingest.plan import InteractionPlan
from components.ingest.split import SPLITS, TRAIN, CutPoints, TimeDistribution, cut_points
from pipeline.check_data.kept_queries import KeptQueries
from pipeline.check_data.log_reading import LogReading
from pipeline.check_data.report import HistoryFacts, SplitFacts


@dataclass(frozen=True)
class Divided:
    """The interactions of the kept queries, divided.

    Attributes:
        partition: Their rows, duplicates left out.
        cuts: Where a split by time is cut, from all usable rows; None for other splits.
        splits: [n] index into SPLITS.
        share: Share of the log's usable rows that the kept queries hold.
        share_of_queries: Share of the log's queries that they are.
    """

    partition: Partition
    cuts: CutPoints | None
    splits: np.ndarray
    share: float
    share_of_queries: float


def divide(plan: InteractionPlan, reading: LogReading, kept: KeptQueries, partition: Partition) -> Divided:
    """Divides interactions as ingestion would.

    Args:
        plan: Says how.
        reading: Of the whole log; one usable row at least.
        kept: The kept queries.
        partition: Their interactions.
    """
    cuts = None
    if isinstance(plan.split, TimeSplit):
        cuts = cut_points(TimeDistribution.merged(reading.times), plan.split)
    return Divided(partition, cuts, partition.splits(cuts), kept.share, kept.share_of_queries)


def split_facts(divided: Divided) -> dict[str, SplitFacts]:
    """Each split that holds anything, oldest first; counts scaled up to the whole log."""
    partition, splits = divided.partition, divided.splits
    facts = {}
    for code, name in enumerate(SPLITS):
        rows = np.flatnonzero(splits == code)
        if not len(rows):
            continue
        summary = partition.summary(rows)
        cold_candidates, cold_queries = None, None
        positives = rows[partition.positive[rows]]
        if code != TRAIN and len(positives):
            cold_candidates = _cold(partition.candidate_rows, splits, positives)
            cold_queries = _cold(partition.query_codes, splits, positives)
        facts[name] = SplitFacts(
            interactions=_scaled(summary.count, divided),
            positives=_scaled(summary.positives, divided),
            repeats=_scaled(summary.repeats, divided),
            queries=round(summary.queries / divided.share_of_queries),
            first=summary.first,
            last=summary.last,
            actions={action: _scaled(count, divided) for action, count in summary.actions.items()},
            cold_candidates=cold_candidates,
            cold_queries=cold_queries,
        )
    return facts


def _scaled(count: int, divided: Divided) -> int:
    return round(count / divided.share)


def _cold(ids: np.ndarray, splits: np.ndarray, rows: np.ndarray) -> float:
    """Share of some rows whose id (a number from 0) no train row has."""
    trained = np.zeros(int(ids.max()) + 1, bool)
    trained[ids[splits == TRAIN]] = True
    return float(1 - trained[ids[rows]].mean())


def history_facts(partition: Partition, length: int) -> HistoryFacts:
    """How long the histories of all interactions are.

    Args:
        partition: The interactions, one at least.
        length: The declared length.
    """
    queries, seconds = partition.query_codes, partition.seconds
    makes_history = np.zeros(partition.count, bool)
    makes_history[partition.events] = True
    past = history_windows(queries, seconds, makes_history, length=partition.count).sizes
    kept = np.minimum(past, length)
    as_before = (queries[1:] == queries[:-1]) & (seconds[1:] == seconds[:-1])
    shared = np.concatenate([[False], as_before]) | np.concatenate([as_before, [False]])
    return HistoryFacts(
        length=length,
        median=float(np.median(kept)),
        empty=float((past == 0).mean()),
        truncated=float((past > length).mean()),
        same_moment=float(shared.mean()),
    )
