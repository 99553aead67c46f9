"""Where a condition holds, of all cells of a column at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from components.ingest.conditions import (
    FALSE_WORDS,
    TRUE_WORDS,
    AnyOf,
    Condition,
    Equal,
    InRange,
    Like,
    Not,
    Present,
    Scalar,
)
from components.ingest.files.columns import Column, as_text
from components.ingest.files.moments import to_seconds
from components.ingest.files.numbers import PLAIN, Numerals


class Held(NamedTuple):
    """[n] bool: where a condition holds; and [n] bool: where it cannot be told.

    It cannot be told where a range is asked for and the cell is no number, or no time. What a cell that is
    not ``wrong`` holds is right.
    """

    holds: np.ndarray
    wrong: np.ndarray


class AllHeld(NamedTuple):
    """Where several conditions hold.

    Attributes:
        holds: [n] bool, all of them.
        fails: [n] bool, one of them does not: it does not matter then that another cannot be told.
        first_wrong: [n] int64, of the other rows the place of the first that cannot be told; else -1.
    """

    holds: np.ndarray
    fails: np.ndarray
    first_wrong: np.ndarray


class Cells:
    """A column's cells, as text, numbers and moments; each made when first asked for."""

    def __init__(self, cells: pa.Array, numerals: Numerals = PLAIN) -> None:
        """Takes [n] cells of any type, as read, and how their text writes numbers."""
        self._numerals = numerals
        self._cells = cells.dictionary_decode() if pa.types.is_dictionary(cells.type) else cells

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def is_list(self) -> bool:
        """Whether the cells are lists or objects, which nothing can be compared with."""
        return pa.types.is_nested(self._cells.type)

    @cached_property
    def text(self) -> pa.Array:
        """[n] strings, null where there is nothing: an empty cell, a null, a NaN."""
        cells = self._cells
        if pa.types.is_floating(cells.type):
            cells = pc.if_else(pc.is_nan(cells), pa.scalar(None, cells.type), cells)
        text = as_text(cells)
        empty = pc.equal(pc.binary_length(text), 0)
        return pc.if_else(empty, pa.scalar(None, pa.string()), text)

    @cached_property
    def present(self) -> np.ndarray:
        """[n] bool."""
        if pa.types.is_list(self._cells.type) or pa.types.is_large_list(self._cells.type):
            return _mask(pc.greater(pc.list_value_length(self._cells), 0))
        return _mask(pc.is_valid(self._cells if self.is_list else self.text))

    @cached_property
    def numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """[n] doubles, NaN where there is none; and [n] bool, where something else is."""
        values, wrong = Column(name="", type="number").convert(self._cells, self._numerals)
        return values.to_numpy(zero_copy_only=False).astype(np.float64), wrong

    @cached_property
    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """[n] seconds since 1970, NaN where there is none; and [n] bool, where something else is."""
        seconds, wrong, counted = to_seconds(self._cells, "s", "UTC")
        values = seconds.to_numpy(zero_copy_only=False).astype(np.float64)
        # A number says nothing of its unit.
        return values, wrong | (counted & ~np.isnan(values))


def held(condition: Condition, cells: Cells) -> Held:
    """Where a condition holds."""
    nowhere = np.zeros(len(cells), bool)
    if isinstance(condition, Present):
        return Held(cells.present, nowhere)
    if isinstance(condition, Not):
        inner = held(condition.condition, cells)
        return Held(~inner.holds & ~inner.wrong, inner.wrong)
    if isinstance(condition, AnyOf):
        parts = [held(part, cells) for part in condition.conditions]
        holds = np.logical_or.reduce([part.holds for part in parts])
        return Held(holds, ~holds & np.logical_or.reduce([part.wrong for part in parts]))
    if cells.is_list:
        return Held(nowhere, cells.present)
    if isinstance(condition, Like):
        return Held(
            _mask(pc.match_substring_regex(cells.text, pattern=_expression(condition.pattern))), nowhere
        )
    if isinstance(condition, Equal):
        return Held(is_any(cells, condition.values), nowhere)
    return _in_range(condition, cells)


def all_held(
    conditions: Mapping[str, Condition], cells: Mapping[str, pa.Array], numerals: Numerals = PLAIN
) -> AllHeld:
    """Where all of some conditions hold, one at least.

    Args:
        conditions: Column to its condition.
        cells: Column to its [n] cells.
        numerals: How their text writes numbers.
    """
    found = [held(condition, Cells(cells[name], numerals)) for name, condition in conditions.items()]
    fails = np.logical_or.reduce([~one.holds & ~one.wrong for one in found])
    wrong = np.array([one.wrong for one in found]) & ~fails
    first_wrong = np.where(wrong.any(axis=0), wrong.argmax(axis=0), -1)
    return AllHeld(~fails & (first_wrong < 0), fails, first_wrong)


def is_any(cells: Cells, values: tuple[Scalar, ...]) -> np.ndarray:
    """[n] bool: which cells are one of some values. Nothing is not a value."""
    if cells.is_list:
        return np.zeros(len(cells), bool)
    words = [value for value in values if isinstance(value, str)]
    numbers = [value for value in values if isinstance(value, float)]
    found = _mask(pc.is_in(cells.text, value_set=pa.array(words, pa.string())))
    if numbers:
        found |= np.isin(cells.numbers[0], numbers)
    truths = [
        word for value in values if isinstance(value, bool) for word in (TRUE_WORDS if value else FALSE_WORDS)
    ]
    if truths:
        found |= _mask(pc.is_in(pc.utf8_lower(cells.text), value_set=pa.array(truths, pa.string())))
    return found


def expected_of(condition: Condition) -> str:
    """What a cell must be for a condition to be told of it, for an error message."""
    if isinstance(condition, Not):
        return expected_of(condition.condition)
    parts = condition.conditions if isinstance(condition, AnyOf) else (condition,)
    kinds = {part.of for part in parts if isinstance(part, InRange)}
    return (
        {"number": "a number", "moment": "an ISO date or time"}[kinds.pop()]
        if len(kinds) == 1
        else "one value"
    )


def _in_range(condition: InRange, cells: Cells) -> Held:
    values, wrong = cells.numbers if condition.of == "number" else cells.moments
    holds = ~np.isnan(values) & ~wrong
    if condition.lower is not None:
        holds &= values >= condition.lower
    if condition.upper is not None:
        holds &= values <= condition.upper
    return Held(holds, wrong)


def _expression(pattern: str) -> str:
    signs = {"*": ".*", "?": "."}
    return r"\A(?s:" + "".join(signs.get(sign, re.escape(sign)) for sign in pattern) + r")\z"


def _mask(values: pa.Array) -> np.ndarray:
    """[n] bool of an Arrow boolean array; null counts as false."""
    return pc.fill_null(values, False).to_numpy(zero_copy_only=False)
