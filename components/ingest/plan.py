"""The part of a declaration each ingestion step needs, and its way there.

A step is handed its plan as JSON. TFX keys its cache by it, so a plan holds nothing that does not
change the step's output: how a feature is *encoded* later (bins, buckets, top-k) is left out.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from components.ingest.declaration import (
    Candidates,
    ColumnSplit,
    Declaration,
    History,
    Interactions,
    Queries,
    Source,
    Split,
)
from components.ingest.files.columns import Column, column_of
from components.ingest.strict import Strict

INTERACTIONS = "interactions"
CANDIDATES = "candidates"
QUERIES = "queries"
"""Names of the input splits: whose files they are, not parts of the output."""


def source_split(number: int) -> str:
    """Name of the input split of the event log's ``number``-th source, from 0."""
    return f"{INTERACTIONS}-{number}"


class InteractionPlan(Strict):
    """How the event log becomes interaction examples."""

    interactions: Interactions
    candidates: Candidates
    queries: Queries | None
    attributes: tuple[Column, ...]
    """Columns of the queries table that go into the examples."""
    context: tuple[Column, ...]
    """Further columns of the log that go into the examples."""
    history: History
    split: Split
    max_bad_fraction: float

    @classmethod
    def of(cls, declaration: Declaration) -> InteractionPlan:
        """The plan a declaration asks for."""
        log, queries = declaration.interactions, declaration.queries
        context = {name: kind for name, kind in log.context.items() if name != log.timestamp.column}
        return cls(
            interactions=log.model_copy(update={"context": {}}),
            candidates=declaration.candidates.model_copy(update={"features": {}, "title": None}),
            queries=queries.model_copy(update={"features": {}}) if queries else None,
            attributes=tuple(column_of(*item) for item in queries.features.items()) if queries else (),
            context=tuple(column_of(*item) for item in context.items()),
            history=declaration.history,
            split=declaration.split,
            max_bad_fraction=declaration.max_bad_fraction,
        )

    @property
    def query_column(self) -> Column:
        """The query's id in the log."""
        return Column(name=self.interactions.query_id, type="id")

    @property
    def candidate_column(self) -> Column:
        """The candidate's id in the log."""
        return Column(name=self.interactions.candidate_id, type="id")

    @property
    def timestamp_column(self) -> Column | None:
        """When an interaction happened, or a number that orders its query's; None for the rows' order."""
        declared = self.interactions.timestamp
        if declared.column is None:
            return None
        if not declared.has_time:
            return Column(name=declared.column, type="number")
        return Column(
            name=declared.column,
            type="moment",
            unit=declared.unit,
            timezone=declared.timezone,
            format=declared.format,
            earliest=seconds_of(declared.earliest),
            latest=seconds_of(declared.latest),
        )

    @property
    def rating_column(self) -> Column | None:
        """The rating, where one is declared."""
        rating = self.interactions.rating
        return Column(name=rating.column, type="number") if rating else None

    @property
    def position_column(self) -> Column | None:
        """Where the candidate was shown, where that is declared."""
        position = self.interactions.position
        return Column(name=position, type="number") if position else None

    @property
    def propensity_column(self) -> Column | None:
        """How probably it was shown, where that is declared."""
        propensity = self.interactions.propensity
        return Column(name=propensity, type="number") if propensity else None

    def action_column(self, source: Source) -> Column | None:
        """Where the rows of a source say their action; None where they do not."""
        actions = self.interactions.actions
        if actions is None or source.action is not None:
            return None
        assert actions.column is not None
        return Column(name=actions.column)

    @property
    def split_column(self) -> Column | None:
        """Where the rows say their split; None where they do not."""
        return Column(name=self.split.column) if isinstance(self.split, ColumnSplit) else None

    def columns(self, source: Source) -> list[Column]:
        """All columns to be read from a source, each once."""
        wanted = [
            self.query_column,
            self.candidate_column,
            self.timestamp_column,
            self.rating_column,
            self.action_column(source),
            self.split_column,
            self.position_column,
            self.propensity_column,
            *self.context,
            *(Column(name=name) for name in self.interactions.cancellations),
        ]
        there = (column for column in wanted if column is not None and column.name not in source.lacks)
        return list({column.name: column for column in there}.values())

    @property
    def action_names(self) -> tuple[str, ...]:
        """The declared actions; an action's place here is its code."""
        return tuple(self.interactions.actions.weights) if self.interactions.actions else ()

    @property
    def history_actions(self) -> tuple[str, ...]:
        """The actions that tell a history's events apart; see :meth:`History.told_actions`."""
        return self.history.told_actions(self.interactions.actions)


class CandidatePlan(Strict):
    """How the catalogue becomes candidate examples."""

    candidates: Candidates
    columns: tuple[Column, ...]
    """The id first, then features and title."""
    log: InteractionPlan | None
    """The log that the catalogue is made of, or whose unknown candidates it gets stubs for; else None."""

    @classmethod
    def of(cls, declaration: Declaration) -> CandidatePlan:
        """The plan a declaration asks for."""
        table = declaration.candidates
        columns = {table.id: Column(name=table.id, type="id")}
        if table.title:
            columns[table.title] = Column(name=table.title)
        for name, feature in table.features.items():
            if name != table.id:
                columns[name] = column_of(name, feature)
        reads_log = table.made_from or declaration.interactions.unknown_candidates == "stub"
        return cls(
            candidates=table.model_copy(update={"features": {}, "title": None}),
            columns=tuple(columns.values()),
            log=InteractionPlan.of(declaration) if reads_log else None,
        )

    def columns_in(self, source: Source) -> tuple[Column, ...]:
        """The columns that a source of the log has, where the catalogue is made of the log."""
        return tuple(column for column in self.columns if column.name not in source.lacks)


def seconds_of(day: date) -> int:
    """The first second (UTC) of a day, counted from 1970."""
    return int(datetime.combine(day, time(), UTC).timestamp())
