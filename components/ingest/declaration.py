"""What a domain file declares about its data: tables, keys, features, history and split.

These are the strict models of the data half of ``schemas/<domain>/domain.yaml``; the file as a whole
is read by :mod:`pipeline.domain`. They live in the most upstream room because every later step needs
some of them, and each step is handed only the part it needs, as JSON.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from components.ingest.conditions import DeclaredCondition
from components.ingest.event_order import Order
from components.ingest.features import Feature
from components.ingest.files.moments import TimeUnit
from components.ingest.files.time_format import refuse_unreadable_format
from components.ingest.strict import Strict, Weight
from components.ingest.table_rules import Explode, TableRules
from components.ingest.text_settings import Delimiter, Encoding

HISTORY = "history"
"""Example feature: ids of the query's earlier positive candidates, oldest first (bytes list)."""
HISTORY_AGE = "history_age"
"""Example feature: seconds between each history event and this one, aligned with HISTORY (float list).

Without time: by how many places of the query's sequence the event is earlier.
"""
HISTORY_ACTION = "history_action"
"""Example feature: the action of each history event, aligned with HISTORY (bytes list); only where there are
several, see :meth:`History.told_actions`."""
POSITIVE = "positive"
"""Example feature: 1.0 where the interaction counts as positive, else 0.0."""
WEIGHT = "weight"
"""Example feature: the interaction's weight in the losses (float); its action's, or 1."""
REPEAT = "repeat"
"""Example feature: 1.0 where the query had a positive interaction with this candidate before, else 0.0."""
ACTION = "action"
"""Example feature: the interaction's action (bytes); only where actions are declared."""
EVENT_ORDER = "event_order"
"""Example feature: place of the interaction among its query's, from 0 (int); only where there is no time."""
DERIVED = (HISTORY, HISTORY_AGE, HISTORY_ACTION, POSITIVE, WEIGHT, REPEAT, ACTION, EVENT_ORDER)
"""Names ingestion adds to every interaction; no column of the user's may carry them."""

CATALOGUE_SPLIT = "catalogue"
"""The one split of the candidate stream."""


Format = Literal["csv", "parquet", "jsonl", "json", "xlsx"]
Compression = Literal["none", "gzip", "bz2", "zstd", "lz4", "zip"]

_COMPRESSION_SUFFIXES: dict[str, Compression] = {
    ".gz": "gzip",
    ".bz2": "bz2",
    ".zst": "zstd",
    ".lz4": "lz4",
    ".zip": "zip",
}
_FORMAT_SUFFIXES: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xlsb": "xlsx",
    ".xls": "xlsx",
    ".ods": "xlsx",
}
_FOR_A_SHELL = re.compile(r"~|\$\w+/|.*\$\{\w+\}", re.DOTALL)
"""Patterns that a shell would rewrite before a program sees them."""


class Table(TableRules):
    """Files that together form one table."""

    files: str = Field(
        description="File or glob, relative to the data directory, or absolute. `{SPAN}`, `{VERSION}`, "
        "`{YYYY}`, `{MM}` and `{DD}` stand for digits that number the spans."
    )
    format: Format | None = Field(
        default=None,
        description="Told from the file's suffix where absent. `json`: a file that is one array of objects; "
        "a file called .json is told from JSON Lines by its first character.",
    )
    sheet: str | None = Field(
        default=None,
        min_length=1,
        description="xlsx only: name or glob of the sheets to read, one after the other; absent: the first.",
    )
    compression: Compression | None = Field(
        default=None,
        description="CSV and JSON only; `zip`: an archive of one file. Told from each file's suffix where "
        "absent.",
    )
    delimiter: Delimiter = Field(default=",", description="One character; CSV only.")
    quote: str = Field(
        default='"',
        max_length=1,
        description="CSV only: what cells are quoted with; '' where quotes are text.",
    )
    escape: str | None = Field(
        default=None,
        min_length=1,
        max_length=1,
        description="CSV only: the character before a quote or delimiter that is text.",
    )
    ragged: Literal["refuse", "pad"] = Field(
        default="refuse",
        description="CSV only: rows with fewer cells than the header are malformed, or filled with empty "
        "cells. Empty cells beyond the header are dropped in either case.",
    )
    skip_lines: int = Field(
        default=0, ge=0, le=1_000_000, description="CSV and xlsx only: lines above the header."
    )
    header: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="CSV and xlsx only: the columns' names, where the files have no header row.",
    )
    encoding: Encoding = Field(default="utf-8", description="CSV and JSON only; such as latin-1.")
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="Declared column to its name in these files, where that differs.",
    )

    @field_validator("files")
    @classmethod
    def _files_are_a_plain_pattern(cls, files: str) -> str:
        if files == cls.model_fields["files"].default:
            # A catalogue that is made of the log has none.
            return files
        if not files.strip():
            raise ValueError("found no name; expected a file or glob such as events.csv or events/*.csv")
        if "**" in files:
            raise ValueError(
                f"found `**` in {files!r}, which does not reach into folders here; expected one `*` for each "
                "folder, such as events/*/*.csv"
            )
        if _FOR_A_SHELL.match(files):
            raise ValueError(
                f"found {files!r}: `~` and environment variables are not expanded; expected a path under the "
                "data directory (--data names another one), or the whole path from /"
            )
        return files

    @field_validator("quote", "escape")
    @classmethod
    def _is_one_byte(cls, sign: str | None) -> str | None:
        if sign and (not sign.isascii() or sign in "\r\n\0"):
            raise ValueError(f"found {sign!r}; expected one ASCII character that ends no line")
        return sign

    @field_validator("header")
    @classmethod
    def _names_differ(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        twice = next((name for name in names or () if name and (names or ()).count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"column {twice!r} is named twice; expected each name once")
        return names

    @model_validator(mode="after")
    def _signs_differ(self) -> Table:
        signs = {"delimiter": self.delimiter, "quote": self.quote, "escape": self.escape}
        given = {key: sign for key, sign in signs.items() if sign}
        for key, sign in given.items():
            other = next((name for name, its in given.items() if its == sign and name != key), None)
            if other:
                raise ValueError(f"{key} and {other} are both {sign!r}; expected different characters")
        return self

    @model_validator(mode="after")
    def _keys_fit_the_format(self) -> Table:
        allowed = {
            "sheet": ("xlsx",),
            "header": ("csv", "xlsx"),
            "skip_lines": ("csv", "xlsx"),
            "quote": ("csv",),
            "escape": ("csv",),
            "ragged": ("csv",),
        }
        for key, formats in allowed.items():
            if getattr(self, key) != Table.model_fields[key].default and self.resolved_format not in formats:
                raise ValueError(
                    f"{key!r} says nothing of {self.files!r}, which is {self.resolved_format}; expected it "
                    f"with format {' or '.join(formats)}"
                )
        return self

    @property
    def resolved_format(self) -> Format:
        """The format as declared, else by the suffix of ``files``; CSV where that says nothing."""
        if self.format:
            return self.format
        name = self._unpacked_name
        return next((known for suffix, known in _FORMAT_SUFFIXES.items() if name.endswith(suffix)), "csv")

    @property
    def may_be_an_array(self) -> bool:
        """Whether a file's first character says if it is an array or JSON Lines: both are called .json."""
        return self.format is None and self._unpacked_name.endswith(".json")

    @property
    def _unpacked_name(self) -> str:
        """The pattern in lower case, without the suffixes of compression."""
        name = self.files.lower()
        for suffix in _COMPRESSION_SUFFIXES:
            name = name.removesuffix(suffix)
        return name

    def compression_of(self, file: str) -> Compression:
        """How one of the files is compressed: as declared, else by its suffix."""
        if self.compression:
            return self.compression
        name = file.lower()
        return next((c for suffix, c in _COMPRESSION_SUFFIXES.items() if name.endswith(suffix)), "none")


class TimestampColumn(Strict):
    """What says when an interaction happened, or at least after which others."""

    column: str | None = Field(default=None, description="Required, except with `order: rows`.")
    order: Order = Field(
        default="time",
        description="`time`: the column holds times. Without any, `column`: its numbers say in which order a "
        "query's interactions came; `rows`: there is no column, files and their rows are in order.",
    )
    unit: TimeUnit = Field(
        default="s",
        description="Of numbers, counted from 1970-01-01 UTC, or `excel_days`, counted as Excel does; dates "
        "and times say their own.",
    )
    format: str | None = Field(
        default=None,
        description="How text writes a time, in strptime's codes, or `rfc2822`; absent: numbers of `unit`, "
        "or ISO 8601 and its like.",
    )
    timezone: str = Field(
        default="UTC", description="Of dates and times without an offset, such as Europe/Berlin."
    )
    earliest: date = Field(
        default=date(1990, 1, 1),
        description="Rows before this day (UTC) are dead letters: a mistaken unit shows here.",
    )
    latest: date = Field(
        default=date(2100, 1, 1), description="Rows from this day (UTC) on are dead letters."
    )

    _format_can_be_read = field_validator("format")(refuse_unreadable_format)

    @field_validator("timezone")
    @classmethod
    def _timezone_exists(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                f"no time zone is called {name!r}; expected one such as UTC or Europe/Berlin"
            ) from None
        return name

    @model_validator(mode="after")
    def _ordered(self) -> TimestampColumn:
        if not self.earliest < self.latest:
            raise ValueError("expected earliest < latest")
        return self

    @model_validator(mode="after")
    def _column_unless_rows(self) -> TimestampColumn:
        if self.order == "rows" and self.column is not None:
            raise ValueError(
                f"found column {self.column!r} with order: rows, which needs none. Remove one of the two: "
                "order: rows takes the order of the rows, order: column that of the column's numbers"
            )
        if self.order != "rows" and self.column is None:
            raise ValueError(
                "column is missing: name the column of the times. Where the data have none, set order: rows "
                "(files and rows are in order), or order: column with a column whose numbers say the order"
            )
        return self

    @model_validator(mode="after")
    def _says_nothing_twice(self) -> TimestampColumn:
        if self.format is not None and self.unit != "s":
            raise ValueError(
                f"found both unit: {self.unit} and format: {self.format}; expected one: unit is of numbers "
                "that count from a day, format of text"
            )
        if self.order != "time":
            fields = type(self).model_fields
            for name in ("unit", "format", "timezone", "earliest", "latest"):
                if getattr(self, name) != fields[name].default:
                    raise ValueError(f"found {name} with order: {self.order}; it is of times. Remove it")
        return self

    @property
    def has_time(self) -> bool:
        """Whether the data know when an interaction happened, and not only after which others."""
        return self.order == "time"

    @property
    def feature(self) -> str:
        """The example feature: the moment, under its column's name, or without time the event's order."""
        return self.column if self.has_time and self.column is not None else EVENT_ORDER


Grade = Annotated[float, Field(ge=-1_000_000_000, le=1_000_000_000)]


class RatingColumn(Strict):
    """A graded judgement; from ``positive_from`` upwards the interaction counts as positive."""

    column: str
    minimum: Grade
    maximum: Grade
    positive_from: Grade

    @model_validator(mode="after")
    def _ordered(self) -> RatingColumn:
        if not self.minimum < self.positive_from <= self.maximum:
            raise ValueError("expected minimum < positive_from <= maximum")
        return self


class Actions(Strict):
    """What people did, and how much each kind of it says."""

    column: str | None = Field(
        default=None, description="Where the rows say their action; absent where each source says it."
    )
    weights: dict[str, Weight] = Field(
        min_length=1,
        description="Action to weight. With a weight above 0 an interaction is positive, and counts that "
        "much in the losses; with 0 it was seen and passed over.",
    )

    @field_validator("weights")
    @classmethod
    def _some_action_is_positive(cls, weights: dict[str, float]) -> dict[str, float]:
        if not any(weights.values()):
            raise ValueError("every action weighs 0; expected at least one above 0, or nothing is positive")
        return weights


class Source(Table):
    """Files of the event log that are alike."""

    action: str | None = Field(default=None, description="The action of every row of these files.")
    lacks: tuple[str, ...] = Field(
        default=(),
        description="Columns these files do not have, missing in every row then: of the context, the "
        "position, the propensity; with candidates.from: interactions, also of the candidates.",
    )
    explode: Explode | None = Field(
        default=None, description="A column whose cells list several interactions."
    )

    @property
    def listing(self) -> Explode | None:
        """As declared."""
        return self.explode


class Interactions(Strict):
    """The event log: one row an interaction of a query (user) with a candidate (item)."""

    sources: tuple[Source, ...] = Field(
        min_length=1, description="Where the log is: one entry for files that are alike."
    )
    spans: int | None = Field(
        default=None,
        gt=0,
        le=1_000_000,
        description="Read only so many of the newest spans; absent: all of them.",
    )
    query_id: str
    candidate_id: str
    timestamp: TimestampColumn
    rating: RatingColumn | None = Field(default=None, description="Either this, or actions, or neither.")
    actions: Actions | None = Field(default=None, description="Without either, every row is positive.")
    position: str | None = Field(
        default=None,
        description="Column: the place, from 1, where the candidate was shown; for training alone. May be "
        "missing: not known, or not shown in a list.",
    )
    propensity: str | None = Field(
        default=None,
        description="Column: the probability, above 0 and up to 1, with which the candidate was shown, as "
        "the policy that showed it knew it; for training alone. May be missing.",
    )
    context: dict[str, Feature] = Field(
        default_factory=dict,
        description="Columns known when the request is made: device, shop, a query's text; the timestamp's "
        "column as kind timestamp.",
    )
    since: date | None = Field(
        default=None, description="Rows before this day (UTC) are left out, and not counted as bad."
    )
    duplicates: Literal["keep", "drop", "dead_letter"] = Field(
        default="drop",
        description="Rows that repeat query, candidate, moment and action of another: of each such group "
        "one row stays, that with the highest rating.",
    )
    cancellations: dict[str, DeclaredCondition] = Field(
        default_factory=dict,
        description="Column to a condition, as under a source's `where`: rows for which all hold are no "
        "interactions; each cancels the latest earlier positive one of its query with its candidate.",
    )
    unknown_candidates: Literal["dead_letter", "stub"] = Field(
        default="dead_letter",
        description="Interactions with a candidate that the catalogue lacks: refused; or kept, and the "
        "catalogue gets a candidate of that id without features.",
    )

    @property
    def has_negatives(self) -> bool:
        """Whether the log itself can hold interactions that are not positive."""
        return self.rating is not None or (
            self.actions is not None and not all(self.actions.weights.values())
        )

    @property
    def shown(self) -> tuple[str, ...]:
        """Columns of how the candidate was shown: what a request cannot know, and trainers correct for."""
        return tuple(name for name in (self.position, self.propensity) if name is not None)

    @property
    def values(self) -> frozenset[float]:
        """What an interaction can be worth: its action's weight, or 1 where it is positive, else 0."""
        if self.actions:
            return frozenset(self.actions.weights.values())
        return frozenset((0.0, 1.0) if self.has_negatives else (1.0,))

    @model_validator(mode="after")
    def _rating_or_actions(self) -> Interactions:
        if self.rating and self.actions:
            raise ValueError("found both rating and actions; expected one: either says what is positive")
        return self

    @model_validator(mode="after")
    def _every_row_has_an_action(self) -> Interactions:
        for source in self.sources:
            if self.actions is None:
                if source.action is not None:
                    raise ValueError(
                        f"source {source.files!r} has action {source.action!r}, but no actions are declared: "
                        "add actions: {weights: {...}}"
                    )
            elif source.action is None and self.actions.column is None:
                raise ValueError(
                    f"source {source.files!r} has no action; give it one, or say in actions.column where its "
                    "rows do"
                )
            elif source.action is not None and source.action not in self.actions.weights:
                raise ValueError(
                    f"source {source.files!r} has action {source.action!r}, which actions.weights does not "
                    f"know; there are: {', '.join(self.actions.weights)}"
                )
        return self

    @model_validator(mode="after")
    def _no_time_is_asked_of_an_order(self) -> Interactions:
        when = self.timestamp
        if when.has_time:
            return self
        without = f"the data have no time (timestamp.order: {when.order})"
        if self.since is not None:
            raise ValueError(f"found since, but {without}. Remove since")
        if self.cancellations and when.order == "column":
            raise ValueError(
                f"found cancellations, but {without}, and a column's numbers order what is an interaction "
                "alone. Remove cancellations, or set order: rows where the rows are in order"
            )
        for name, feature in self.context.items():
            if feature.kind == "timestamp":
                raise ValueError(
                    f"context feature {name!r} is of kind timestamp, but {without}, so that none is known "
                    "when a request is made. Remove the feature"
                )
            if name == when.column:
                raise ValueError(
                    f"context feature {name!r} is the column that orders the interactions, which a request "
                    "does not have. Remove the feature"
                )
        return self

    @model_validator(mode="after")
    def _timestamp_is_a_timestamp(self) -> Interactions:
        if self.timestamp.column is None:
            return self
        feature = self.context.get(self.timestamp.column)
        if feature is not None and feature.kind != "timestamp":
            raise ValueError(
                f"context feature {self.timestamp.column!r} is the timestamp's column and of kind "
                f"{feature.kind}; expected kind timestamp"
            )
        return self


class Entities(Table):
    """A table with a row an id."""

    duplicates: Literal["refuse", "first", "last"] = Field(
        default="refuse",
        description="Rows that repeat an id: refused, or only the first or last of them stays.",
    )
    newest_by: str | None = Field(
        default=None,
        description="Column of numbers or times: of rows that repeat an id, the one with the greatest value "
        "stays; `duplicates` decides between equal ones.",
    )

    @property
    def ordering(self) -> str | None:
        """As declared."""
        return self.newest_by

    @model_validator(mode="after")
    def _newest_of_what_may_repeat(self) -> Entities:
        if self.newest_by and self.duplicates == "refuse":
            raise ValueError(
                f"found newest_by: {self.newest_by}, but rows that repeat an id are refused; say duplicates: "
                "last (or first), which of equally new rows stays"
            )
        return self


class Candidates(Entities):
    """The catalogue: one row a candidate."""

    files: str = Field(default="", description="As of any table; either this, or `from`.")
    made_from: Literal["interactions"] | None = Field(
        default=None,
        alias="from",
        description="Instead of `files`: the catalogue is made of the log's own columns, the latest value of "
        "each.",
    )
    id: str
    title: str | None = Field(default=None, description="The column people know a candidate by.")
    features: dict[str, Feature] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _comes_from_one_place(self) -> Candidates:
        if self.made_from is None:
            if not self.files:
                raise ValueError(
                    "found neither 'files' nor 'from'; expected one: the catalogue's files, or from: "
                    "interactions, which makes it of the log's own columns"
                )
            return self
        if self.files:
            raise ValueError(f"found both files: {self.files} and from: {self.made_from}; expected one")
        fields = {name: type(self).model_fields[name] for name in Entities.model_fields}
        of_table = [
            name
            for name, field in fields.items()
            if getattr(self, name) != field.get_default(call_default_factory=True)
        ]
        if of_table:
            raise ValueError(
                f"found {', '.join(of_table)} beside from: interactions; expected how to read the log under "
                "interactions.sources"
            )
        return self

    @property
    def columns_read(self) -> tuple[str, ...]:
        """The columns of features and title."""
        title = (self.title,) if self.title else ()
        return tuple(name for name in dict.fromkeys((*title, *self.features)) if name != self.id)


class Queries(Entities):
    """Attributes of the queries (users), one row a query; optional."""

    id: str
    features: dict[str, Feature] = Field(default_factory=dict)


class History(Strict):
    """How much of the past a query carries."""

    length: int = Field(default=50, gt=0, le=10_000, description="Most recent interactions kept.")
    actions: tuple[str, ...] | None = Field(
        default=None, min_length=1, description="Interactions of these actions; absent: the positive ones."
    )

    def told_actions(self, actions: Actions | None) -> tuple[str, ...]:
        """The actions that tell a history's events apart, in the order declared; none where there is but one.

        Args:
            actions: The log's actions, where it has any.
        """
        weights = actions.weights if actions else {}
        told = tuple(
            a for a, weight in weights.items() if (a in self.actions if self.actions else weight > 0)
        )
        return told if len(told) > 1 else ()


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


class LeaveLastOutSplit(Strict):
    """Of each query, the last positive interaction is test, the one before it eval, what was earlier train.

    Queries with fewer than three positive interactions train. Unlike the split by time, a model has then
    seen what *others* did after an interaction it is tested on.
    """

    kind: Literal["leave_last_out"]


class ColumnSplit(Strict):
    """A column of the log says which split a row is in."""

    kind: Literal["column"]
    column: str
    train: tuple[str, ...] = Field(default=("train",), min_length=1, description="Values that train.")
    eval: tuple[str, ...] = Field(default=("eval",), min_length=1)
    test: tuple[str, ...] = Field(default=("test",), min_length=1)

    @model_validator(mode="after")
    def _values_differ(self) -> ColumnSplit:
        values = [*self.train, *self.eval, *self.test]
        twice = sorted({value for value in values if values.count(value) > 1})
        if twice:
            raise ValueError(f"value {twice[0]!r} stands for more than one split")
        return self


Split = Annotated[TimeSplit | LeaveLastOutSplit | ColumnSplit, Field(discriminator="kind")]
"""What trains, what decides about blessing (eval), and what is only reported on (test)."""


class Declaration(Strict):
    """The data half of a domain file."""

    interactions: Interactions
    candidates: Candidates
    queries: Queries | None = None
    history: History = History()
    split: Split = TimeSplit()
    max_bad_fraction: float = Field(
        default=0.0,
        ge=0,
        lt=1,
        description="Share of unreadable rows above which ingestion stops; below it they go to the "
        "dead-letter file.",
    )

    @model_validator(mode="after")
    def _names_do_not_clash(self) -> Declaration:
        log = self.interactions
        columns = [log.query_id, log.candidate_id]
        columns += [log.timestamp.column] if log.timestamp.column is not None else []
        columns += [log.rating.column] if log.rating else []
        columns += log.shown
        columns += [name for name in log.context if name != log.timestamp.column]
        columns += list(self.queries.features) if self.queries else []
        for name in columns:
            if name in DERIVED:
                raise ValueError(f"column name {name!r} is taken by ingestion; rename the column")
            if columns.count(name) > 1:
                raise ValueError(f"column {name!r} is declared twice for the interaction examples")
        return self

    @model_validator(mode="after")
    def _split_needs_no_time_there_is_not(self) -> Declaration:
        if self.split.kind == "time" and self.interactions.timestamp.order == "column":
            raise ValueError(
                "split.kind is time, but the data have none (interactions.timestamp.order: column): the "
                "column's numbers order each query's interactions, not those of different queries. Set "
                "split: {kind: leave_last_out}, or split: {kind: column, column: ...}"
            )
        return self

    @model_validator(mode="after")
    def _history_actions_are_declared(self) -> Declaration:
        known = self.interactions.actions.weights if self.interactions.actions else {}
        for action in self.history.actions or ():
            if action not in known:
                raise ValueError(
                    f"history.actions: {action!r} is not declared; there are: {', '.join(known) or 'none'}"
                )
        return self

    @model_validator(mode="after")
    def _only_what_may_be_missing_is_lacking(self) -> Declaration:
        log = self.interactions
        optional = [*log.shown, *(name for name in log.context if name != log.timestamp.column)]
        required = (log.query_id, log.candidate_id, log.timestamp.column, log.rating and log.rating.column)
        optional += [name for name in log.cancellations if name not in (*optional, *required)]
        if self.candidates.made_from:
            optional += [name for name in self.candidates.columns_read if name not in optional]
        for source in log.sources:
            for name in source.lacks:
                if name not in optional:
                    raise ValueError(
                        f"source {source.files!r} lacks {name!r}, which is no column that may be missing; "
                        f"there are: {', '.join(optional) or 'none'}"
                    )
        return self

    @model_validator(mode="after")
    def _log_can_be_the_catalogue(self) -> Declaration:
        log, candidates = self.interactions, self.candidates
        if candidates.made_from is None:
            return self
        if candidates.id != log.candidate_id:
            raise ValueError(
                f"candidates.id is {candidates.id!r}, but with from: interactions the id is the log's: "
                f"expected {log.candidate_id!r}, as interactions.candidate_id says"
            )
        if log.unknown_candidates == "stub":
            raise ValueError(
                "found unknown_candidates: stub beside candidates.from: interactions, which knows every "
                "candidate of the log; remove it"
            )
        for name in candidates.columns_read:
            if all(name in source.lacks for source in log.sources):
                raise ValueError(f"candidates: every source lacks column {name!r}; expected one that has it")
        return self

    @property
    def catalogue_files(self) -> str:
        """Where the catalogue's values are, for messages."""
        return self.candidates.files or ", ".join(source.files for source in self.interactions.sources)

    @property
    def query_features(self) -> dict[str, Feature]:
        """Context and query attributes, in the order declared; without ids and history."""
        return {**self.interactions.context, **(self.queries.features if self.queries else {})}

    @property
    def history_actions(self) -> tuple[str, ...]:
        """See :meth:`History.told_actions`; where there are none, nothing has the feature HISTORY_ACTION."""
        return self.history.told_actions(self.interactions.actions)
