"""The rules a table declares about its rows and cells, applied to rows as they come out of a file.

Order: clean, missing, derive, explode, where.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.conditions import Condition, Scalar, parse_condition, scalar
from components.ingest.files.columns import as_text
from components.ingest.files.condition_masks import Cells, all_held, expected_of, is_any
from components.ingest.files.rows import MalformedRow, Rows, shorten
from components.ingest.table_rules import EVERY_COLUMN, Clean, Explode, TableRules

_LEADING_ZEROS = r"^0+([0-9A-Za-z])"


@dataclass(frozen=True)
class RowRules:
    """A table's rules, read once for all its rows.

    Attributes:
        table: Declares them.
        wanted: Declared names of the columns that the rows are to have.
        conditions: ``where``, read.
        none: ``missing``, read.
    """

    table: TableRules
    wanted: tuple[str, ...]
    conditions: Mapping[str, Condition]
    none: Mapping[str, tuple[Scalar, ...]]

    @classmethod
    def of(cls, table: TableRules, wanted: Sequence[str]) -> RowRules:
        """Reads a table's rules."""
        return cls(
            table,
            tuple(wanted),
            {name: parse_condition(value) for name, value in table.where.items()},
            {name: tuple(scalar(value) for value in values) for name, values in table.missing.items()},
        )

    def apply(self, rows: Rows) -> Rows:
        """Applies all rules.

        Args:
            rows: With the columns of :func:`~components.ingest.table_rules.columns_to_read`.

        Returns:
            Rows with the wanted columns. Those that ``where`` leaves out are counted; those that a rule
            cannot be applied to are among the malformed.
        """
        cells = dict(zip(rows.batch.schema.names, rows.batch.columns, strict=True))
        for name in cells:
            if name in self.table.clean:
                cells[name] = _cleaned(cells[name], self.table.clean[name])
            none = (*self.none.get(name, ()), *self.none.get(EVERY_COLUMN, ()))
            if none:
                cells[name] = _without(Cells(cells[name], self.table.numerals), cells[name], none)
        self._derive(cells)
        if self.table.listing:
            rows, cells = _exploded(rows, cells, self.table.listing)
        return self._kept(rows, cells)

    def _derive(self, cells: dict[str, pa.Array]) -> None:
        """Adds the columns that are made of those that are there."""
        for name, rule in self.table.derive.items():
            if all(part in cells for part in rule.columns):
                parts = [Cells(cells[part]).text for part in rule.columns]
                cells[name] = pc.binary_join_element_wise(*parts, pa.scalar(rule.separator, pa.string()))

    def _kept(self, rows: Rows, cells: Mapping[str, pa.Array]) -> Rows:
        """The rows for which every condition holds."""
        batch = pa.RecordBatch.from_arrays([cells[name] for name in self.wanted], list(self.wanted))
        if not self.conditions:
            return replace(rows, batch=batch)
        found = all_held(self.conditions, cells, self.table.numerals)
        if found.holds.all():
            return replace(rows, batch=batch)
        malformed = list(rows.malformed)
        names = list(self.conditions)
        for row in np.flatnonzero(found.first_wrong >= 0).tolist():
            name = names[found.first_wrong[row]]
            value = as_text(cells[name].slice(row, 1))[0].as_py()
            expected = expected_of(self.conditions[name])
            reason = f"the condition on {name!r} under 'where' needs {expected}"
            malformed.append(MalformedRow(int(rows.numbers[row]), shorten(value) or "", reason, name))
        return Rows(
            rows.file,
            rows.numbers[found.holds],
            batch.filter(pa.array(found.holds)),
            tuple(malformed),
            rows.left_out + int(found.fails.sum()),
        )


def _cleaned(cells: pa.Array, rule: Clean) -> pa.Array:
    """[n] strings; lists stay as they are."""
    if pa.types.is_nested(cells.type):
        return cells
    text = as_text(cells)
    if rule.trim:
        text = pc.utf8_trim_whitespace(text)
    if rule.case:
        text = pc.utf8_lower(text) if rule.case == "lower" else pc.utf8_upper(text)
    if rule.leading_zeros:
        text = pc.replace_substring_regex(text, pattern=_LEADING_ZEROS, replacement=r"\1", max_replacements=1)
    return text


def _without(read: Cells, cells: pa.Array, none: tuple[Scalar, ...]) -> pa.Array:
    """The cells, null where they are one of the values that stand for none."""
    found = is_any(read, none)
    return pc.if_else(pa.array(found), pa.scalar(None, cells.type), cells) if found.any() else cells


def _exploded(rows: Rows, cells: Mapping[str, pa.Array], rule: Explode) -> tuple[Rows, dict[str, pa.Array]]:
    """A row for each of those that a cell lists; they keep its number. An empty cell lists none."""
    pieces, owners = _listed(cells[rule.column], rule)
    values, wrong = _values_of(pieces, rule)
    malformed = [
        MalformedRow(
            int(rows.numbers[owners[place]]),
            shorten(pieces[place].as_py()) or "",
            f"expected {len(rule.into)} values with {rule.between!r} between them",
            rule.column,
        )
        for place in np.flatnonzero(wrong).tolist()
    ]
    owners = owners[~wrong]
    taken = pa.array(owners)
    exploded = {name: column.take(taken) for name, column in cells.items()}
    exploded.update(zip(rule.into, values, strict=True))
    return replace(rows, numbers=rows.numbers[owners], malformed=(*rows.malformed, *malformed)), exploded


def _listed(cells: pa.Array, rule: Explode) -> tuple[pa.Array, np.ndarray]:
    """[m] strings that [n] cells list, none empty; and [m] int64, whose."""
    if not (pa.types.is_list(cells.type) or pa.types.is_large_list(cells.type)):
        cells = pc.split_pattern(Cells(cells).text, pattern=rule.separator)
    pieces = pc.utf8_trim_whitespace(as_text(pc.list_flatten(cells)))
    owners = pc.list_parent_indices(cells).to_numpy().astype(np.int64)
    kept = pc.fill_null(pc.greater(pc.binary_length(pieces), 0), False)
    return pieces.filter(kept), owners[kept.to_numpy(zero_copy_only=False)]


def _values_of(pieces: pa.Array, rule: Explode) -> tuple[list[pa.Array], np.ndarray]:
    """The values of each column of ``into``, and [m] bool: pieces that have another number of them."""
    if rule.between is None:
        return [pieces], np.zeros(len(pieces), bool)
    count = len(rule.into)
    parts = pc.split_pattern(pieces, pattern=rule.between, max_splits=count - 1, reverse=True)
    right = pc.equal(pc.list_value_length(parts), count)
    parts = parts.filter(right)
    values = [pc.list_element(parts, place) for place in range(count)]
    return values, ~right.to_numpy(zero_copy_only=False)
