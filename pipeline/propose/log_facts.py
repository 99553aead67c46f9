"""What the event log as a whole shows: rows that would be refused, repetitions, length of histories."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.files.columns import Column
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
    """

    rows: int
    bad: float
    bad_reasons: tuple[str, ...]
    unknown: int
    duplicates: int
    repeats: float
    history: tuple[int, int]
    whole: bool

    @property
    def unknown_share(self) -> float:
        """Share of the rows whose candidate the catalogue lacks."""
        return self.unknown / self.rows

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


def look_at_log(roles: Roles, judgement: Judgement) -> LogFacts:
    """Measures the log."""
    log = roles.log
    rows = log.sample.rows.num_rows
    query, candidate = roles.query.text, roles.candidate.text
    unit = roles.timestamp.moments.unit if roles.timestamp.moments else None
    moment = Column(name=roles.timestamp.name, type="moment", unit=unit or "s")
    cells = log.sample.rows[roles.timestamp.name].combine_chunks()
    seconds, wrong_time = moment.convert(cells)
    faults = {
        f"no {roles.query.name}": _mask(pc.is_null(query)),
        f"no {roles.candidate.name}": _mask(pc.is_null(candidate)),
        f"no {roles.timestamp.name}, or none that can be read": wrong_time | _mask(pc.is_null(seconds)),
    }
    if judgement.rating:
        faults[f"no {judgement.rating.name}"] = _mask(pc.is_null(judgement.rating.text))
    if judgement.action_column:
        faults[f"no {judgement.action_column.name}"] = _mask(pc.is_null(judgement.action_column.text))
    bad = np.logical_or.reduce(list(faults.values()))
    reasons = [f"{mask.sum():,} rows with {fault}" for fault, mask in faults.items() if mask.any()]
    if log.sample.malformed:
        reasons.append(f"{log.sample.malformed:,} rows with too many or too few cells")
    unknown = ~bad & ~_mask(pc.is_in(candidate, value_set=roles.catalogue.mentioned))
    action = judgement.action_column.text if judgement.action_column else pa.nulls(rows, pa.string())
    good = pa.table({"q": query, "c": candidate, "t": seconds, "a": action}).filter(pa.array(~bad))
    pairs = good.group_by(["q", "c"]).aggregate([("t", "count_distinct")])
    moments = pc.sum(pairs["t_count_distinct"]).as_py() or 0
    events = good.group_by(["q", "c", "t", "a"]).aggregate([]).num_rows
    lengths = good.group_by("q").aggregate([("c", "count")])["c_count"].to_numpy()
    total = max(1, good.num_rows)
    return LogFacts(
        rows=rows,
        bad=(int(bad.sum()) + log.sample.malformed) / (rows + log.sample.malformed),
        bad_reasons=tuple(reasons),
        unknown=int(unknown.sum()),
        duplicates=good.num_rows - events,
        repeats=(moments - pairs.num_rows) / total,
        history=(int(np.median(lengths)), int(np.quantile(lengths, 0.9))) if len(lengths) else (0, 0),
        whole=log.sample.whole,
    )


def _mask(values: pa.Array) -> np.ndarray:
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)
