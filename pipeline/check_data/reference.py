"""The catalogue and the queries table, read whole as ingestion reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow as pa

from components.ingest.declaration import Declaration
from components.ingest.errors import UserError
from components.ingest.files.columns import Column
from components.ingest.files.tables import read_columns
from components.ingest.log_catalogue import catalogue_of_log
from components.ingest.plan import CandidatePlan, InteractionPlan
from components.ingest.reference_tables import read_candidate_ids, stub_ids
from pipeline.check_data.found_files import CANDIDATES, INTERACTIONS, QUERIES, FoundTable
from pipeline.check_data.report import Finding


@dataclass
class Reference:
    """What the event log refers to.

    Attributes:
        catalogue: Id, features and title, by id; None where it cannot be read.
        candidate_ids: [m] strings, ascending, also where only other columns are at fault; else None.
        queries: Id and attributes, by id; None where there is no such table, or it cannot be read.
        findings: Why not.
    """

    catalogue: pa.Table | None = None
    candidate_ids: pa.Array | None = None
    queries: pa.Table | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def query_ids(self) -> pa.Array | None:
        """The ids of the queries table."""
        return None if self.queries is None else self.queries.column(0).combine_chunks()


def read_reference(declaration: Declaration, tables: list[FoundTable]) -> Reference:
    """Reads both tables, as far as their files are there and have their columns."""
    plan, reference = InteractionPlan.of(declaration), Reference()
    log = [table for table in tables if table.name == INTERACTIONS]
    if declaration.candidates.made_from and all(table.readable for table in log):
        _read_from_log(declaration, plan, [table.files for table in log], reference)
    for table in tables:
        try:
            if table.name == CANDIDATES and table.found:
                _read_candidates(declaration, plan, table, reference)
            elif table.name == QUERIES and table.readable and plan.queries is not None:
                key = plan.queries.id
                columns = [
                    Column(name=key, type="id"),
                    *(column for column in plan.attributes if column.name != key),
                ]
                reference.queries = read_columns(
                    plan.queries, table.files, columns, key, _teller(QUERIES, reference)
                )
        except UserError as error:
            reference.findings.append(Finding(level="error", about=table.name, message=str(error)))
    return reference


def _teller(about: str, reference: Reference) -> Callable[[str], None]:
    """Makes a finding of what is said about a table."""
    return lambda message: reference.findings.append(Finding(level="warning", about=about, message=message))


def _read_from_log(
    declaration: Declaration, plan: InteractionPlan, log: list[tuple[str, ...]], reference: Reference
) -> None:
    """Makes the catalogue of the log's own columns; the ids alone where another column is at fault."""
    files = dict(enumerate(log))
    try:
        reference.catalogue = catalogue_of_log(CandidatePlan.of(declaration), files)
        reference.candidate_ids = reference.catalogue[plan.candidates.id].combine_chunks()
    except UserError as error:
        # Reading the log in earnest meets a fault of its rows, and tells it.
        with contextlib.suppress(UserError):
            reference.candidate_ids = stub_ids(plan, files, pa.array([], pa.string()))
        if reference.candidate_ids is None or len(reference.candidate_ids):
            reference.findings.append(Finding(level="error", about=CANDIDATES, message=str(error)))


def _read_candidates(
    declaration: Declaration, plan: InteractionPlan, table: FoundTable, reference: Reference
) -> None:
    key = plan.candidates.id
    try:
        if table.readable:
            columns = CandidatePlan.of(declaration).columns
            tell = _teller(CANDIDATES, reference)
            reference.catalogue = read_columns(plan.candidates, table.files, columns, key, tell)
            reference.candidate_ids = reference.catalogue[key].combine_chunks()
    finally:
        # The ids alone may be right, and the log can be held against them then.
        if reference.catalogue is None:
            try:
                reference.candidate_ids = read_candidate_ids(plan, table.files)
            except UserError:
                reference.candidate_ids = None
