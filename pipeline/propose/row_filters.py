"""Which rows of the log are no interactions, or take one back: gaps, returns, ratings that are none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.propose import words
from pipeline.propose.judgement import Judgement
from pipeline.propose.profile import ColumnProfile, TableProfile
from pipeline.propose.roles import Roles
from pipeline.propose.who_what import head

_GAPS = 0.01
"""From this share on, rows without a user or item are left out rather than counted as bad."""
_MOST_RETURNS = 0.5
_MARKED = 0.9


@dataclass(frozen=True)
class RowFilters:
    """The rows that are left out, and those that take others back.

    Attributes:
        roles: The roles, the logs with their ``where``.
        kept: [rows of the main table's sample] bool: neither left out nor a cancellation.
        cancellations: Column and condition of the rows that take an interaction back; empty for none.
        why: What speaks for these.
    """

    roles: Roles
    kept: np.ndarray
    cancellations: dict[str, Any]
    why: str


def find_filters(roles: Roles, judgement: Judgement) -> RowFilters:
    """Look for rows that are no interactions."""
    logs = [_without_gaps(log, roles) for log in roles.logs]
    rows = roles.log.sample.rows.num_rows
    kept = np.ones(rows, bool)
    for name in logs[0].edits.where:
        column = next(c for c in logs[0].columns if c.declared == name)
        kept &= pc.is_valid(column.text).to_numpy(zero_copy_only=False)
    if judgement.rating and judgement.zero_is_none:
        grades = pc.fill_null(pc.cast(judgement.rating.text, pa.float64()), 0.0).to_numpy()
        least = min(grade for grade in np.unique(judgement.rating.numbers) if grade > 0)
        why = f"{(grades == 0).mean():.0%} of {judgement.rating.name} are 0, which says there is none"
        logs = [
            replace(log, edits=log.edits.with_where(judgement.rating.declared, f"{least:g}..", why))
            for log in logs
        ]
        kept &= grades > 0
    cancellations, why, cancelled = _cancellations(roles, judgement)
    return RowFilters(replace(roles, logs=tuple(logs)), kept & ~cancelled, cancellations, why)


def _without_gaps(log: TableProfile, roles: Roles) -> TableProfile:
    """The table with a condition for each key that a good part of the rows lacks."""
    for key in (roles.query, roles.candidate, roles.timestamp):
        column = next((c for c in log.columns if key and c.declared == key.declared), None)
        if column and column.missing_share >= _GAPS:
            why = f"{column.missing_share:.1%} of the rows have no {column.name}"
            log = replace(log, edits=log.edits.with_where(column.declared, "present", why))
    return log


def _cancellations(roles: Roles, judgement: Judgement) -> tuple[dict[str, Any], str, np.ndarray]:
    """Rows of a negative quantity; by the sign of it, or by a mark that another column gives them."""
    log = roles.log
    nothing = np.zeros(log.sample.rows.num_rows, bool)
    taken = [roles.query, roles.candidate, roles.timestamp, judgement.rating, judgement.action_column]
    for column in log.columns:
        if column in taken or not len(column.numbers) or head(column) not in words.QUANTITIES:
            continue
        numbers = pc.fill_null(pc.cast(column.text, pa.float64()), 0.0).to_numpy()
        negative = numbers < 0
        if not 0 < negative.mean() < _MOST_RETURNS or any(
            column.declared not in {c.declared for c in other.columns} for other in roles.logs
        ):
            continue
        most = numbers[negative].max()
        why = (
            f"{negative.mean():.1%} of {column.name} are below 0: each such row takes back the latest "
            "earlier "
            f"one of the same {roles.query.name} and {roles.candidate.name}. Without this key, "
            f"`where: {{{column.declared}: 0..}}` would leave them out"
        )
        marked = _mark(log, negative)
        if marked:
            why += f"; they are those whose {marked[0].name} begins with {marked[1]}"
        return {column.declared: f"..{most:g}"}, why, negative
    return {}, "", nothing


def _mark(log: TableProfile, rows: np.ndarray) -> tuple[ColumnProfile, str] | None:
    """A column whose cells begin with one letter in those rows, and hardly ever in others."""
    for column in log.columns:
        if column.shape != "text" or column.moments:
            continue
        first = pc.utf8_slice_codeunits(column.text, 0, 1)
        inside = pc.value_counts(first.filter(pa.array(rows)).drop_null())
        if not len(inside):
            continue
        letter = max(inside.to_pylist(), key=lambda item: item["counts"])["values"]
        has = pc.fill_null(pc.equal(first, letter), False).to_numpy(zero_copy_only=False)
        if letter.isalpha() and has[rows].mean() >= _MARKED and has[~rows].mean() < 1 - _MARKED:
            return column, letter
    return None
