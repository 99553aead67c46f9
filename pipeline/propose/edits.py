"""What has to be done to a table's rows before they mean what their columns say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Edits:
    """The keys of a table in the domain file that change its rows, by declared column.

    Attributes:
        clean: Column to what is done to its text.
        missing: Column, or ``*`` for all, to the values that stand for none.
        derive: New column to what it is made of.
        explode: How a cell that lists several interactions becomes as many rows.
        where: Column to the condition that rows meet.
        numbers: ``decimal`` and ``thousands``, where they are not as usual.
        why: Key to what speaks for it.
    """

    clean: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    missing: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    derive: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    explode: Mapping[str, Any] | None = None
    where: Mapping[str, Any] = field(default_factory=dict)
    numbers: Mapping[str, str] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)

    def keys(self) -> list[tuple[str, Any]]:
        """The keys to write, in the order in which ingestion applies them."""
        named: list[tuple[str, Any]] = [
            *self.numbers.items(),
            ("clean", {name: dict(rules) for name, rules in self.clean.items()}),
            ("missing", {name: list(values) for name, values in self.missing.items()}),
            ("derive", {name: dict(rule) for name, rule in self.derive.items()}),
            ("explode", dict(self.explode) if self.explode else None),
            ("where", dict(self.where)),
        ]
        return [(key, value) for key, value in named if value]

    @property
    def columns(self) -> frozenset[str]:
        """The columns of the file that the edits name."""
        named = {*self.clean, *self.missing, *self.where} - {"*"}
        for rule in self.derive.values():
            named.update(rule["columns"])
        if self.explode:
            named.add(self.explode["column"])
            named -= set(self.explode["into"])
        return frozenset(named - set(self.derive))

    def with_clean(self, column: str, rules: Mapping[str, Any], why: str) -> Edits:
        """The edits and one clean-up more."""
        return replace(self, clean={**self.clean, column: rules}, why={**self.why, "clean": why})

    def with_missing(self, column: str, values: tuple[Any, ...], why: str) -> Edits:
        """The edits and more values that stand for none."""
        known = self.missing.get(column, ())
        also = "; ".join(filter(None, (self.why.get("missing"), why)))
        return replace(
            self,
            missing={**self.missing, column: tuple(dict.fromkeys((*known, *values)))},
            why={**self.why, "missing": also},
        )

    def with_where(self, column: str, condition: Any, why: str) -> Edits:
        """The edits and one condition more."""
        also = "; ".join(filter(None, (self.why.get("where"), why)))
        return replace(self, where={**self.where, column: condition}, why={**self.why, "where": also})


def cleaned(text: pa.Array, rules: Mapping[str, Any]) -> pa.Array:
    """[n] strings with a clean-up's rules applied."""
    if rules.get("trim"):
        text = pc.utf8_trim_whitespace(text)
    if rules.get("case") == "lower":
        text = pc.utf8_lower(text)
    if rules.get("leading_zeros") == "drop":
        text = pc.replace_substring_regex(text, r"^0+(\d)", r"\1")
    return text


def without(text: pa.Array, values: tuple[Any, ...]) -> pa.Array:
    """[n] strings, null where they are one of ``values``."""
    absent = pc.is_in(text, value_set=pa.array([str(value) for value in values]))
    return pc.if_else(absent, pa.scalar(None, pa.string()), text)
