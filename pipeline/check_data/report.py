"""What a look at domain and data comes to; for people by :mod:`.view`, for programs as JSON."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from components.ingest.event_order import Order

Level = Literal["error", "warning", "suggestion"]


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Finding(_Facts):
    """Something to do, or to think about."""

    level: Level
    """``error``: a run would stop. ``warning``: it would go on, but hardly as meant. ``suggestion``."""
    about: str
    """Section or key of the domain file."""
    message: str


class FileFacts(_Facts):
    """One file of a table."""

    path: str
    bytes: int


class TableFacts(_Facts):
    """Files that together are a table."""

    table: str
    """``interactions``, ``candidates`` or ``queries``."""
    pattern: str
    files: tuple[FileFacts, ...]
    spans: tuple[int, ...]
    """Numbers of the spans read; empty where the pattern numbers none."""
    rows: int | None
    """None where they could not be read."""


class BadRow(_Facts):
    """A dead letter; see :mod:`components.ingest.dead_letters`."""

    file: str
    row: int
    column: str | None
    value: str | None
    reason: str


class LogFacts(_Facts):
    """The event log, row by row. Times in seconds since 1970 UTC."""

    rows: int
    bad: int
    bad_by_reason: dict[str, int]
    """Most frequent first."""
    bad_rows: tuple[BadRow, ...]
    """The first few of each reason."""
    duplicates: int
    """Rows that repeat another; among ``bad`` where they are dead letters, estimated where not
    ``exact``."""
    before_since: int
    left_out: int = 0
    """Rows left out by ``where``."""
    cancellations: int = 0
    """Rows that cancel an interaction instead of being one."""
    cancelled: int = 0
    """Interactions that would be no targets, since they are cancelled within their own split."""
    usable: int
    """Rows that would become examples."""
    first: int | None
    last: int | None
    in_catalogue: float | None
    """Share of the interactions with readable ids whose candidate is in the catalogue."""
    in_queries: float | None
    """Share of the usable interactions whose query is in the queries table; None without one."""
    candidates_met: int
    """Candidates of the catalogue with at least one usable interaction."""
    exact: bool
    """Whether what needs a query's rows side by side (duplicates, splits, histories) was seen of every
    query; else of ``share_of_rows``, those of some queries drawn by a hash."""
    share_of_rows: float


class SplitFacts(_Facts):
    """One split. Counts are estimates where the log's are not ``exact``."""

    interactions: int
    positives: int
    repeats: int
    """Interactions with a candidate that the query had a positive interaction with before."""
    queries: int
    first: int
    last: int
    actions: dict[str, int]
    cold_candidates: float | None
    """Share of the positives whose candidate never occurs in train; an upper bound where not ``exact``;
    None for train, and without positives."""
    cold_queries: float | None
    """Share of the positives whose query never occurs in train; None as above."""


class HistoryFacts(_Facts):
    """How long the histories of the interactions are."""

    length: int
    """As declared."""
    median: float
    """Of the histories as kept."""
    empty: float
    """Share of the interactions without a history."""
    truncated: float
    """Share of the interactions with more past than is kept."""
    same_moment: float
    """Share of the interactions at the very moment of another one of the same query: neither is in the
    other's history."""


class FeatureFacts(_Facts):
    """A declared feature beside its data."""

    table: str
    """``interactions``, ``candidates`` or ``queries``."""
    name: str
    kind: str
    missing: float
    """Share of the rows without a value."""
    distinct: int | None
    """Different values (words, for text); None for embeddings."""
    seen: str
    """What the values look like."""


class Report(_Facts):
    """Everything found."""

    title: str
    folder: str
    data: str
    tables: tuple[TableFacts, ...] = ()
    candidates: int | None = None
    """Size of the catalogue; None where it could not be read."""
    log: LogFacts | None = None
    splits: dict[str, SplitFacts] = {}
    """Oldest first; one without interactions is not there."""
    order: Order = "time"
    """What orders interactions; moments are seconds only where it is ``time``."""
    eval_from: int | None = None
    test_from: int | None = None
    history: HistoryFacts | None = None
    features: tuple[FeatureFacts, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether a run would take domain and data as they are."""
        return not self.of("error")

    def of(self, level: Level) -> list[Finding]:
        """The findings of a level, in the order they were made."""
        return [finding for finding in self.findings if finding.level == level]
