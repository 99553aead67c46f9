"""What the event log as a whole shows: rows that would be refused, repetitions, length of histories."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.declaration import TimeSplit
from components.ingest.split import TimeDistribution, cut_points
from pipeline.propose.judgement import Judgement
from pipeline.propose.roles import Roles

_COMMON = 0.1


@dataclass(frozen=True)
class LogFacts:
    """Measured on the sample of the log's main table.

    Attributes:
        rows: Rows looked at.
        bad: Share of rows that ingestion would refuse for other reasons than an unknown candidate.
        bad_reasons: What is wrong with them, in words.
        unknown: Rows, not bad, whose candidate the catalogue lacks.
        duplicates: Rows that repeat who, what, when (and action) of an earlier one.
        repeats: Share of rows in which somebody meets a candidate again, at another time.
        history: Interactions of each query: median and nine tenths.
        whole: Whether all rows were looked at.
        left_out: Rows that the proposed ``where`` leaves out.
        with_past: Share of rows whose query has an earlier one.
        last_positives: Queries with at least three positive rows: of them the last ones can be held out.
        cuts: Positive rows of train, eval and test, were they split by time in the default shares.
        known: Share of eval's and test's positive rows then whose query is in train.
        positives: Share of the rows that are positive.
    """

    rows: int
    bad: float
    bad_reasons: tuple[str, ...]
    unknown: int
    duplicates: int
    repeats: float
    history: tuple[int, int]
    whole: bool
    left_out: int
    with_past: float
    last_positives: int
    cuts: tuple[int, int, int]
    known: float
    positives: float

    @property
    def unknown_share(self) -> float:
        """Share of the rows whose candidate the catalogue lacks."""
        return self.unknown / max(1, self.rows)

    @property
    def repeats_are_common(self) -> bool:
        """Whether recommending the same again is part of the matter, as with groceries and songs."""
        return self.repeats > _COMMON

    @property
    def history_length(self) -> int:
        """A length that holds most histories, or a good part of long ones."""
        return next((length for length in (10, 20, 50) if self.history[1] <= length), 50)

    def max_bad_fraction(self, unknown_refused: bool) -> float:
        """Room for the share of bad rows that was found, and twice that; never none for a sample."""
        share = self.bad + (self.unknown_share if unknown_refused else 0.0)
        if share == 0:
            return 0.0 if self.whole else 0.001
        digits = 2 - math.floor(math.log10(2 * share)) - 1
        return min(0.99, math.ceil(2 * share * 10**digits) / 10**digits)


def look_at_log(roles: Roles, judgement: Judgement, kept: np.ndarray) -> LogFacts:
    """Measure the log.

    Args:
        roles: Which columns are what.
        judgement: What makes a row positive.
        kept: [rows of the main table's sample] bool: the rows that the proposed ``where`` leaves.
    """
    log = roles.log
    left_out = int((~kept).sum())
    query, candidate = (column.text.filter(pa.array(kept)) for column in (roles.query, roles.candidate))
    rows = len(query)
    seconds, wrong_time = _moments(roles, kept)
    faults = {
        f"no {roles.query.name}": _mask(pc.is_null(query)),
        f"no {roles.candidate.name}": _mask(pc.is_null(candidate)),
    }
    if roles.timestamp:
        missing = wrong_time | _mask(pc.is_null(seconds))
        faults[f"no {roles.timestamp.name}, or none that can be read"] = missing
    for column in (judgement.rating, judgement.action_column):
        if column:
            faults[f"no {column.name}"] = _mask(pc.is_null(column.text.filter(pa.array(kept))))
    bad = np.logical_or.reduce(list(faults.values()))
    reasons = [f"{mask.sum():,} rows with {fault}" for fault, mask in faults.items() if mask.any()]
    if log.sample.malformed:
        reasons.append(f"{log.sample.malformed:,} rows with too many or too few cells")
    unknown = (
        ~bad & ~_mask(pc.is_in(candidate, value_set=roles.catalogue.mentioned))
        if roles.catalogue
        else np.zeros(rows, bool)
    )
    action = judgement.action_column.text if judgement.action_column else pa.nulls(len(kept), pa.string())
    positive = pa.array(judgement.positive(len(kept))[kept])
    columns = {"q": query, "c": candidate, "t": seconds, "a": action.filter(pa.array(kept)), "p": positive}
    good = pa.table(columns).filter(pa.array(~bad))
    pairs = good.group_by(["q", "c"]).aggregate([("t", "count_distinct")])
    moments = pc.sum(pairs["t_count_distinct"]).as_py() or 0
    events = good.group_by(["q", "c", "t", "a"]).aggregate([]).num_rows
    people = good.group_by("q").aggregate([("c", "count"), ("t", "min"), ("p", "sum")])
    lengths = people["c_count"].to_numpy()
    cuts, known = _cuts(good)
    total = max(1, good.num_rows)
    return LogFacts(
        rows=rows,
        bad=(int(bad.sum()) + log.sample.malformed) / max(1, rows + log.sample.malformed),
        bad_reasons=tuple(reasons),
        unknown=int(unknown.sum()),
        duplicates=good.num_rows - events if roles.timestamp else good.num_rows - pairs.num_rows,
        repeats=(moments - pairs.num_rows) / total,
        history=(int(np.median(lengths)), int(np.quantile(lengths, 0.9))) if len(lengths) else (0, 0),
        whole=log.sample.whole,
        left_out=left_out,
        with_past=_with_past(good, people),
        last_positives=int((people["p_sum"].to_numpy() >= 3).sum()),
        cuts=cuts,
        known=known,
        positives=float(good["p"].to_numpy().mean()) if good.num_rows else 0.0,
    )


def _moments(roles: Roles, kept: np.ndarray) -> tuple[pa.Array, np.ndarray]:
    """[rows kept] moments and the mask of unreadable ones; the rows' numbers where there is no time."""
    column = roles.order_column or roles.timestamp
    if roles.timestamp is None or column is None:
        return pa.array(np.arange(kept.sum())), np.zeros(int(kept.sum()), bool)
    if roles.order_column:
        return pa.array(roles.order_column.numbers.astype(np.int64)[kept]), np.zeros(int(kept.sum()), bool)
    assert column.moments is not None and column.cells is not None
    return column.moments.read(column.cells.filter(pa.array(kept)))


def _with_past(good: pa.Table, people: pa.Table) -> float:
    """Share of the rows that are later than the first of their query."""
    if not good.num_rows:
        return 0.0
    first = good.join(people.select(["q", "t_min"]), "q")
    return float(pc.mean(pc.greater(first["t"], first["t_min"])).as_py() or 0.0)


def _cuts(good: pa.Table) -> tuple[tuple[int, int, int], float]:
    """``cuts`` and ``known`` of :class:`LogFacts`."""
    seconds = good["t"].to_numpy()
    points = cut_points(TimeDistribution.of(seconds), TimeSplit())
    if points is None:
        return (0, 0, 0), 0.0
    splits, positive = points.split_of(seconds), good["p"].to_numpy()
    counts = np.bincount(splits, weights=positive, minlength=3)
    trained = pc.unique(good["q"].filter(pa.array(splits == 0)))
    later = good["q"].filter(pa.array(positive & (splits > 0)))
    known = pc.mean(pc.is_in(later, value_set=trained)).as_py() or 0.0
    return (int(counts[0]), int(counts[1]), int(counts[2])), known


def _mask(values: pa.Array) -> np.ndarray:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)
