"""Columns of money in several currencies, whose numbers do not compare."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from itertools import islice

import pyarrow as pa

from components.ingest.declaration import Declaration, Source
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.numbers import currencies
from components.ingest.files.tables import read_batches
from components.ingest.plan import CandidatePlan, InteractionPlan
from pipeline.check_data.found_files import CANDIDATES, FoundTable
from pipeline.check_data.report import Finding

_FILES, _BATCHES = 3, 4
"""So many files of a table, and batches of each, are looked at."""
_SIGNS = {"€": "EUR", "$": "USD", "US$": "USD", "£": "GBP", "¥": "JPY", "₹": "INR", "RS": "INR", "ZŁ": "PLN"}
"""The likeliest code of a sign, so that one currency written in two ways is one."""


def about_currencies(declaration: Declaration, tables: Sequence[FoundTable]) -> Iterator[Finding]:
    """Tell columns of numbers that stand beside several currencies, which reading drops."""
    plan = InteractionPlan.of(declaration)
    for table in tables:
        if isinstance(table.table, Source):
            columns: Sequence[Column] = plan.columns(table.table)
        elif table.name == CANDIDATES:
            columns = CandidatePlan.of(declaration).columns
        else:
            columns = plan.attributes
        names = [column.name for column in columns if column.type == "number"]
        if not (table.readable and names):
            continue
        for name, cells in _text(table, names).items():
            found = {_code(sign): sign for sign in currencies(pa.concat_arrays(cells))} if cells else {}
            if len(found) > 1:
                yield Finding(
                    level="warning",
                    about=f"{table.name} column {name}",
                    message=f"holds amounts in several currencies ({', '.join(found.values())}), of which "
                    "only the number is read. Expected one: convert them, or leave the column out.",
                )


def _code(sign: str) -> str:
    plain = sign.upper().rstrip(".")
    return _SIGNS.get(plain, plain)


def _text(table: FoundTable, names: Sequence[str]) -> dict[str, list[pa.Array]]:
    """Text cells of some columns, from the beginnings of some files."""
    cells: dict[str, list[pa.Array]] = {name: [] for name in names}
    for file in table.files[:_FILES]:
        # What cannot be read is told where the table is read in earnest.
        with contextlib.suppress(UserError):
            for rows in islice(read_batches(table.table, file, names), _BATCHES):
                for name in names:
                    column = rows.batch.column(name)
                    if pa.types.is_string(column.type):
                        cells[name].append(column)
    return cells
