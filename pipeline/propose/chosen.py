"""What the user says instead of having it guessed."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass

from components.ingest.errors import UserError
from pipeline.propose.profile import ColumnProfile, TableProfile


@dataclass(frozen=True)
class Chosen:
    """Columns of the log, and tables, by their names; None where ``westwork init`` decides.

    Attributes:
        user: The column of who.
        item: The column of what.
        time: The column of when.
        catalogue: The table of items; ``none``: the log's own columns.
        users: The table of users; ``none``: none.
    """

    user: str | None = None
    item: str | None = None
    time: str | None = None
    catalogue: str | None = None
    users: str | None = None

    @property
    def columns(self) -> dict[str, str]:
        """Option to the column it names, of those given."""
        named = {"--user": self.user, "--item": self.item, "--time": self.time}
        return {option: name for option, name in named.items() if name is not None}

    def check(self, tables: Sequence[TableProfile]) -> None:
        """Refuse names that there are not.

        Raises:
            UserError: If no table has a column named, all columns named are in no one table, two options name
                one column, or there is no such table.
        """
        for option, name in self.columns.items():
            if not any(named(table, name) for table in tables):
                raise UserError(
                    f"{option} {name}: no table has a column of that name. Found: {_shown(tables)}. Name one "
                    "of these columns."
                )
        if self.columns and not any(self.fits(table) for table in tables):
            given = " ".join(f"{option} {name}" for option, name in self.columns.items())
            raise UserError(
                f"{given}: no single table has all these columns. Found: {_shown(tables)}. Name columns of "
                "one table: the event log."
            )
        if len(set(self.columns.values())) < len(self.columns):
            raise UserError(
                f"{' '.join(f'{option} {name}' for option, name in self.columns.items())}: one column cannot "
                "be two of who, what and when. Name different columns."
            )
        for option, table in (("--catalogue", self.catalogue), ("--users", self.users)):
            if table is not None and table != "none" and table_named(tables, table) is None:
                labels = ", ".join(other.given.label for other in tables)
                raise UserError(
                    f"{option} {table}: no such table was given. Found: {labels}. Name one of these, or none."
                )

    def fits(self, table: TableProfile) -> bool:
        """Whether the table has all the columns named."""
        return all(named(table, name) for name in self.columns.values())


def named(table: TableProfile, name: str | None) -> ColumnProfile | None:
    """The table's column of that name: in the file, as declared, or but for upper and lower case."""
    if name is None:
        return None
    for spelling in (str, str.lower):
        for column in table.columns:
            if spelling(name) in (spelling(column.name), spelling(column.declared)):
                return column
    return None


def table_named(tables: Sequence[TableProfile], name: str) -> TableProfile | None:
    """The table of that path, file name or label."""
    for table in tables:
        given = table.given
        paths = {given.label, given.pattern, *(os.path.basename(file) for file in given.files)}
        if name in paths or glob.escape(os.path.abspath(name)) == given.pattern:
            return table
    stems = [table for table in tables if table.given.stem == name.lower()]
    return stems[0] if len(stems) == 1 else None


def _shown(tables: Sequence[TableProfile]) -> str:
    return "; ".join(
        f"{table.given.label} ({', '.join(column.name for column in table.columns)})" for table in tables
    )
