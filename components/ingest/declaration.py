"""What a domain file declares about its data: tables, keys, features, history and split.

These are the strict models of the data half of ``schemas/<domain>/domain.yaml``; the file as a whole
is read by :mod:`pipeline.domain`. They live in the most upstream room because every later step needs
some of them, and each step is handed only the part it needs, as JSON.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

HISTORY = "history"
"""Example feature: ids of the query's earlier positive candidates, oldest first (bytes list)."""
HISTORY_AGE = "history_age"
"""Example feature: seconds between each history event and this one, aligned with HISTORY (float list)."""
POSITIVE = "positive"
"""Example feature: 1.0 where the interaction counts as positive, else 0.0."""
WEIGHT = "weight"
"""Example feature: the interaction's weight in the losses (float)."""
DERIVED = (HISTORY, HISTORY_AGE, POSITIVE, WEIGHT)
"""Names ingestion adds to every interaction; no column of the user's may carry them."""

CATALOGUE_SPLIT = "catalogue"
"""The one split of the candidate stream."""


class Strict(BaseModel):
    """A declaration that knows all its keys and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(Strict):
    """Files that together form one table."""

    files: str = Field(description="File or glob, relative to the data directory, or absolute.")
    format: Literal["csv", "parquet"] | None = Field(
        default=None, description="Told from the file's suffix where absent."
    )
    delimiter: str = Field(default=",", min_length=1, max_length=1, description="CSV only.")

    @property
    def resolved_format(self) -> str:
        """``csv`` or ``parquet``: as declared, else by the suffix of ``files``."""
        if self.format:
            return self.format
        return "parquet" if self.files.endswith((".parquet", ".pq")) else "csv"


class VocabularyFeature(Strict):
    """A category looked up in a vocabulary of its most frequent values; the rest share the unknown one."""

    kind: Literal["vocabulary"]
    top_k: int | None = Field(default=None, gt=0, description="Keep only this many values.")


class HashFeature(Strict):
    """A category hashed into a fixed number of bins; needs no vocabulary."""

    kind: Literal["hash"]
    bins: int = Field(gt=1)


class NumericFeature(Strict):
    """A number, standardised, or cut into quantile buckets. A missing value counts as the mean."""

    kind: Literal["numeric"]
    scale: Literal["z_score", "log1p", "buckets"] = Field(
        default="z_score", description="log1p standardises log(1 + x)."
    )
    buckets: int = Field(default=10, gt=1, description="Number of quantile buckets; buckets only.")


class MultivalentFeature(Strict):
    """Several categories in one cell, split at the separator (a Parquet list needs none)."""

    kind: Literal["multivalent"]
    separator: str = "|"
    max_values: int = Field(default=8, gt=0, description="Values past this many are left out.")


class TextFeature(Strict):
    """Words, lower-cased and split at anything that is neither letter nor digit."""

    kind: Literal["text"]
    top_k: int = Field(default=20_000, gt=0, description="Vocabulary size, most frequent words first.")
    max_tokens: int = Field(default=16, gt=0, description="Words past this many are left out.")


TimePart = Literal["hour_of_day", "day_of_week", "day_of_month", "month_of_year"]


class TimestampFeature(Strict):
    """A moment (UTC), encoded as sine and cosine of its position in each cycle."""

    kind: Literal["timestamp"]
    parts: tuple[TimePart, ...] = Field(default=("hour_of_day", "day_of_week"), min_length=1)


Feature = Annotated[
    VocabularyFeature | HashFeature | NumericFeature | MultivalentFeature | TextFeature | TimestampFeature,
    Field(discriminator="kind"),
]
"""How one column becomes model input; the key it stands under is the column's name."""


class TimestampColumn(Strict):
    """The column that says when an interaction happened."""

    column: str
    unit: Literal["s", "ms", "us"] = "s"


class RatingColumn(Strict):
    """A graded judgement; from ``positive_from`` upwards the interaction counts as positive."""

    column: str
    minimum: float
    maximum: float
    positive_from: float

    @model_validator(mode="after")
    def _ordered(self) -> RatingColumn:
        if not self.minimum < self.positive_from <= self.maximum:
            raise ValueError("expected minimum < positive_from <= maximum")
        return self


class Interactions(Table):
    """The event log: one row an interaction of a query (user) with a candidate (item)."""

    query_id: str
    candidate_id: str
    timestamp: TimestampColumn
    rating: RatingColumn
    context: dict[str, TimestampFeature] = Field(
        default_factory=dict, description="Known when the request is made; here: the request's time."
    )

    @model_validator(mode="after")
    def _context_is_the_timestamp(self) -> Interactions:
        for name in self.context:
            if name != self.timestamp.column:
                raise ValueError(
                    f"context feature {name!r}: only the timestamp column {self.timestamp.column!r} "
                    "can be a context feature"
                )
        return self


class Candidates(Table):
    """The catalogue: one row a candidate."""

    id: str
    title: str | None = Field(default=None, description="The column people know a candidate by.")
    features: dict[str, Feature] = Field(default_factory=dict)


class Queries(Table):
    """Attributes of the queries (users), one row a query; optional."""

    id: str
    features: dict[str, Feature] = Field(default_factory=dict)


class History(Strict):
    """How much of the past a query carries."""

    length: int = Field(default=50, gt=0, description="Most recent positive interactions kept.")


class TimeSplit(Strict):
    """Oldest interactions train, later ones eval, the latest test: one pair of cut points for everybody."""

    kind: Literal["time"] = "time"
    eval: float = Field(default=0.1, gt=0, lt=1, description="Share of interactions.")
    test: float = Field(default=0.1, gt=0, lt=1, description="Share of interactions.")

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> TimeSplit:
        if self.eval + self.test >= 1:
            raise ValueError("eval + test must be below 1, or nothing is left to train on")
        return self


class Declaration(Strict):
    """The data half of a domain file."""

    interactions: Interactions
    candidates: Candidates
    queries: Queries | None = None
    history: History = History()
    split: TimeSplit = TimeSplit()
    max_bad_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of unreadable rows above which ingestion stops; below it they go to the "
        "dead-letter file.",
    )

    @model_validator(mode="after")
    def _names_do_not_clash(self) -> Declaration:
        interactions = self.interactions
        columns = [
            interactions.query_id,
            interactions.candidate_id,
            interactions.timestamp.column,
            interactions.rating.column,
        ]
        columns += list(self.queries.features) if self.queries else []
        for name in columns:
            if name in DERIVED:
                raise ValueError(f"column name {name!r} is taken by ingestion; rename the column")
            if columns.count(name) > 1:
                raise ValueError(f"column {name!r} is declared twice for the interaction examples")
        return self

    @property
    def query_features(self) -> dict[str, Feature]:
        """Context and query attributes, in the order declared; without ids and history."""
        return {**self.interactions.context, **(self.queries.features if self.queries else {})}
