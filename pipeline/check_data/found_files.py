"""Which files a domain's tables are, and whether they have the declared columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from components.ingest.declaration import Declaration, Table
from components.ingest.errors import UserError
from components.ingest.files.file_patterns import SpanFiles
from components.ingest.files.file_system import locate
from components.ingest.files.same_files import copies, identity, refuse_files_twice
from components.ingest.files.tables import check_columns, table_spans
from components.ingest.plan import CandidatePlan, InteractionPlan
from pipeline.check_data.report import FileFacts, Finding, TableFacts

INTERACTIONS, CANDIDATES, QUERIES = "interactions", "candidates", "queries"


@dataclass(frozen=True)
class FoundTable:
    """A table and its files.

    Attributes:
        name: :data:`INTERACTIONS` (one of its sources), :data:`CANDIDATES` or :data:`QUERIES`.
        table: As declared.
        found: Its files; None where there are none.
        readable: Whether every file has every column once.
    """

    name: str
    table: Table
    found: SpanFiles | None
    readable: bool

    @property
    def files(self) -> tuple[str, ...]:
        """The files' paths."""
        return self.found.files if self.found else ()

    def facts(self, rows: int | None) -> TableFacts:
        """For the report."""
        return TableFacts(
            table=self.name,
            pattern=self.table.files,
            files=tuple(FileFacts(path=file, bytes=_size(file)) for file in self.files),
            spans=tuple(self.found.by_span) if self.found else (),
            rows=rows,
        )


def find_tables(declaration: Declaration, data_dir: str) -> tuple[list[FoundTable], list[Finding]]:
    """Looks for every table: the log's sources in their order, candidates, queries."""
    plan, log = InteractionPlan.of(declaration), declaration.interactions
    catalogue = CandidatePlan.of(declaration)
    wanted: list[tuple[str, Table, list[str], int | None]] = []
    for source in log.sources:
        columns = [column.name for column in plan.columns(source)]
        if declaration.candidates.made_from:
            columns += [column.name for column in catalogue.columns_in(source)]
        wanted.append((INTERACTIONS, source, list(dict.fromkeys(columns)), log.spans))
    if not declaration.candidates.made_from:
        columns = [column.name for column in catalogue.columns]
        wanted.append((CANDIDATES, declaration.candidates, columns, 1))
    if declaration.queries is not None:
        attributes = [declaration.queries.id, *(column.name for column in plan.attributes)]
        wanted.append((QUERIES, declaration.queries, attributes, 1))
    tables, findings = [], []
    for name, table, columns, spans in wanted:
        found, faults = _find(table, columns, spans, data_dir)
        tables.append(FoundTable(name, table, found, not faults))
        findings += [Finding(level="error", about=f"{name} files", message=fault) for fault in faults]
        if remark := found and found.remark(table.files):
            findings.append(Finding(level="warning", about=f"{name} files", message=remark))
    findings += _read_twice(tables)
    return tables, findings


def _read_twice(tables: Sequence[FoundTable]) -> Iterator[Finding]:
    """Files of the log that are another file, too, or hold what another one does."""
    sources = [table for table in tables if table.name == INTERACTIONS]
    about = f"{INTERACTIONS} files"
    try:
        refuse_files_twice([(source.table, source.files) for source in sources])
    except UserError as error:
        yield Finding(level="error", about=about, message=str(error))
    log = [file for source in sources for file in source.files]
    for first, second in copies(log):
        yield Finding(
            level="warning",
            about=about,
            message=f"{second} holds just what {first} does, so that each of its rows is read twice. "
            "Expected each interaction once. Remove the copy, or correct 'files' so that it is not read.",
        )
    of_log = {identity(file): file for file in log}
    for table in tables:
        for file in table.files if table.name != INTERACTIONS else ():
            if identity(file) in of_log:
                yield Finding(
                    level="warning",
                    about=f"{table.name} files",
                    message=f"{file} is a file of the event log, too; expected a table of its own, with one "
                    "row an id. Correct 'files' if it is not the right one.",
                )


def _find(
    table: Table, columns: Sequence[str], spans: int | None, data_dir: str
) -> tuple[SpanFiles | None, list[str]]:
    """A table's files, and everything wrong with them that their headers show."""
    try:
        found = table_spans(table, data_dir, spans)
    except UserError as error:
        return None, [str(error)]
    faults = []
    for file in found.files:
        try:
            check_columns(table, [file], columns)
        except UserError as error:
            faults.append(str(error))
    return found, faults


def _size(file: str) -> int:
    system, path = locate(file)
    return system.get_file_info(path).size or 0
