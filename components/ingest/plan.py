"""The part of a declaration each ingestion step needs, and its way there.

A step is handed its plan as JSON. TFX keys its cache by it, so a plan holds nothing that does not
change the step's output: how a feature is *encoded* later (bins, buckets, top-k) is left out.
"""

from __future__ import annotations

from components.ingest.columns import Column, column_of
from components.ingest.declaration import Candidates, Declaration, History, Interactions, Queries, TimeSplit
from components.ingest.strict import Strict

INTERACTIONS = "interactions"
CANDIDATES = "candidates"
QUERIES = "queries"
"""Names of the input splits: whose files they are, not parts of the output."""


class InteractionPlan(Strict):
    """How the event log becomes interaction examples."""

    interactions: Interactions
    candidates: Candidates
    queries: Queries | None
    attributes: tuple[Column, ...]
    """Columns of the queries table that go into the examples."""
    history: History
    split: TimeSplit
    max_bad_fraction: float

    @classmethod
    def of(cls, declaration: Declaration) -> InteractionPlan:
        """The plan a declaration asks for."""
        queries = declaration.queries
        return cls(
            interactions=declaration.interactions.model_copy(update={"context": {}}),
            candidates=declaration.candidates.model_copy(update={"features": {}, "title": None}),
            queries=queries.model_copy(update={"features": {}}) if queries else None,
            attributes=tuple(column_of(*item) for item in queries.features.items()) if queries else (),
            history=declaration.history,
            split=declaration.split,
            max_bad_fraction=declaration.max_bad_fraction,
        )

    @property
    def columns(self) -> tuple[Column, Column, Column, Column]:
        """Query id, candidate id, timestamp and rating, in this order."""
        log = self.interactions
        return (
            Column(name=log.query_id),
            Column(name=log.candidate_id),
            Column(name=log.timestamp.column, type="moment", unit=log.timestamp.unit),
            Column(name=log.rating.column, type="number"),
        )


class CandidatePlan(Strict):
    """How the catalogue becomes candidate examples."""

    candidates: Candidates
    columns: tuple[Column, ...]
    """The id first, then features and title."""

    @classmethod
    def of(cls, declaration: Declaration) -> CandidatePlan:
        """The plan a declaration asks for."""
        table = declaration.candidates
        columns = {table.id: Column(name=table.id)}
        if table.title:
            columns[table.title] = Column(name=table.title)
        for name, feature in table.features.items():
            if name != table.id:
                columns[name] = column_of(name, feature)
        return cls(
            candidates=table.model_copy(update={"features": {}, "title": None}),
            columns=tuple(columns.values()),
        )
