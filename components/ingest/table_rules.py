"""What a table may declare about its rows and cells: which rows to keep, and how cells become others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from components.ingest.conditions import DeclaredCondition, DeclaredScalar
from components.ingest.files.numbers import Numerals
from components.ingest.strict import Strict

EVERY_COLUMN = "*"
"""Stands for every column under ``missing``."""


class Clean(Strict):
    """How the text of a column's cells is made alike, in the order of these keys."""

    trim: bool = Field(default=False, description="Drop white space at both ends.")
    case: Literal["lower", "upper"] | None = None
    leading_zeros: Literal["drop"] | None = Field(
        default=None, description="Drop zeros before another letter or digit: 007 becomes 7."
    )

    @model_validator(mode="after")
    def _does_something(self) -> Clean:
        if not (self.trim or self.case or self.leading_zeros):
            raise ValueError("changes nothing; expected trim: true, case: or leading_zeros: drop")
        return self


class Derive(Strict):
    """A column made of others, missing where any of them is."""

    columns: tuple[str, ...] = Field(min_length=1)
    separator: str = " "


class Explode(Strict):
    """A cell that lists several interactions, each of which becomes a row."""

    column: str
    separator: str = Field(default=" ", min_length=1, description="Between two of the list.")
    into: tuple[str, ...] = Field(min_length=1, description="Columns that one of the list becomes.")
    between: str | None = Field(
        default=None, min_length=1, description="Between the values of one; the last such places count."
    )

    @model_validator(mode="after")
    def _values_can_be_told_apart(self) -> Explode:
        if len(set(self.into)) < len(self.into):
            raise ValueError(f"into: found {', '.join(self.into)}; expected each column once")
        if (len(self.into) > 1) != (self.between is not None):
            raise ValueError(
                f"found {len(self.into)} columns in 'into' and between: {self.between!r}; expected 'between' "
                "for two columns or more, and none for one"
            )
        return self


class TableRules(Strict):
    """The keys of a table about its rows and cells, in the order in which they are applied."""

    clean: dict[str, Clean] = Field(
        default_factory=dict, description="Column to how the text of its cells is made alike."
    )
    missing: dict[str, Annotated[tuple[DeclaredScalar, ...], Field(min_length=1)]] = Field(
        default_factory=dict,
        description="Column to the values in it that stand for none; `'*'` is every column.",
    )
    derive: dict[str, Derive] = Field(
        default_factory=dict, description="New column to the columns that it is made of."
    )
    where: dict[str, DeclaredCondition] = Field(
        default_factory=dict, description="Column to a condition; rows are kept where all of them hold."
    )
    decimal: Literal[".", ","] = Field(
        default=".", description="What text has before a number's fraction: `3.50` or `3,50`."
    )
    thousands: Literal["", ",", ".", " ", "'"] = Field(
        default="", description="What text has between a number's groups of digits: `1,234` or `1 234`."
    )

    @model_validator(mode="after")
    def _numerals_differ(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(
                f"found {self.decimal!r} for both decimal and thousands; expected two signs: a number "
                f"such as 1{self.thousands}234 would have two meanings"
            )
        return self

    @property
    def numerals(self) -> Numerals:
        """How text of these files writes numbers."""
        return Numerals(self.decimal, self.thousands)

    @property
    def listing(self) -> Explode | None:
        """How a cell becomes several rows; only sources of the log can say."""
        return None

    @property
    def ordering(self) -> str | None:
        """The column that says which of several rows of one id is the newest, where there is one."""
        return None

    @property
    def has_rules(self) -> bool:
        """Whether any rule is declared."""
        return bool(self.clean or self.missing or self.derive or self.where or self.listing)

    @model_validator(mode="after")
    def _cells_are_cleaned_before_columns_are_made(self) -> TableRules:
        made = {*self.derive, *(self.listing.into if self.listing else ())}
        parts = {part for rule in self.derive.values() for part in rule.columns}
        parts |= {self.listing.column} if self.listing else set()
        for key, names in (("clean", self.clean), ("missing", self.missing)):
            for name in names:
                if name in made - parts:
                    raise ValueError(
                        f"{key}: column {name!r} is made by derive or explode, which come after {key}; name "
                        "the columns that it is made of"
                    )
        return self


def columns_to_read(table: TableRules, wanted: Sequence[str]) -> list[str]:
    """The columns of the file, by their declared names, that make the wanted ones.

    Args:
        table: Says how columns are made.
        wanted: Declared names.
    """
    return list(_sources_of(table, dict.fromkeys([*wanted, *table.where])))


def columns_expected(table: TableRules, wanted: Sequence[str]) -> list[str]:
    """The columns, by their declared names, that the file must have: also those that only a rule names."""
    ordering = [table.ordering] if table.ordering else []
    made = _sources_of(table, dict.fromkeys([*wanted, *ordering, *table.where, *table.derive]))
    of_cells = (name for name in (*table.clean, *table.missing) if name != EVERY_COLUMN)
    return list(dict.fromkeys([*made, *of_cells]))


def _sources_of(table: TableRules, names: dict[str, None]) -> dict[str, None]:
    if table.listing:
        kept = [name for name in names if name not in table.listing.into]
        names = dict.fromkeys([*kept, table.listing.column])
    for made, rule in reversed(table.derive.items()):
        if made in names:
            names = dict.fromkeys([*(name for name in names if name != made), *rule.columns])
    return names
