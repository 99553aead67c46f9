"""Recommendations for one user, by title, beside the user's history."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import grpc
import pyarrow as pa
from pydantic import ValidationError

from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, Declaration
from components.ingest.errors import UserError
from components.ingest.features import NumericFeature, TimestampFeature
from components.ingest.files.columns import column_of
from components.ingest.query import QueryRecord, read_query
from serving.answer import Answered
from serving.client import Recommender, heads_of, ranked
from serving.errors import ModelError
from serving.local_model import LocalModel
from serving.model_files import ModelFiles
from serving.queries import search_of
from serving.tensors import Signature


@dataclass(frozen=True)
class Item:
    """A candidate as people know it."""

    id: str
    title: str


@dataclass(frozen=True)
class Recommendation(Item):
    """One place of a list.

    Attributes:
        rank: From 1.
        score: What the list is ordered by.
        heads: The ranking model's head to what it predicts: ``rating``, where ratings are declared, and
            ``positive``, the probability of a positive interaction; None where the model does not say.
    """

    rank: int
    score: float
    heads: Mapping[str, float | None]


@dataclass(frozen=True)
class Answer:
    """Recommendations for one user.

    Attributes:
        user: The user's id.
        known: Whether the data know the user.
        trained_on: Whether the user had interactions in train.
        moment: When the request is taken to be made, seconds since 1970 UTC; None where the data have no
            time, so that it is made after the user's last interaction.
        version: Of the model.
        model: The model's directory, or its server.
        catalogue: How many candidates there are.
        heads: Which heads the model has.
        recommendations: Best first.
        history: The user's history, latest first.
        another: Another user to ask for.
    """

    user: str
    known: bool
    trained_on: bool
    moment: int | None
    version: str
    model: str
    catalogue: int
    heads: tuple[str, ...]
    recommendations: tuple[Recommendation, ...]
    history: tuple[Item, ...]
    another: str

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON's types; the heads stand beside a recommendation's score."""
        answer = asdict(self)
        del answer["heads"]
        for recommendation in answer["recommendations"]:
            recommendation |= recommendation.pop("heads")
        return answer


class Model(Protocol):
    """What answers: a model in this process, or one on a server."""

    @property
    def place(self) -> str:
        """Where it is."""

    def signature(self, name: str) -> Signature:
        """What a signature takes and gives."""

    def ask(self, signature: str, inputs: Mapping[str, Any]) -> Answered:
        """Asks a signature."""


def load(version: Path) -> LocalModel:
    """Load a pushed version.

    Raises:
        UserError: If it cannot be loaded.
    """
    with _advising():
        return LocalModel(version)


def on_server(target: str, name: str, tls_ca: Path | None) -> Recommender:
    """A model on a server.

    Args:
        target: ``HOST:PORT``.
        name: What the server calls it.
        tls_ca: PEM file of the authority that signed the server's certificate; None for no TLS.
    """
    credentials = None if tls_ca is None else grpc.ssl_channel_credentials(tls_ca.read_bytes())
    return Recommender(target, name, credentials=credentials)


def declaration_of(files: ModelFiles) -> Declaration:
    """What the data looked like to the model: it asks for its inputs by these names.

    Raises:
        ModelError: If the model does not say, or says it as another release would.
    """
    try:
        return Declaration.model_validate(files.description["declaration"])
    except (KeyError, TypeError, ValidationError) as error:
        raise ModelError(
            f"{files.path}: its description has no declaration of the data that this release can read. "
            "Expected a model pushed by this release."
        ) from error


@contextmanager
def _advising() -> Iterator[None]:
    """Turns what is wrong with a pushed version's files into advice."""
    try:
        yield
    except ModelError as error:
        raise UserError(f"{error} Push again: westwork run --no-cache") from error


def recommend(
    model: Model,
    files: ModelFiles,
    data_dir: Path,
    user: str | None,
    k: int,
    exclude_seen: bool = False,
    moment: int | None = None,
    context: Mapping[str, str] | None = None,
    filters: Sequence[str] = (),
    diversity: float = 0.0,
) -> Answer:
    """Ask a model for one user's recommendations.

    Args:
        model: What answers.
        files: A pushed version's: what the data looked like, titles, and the users it was trained on.
        data_dir: The tables the user is looked up in.
        user: The user's id, known or not; None for :func:`example_user`.
        k: How many to ask for, at least 1.
        exclude_seen: Whether to leave out everything the user interacted with.
        moment: When the request is made, seconds since 1970 UTC: only interactions strictly earlier are
            history, or left out as seen. By default the end of the log, all interactions included, so that
            a log from long ago is not asked about today.
        context: Context feature to its value, as a cell of the log would say it; others are missing.
        filters: ``FEATURE=VALUE`` or ``FEATURE=LEAST..GREATEST``, see :func:`parsed_filters`.
        diversity: From 0 to below 1: how much it counts that they differ from each other.

    Raises:
        UserError: If the data cannot be read, a context or filter is none, or the model does not answer.
    """
    with _advising():
        declaration, titles = declaration_of(files), files.titles
        trained_on = files.vocabulary(f"query_{declaration.interactions.query_id}")
    given = context_values(declaration, context or {})
    if user is None:
        user = example_user(trained_on)
    if not declaration.interactions.timestamp.has_time and moment is not None:
        order = declaration.interactions.timestamp.order
        raise UserError(
            f"--at: the data have no time (interactions.timestamp.order: {order}), so that no moment of "
            "theirs can be named. Leave --at out: the request is made after the user's last interaction"
        )
    record = read_query(declaration, str(data_dir), user, moment)
    if moment is None and declaration.interactions.timestamp.has_time:
        moment = _latest(record)
    query, wanted = query_values(declaration, record, moment, given), parsed_filters(declaration, filters)
    excluded = record.seen if exclude_seen else []
    try:
        signature = model.signature("recommend")
        answered = model.ask("recommend", search_of(signature, [query], k, [excluded], [wanted], diversity))
    except ModelError as error:
        raise UserError(str(error)) from error
    return Answer(
        user=user,
        known=record.known,
        trained_on=user in set(trained_on),
        moment=moment,
        version=answered.version,
        model=model.place,
        catalogue=len(titles),
        heads=heads_of(answered.outputs),
        recommendations=tuple(
            Recommendation(item.id, titles.get(item.id, item.id), rank, item.score, item.heads)
            for rank, item in enumerate(ranked(answered, 0).items, start=1)
        ),
        history=tuple(Item(id, titles.get(id, id)) for id in reversed(record.history)),
        another=_user_after(user, trained_on),
    )


def _latest(record: QueryRecord) -> int:
    """The latest moment in the data."""
    if record.latest_in_log is None:
        raise UserError("there is no interaction in the event log: say with --at when the request is made.")
    return record.latest_in_log


def example_user(trained_on: Sequence[str]) -> str:
    """The user with the median number of interactions in train.

    Args:
        trained_on: Ids of the users, the most frequent first.

    Raises:
        UserError: If there is nobody.
    """
    if not trained_on:
        raise UserError("the model knows no user. Name one with --user.")
    return trained_on[len(trained_on) // 2]


def _user_after(user: str, trained_on: Sequence[str]) -> str:
    """The next id that the model knows, bytewise, and after the last one the first."""
    users = sorted(trained_on) or [user]
    return users[bisect.bisect_right(users, user) % len(users)]


def context_values(declaration: Declaration, given: Mapping[str, str]) -> dict[str, Any]:
    """Context features given as text, converted as ingestion converts a cell.

    Args:
        declaration: Says which there are, and of which kind.
        given: Name to value.

    Raises:
        UserError: If there is no such context feature, or the value is none of its kind.
    """
    log, values = declaration.interactions, {}
    for name, text in given.items():
        if log.timestamp.has_time and name == log.timestamp.column:
            raise UserError(f"--context {name}={text}: the moment of the request is given with --at")
        if name not in log.context:
            others = [other for other in log.context if other != log.timestamp.column]
            raise UserError(
                f"--context {name}={text}: the model takes no such context; "
                f"expected one of: {', '.join(others) or 'none, it has no context'}"
            )
        column = column_of(name, log.context[name])
        converted = column.convert(pa.array([text]))
        if converted.wrong[0]:
            raise UserError(f"--context {name}={text}: found {text!r}, expected {column.expected}")
        values[name] = converted.values[0].as_py()
    return values


def parsed_filters(declaration: Declaration, given: Sequence[str]) -> dict[str, list[Any]]:
    """Filters as people write them.

    Args:
        declaration: Says which candidate features are numbers or moments.
        given: ``FEATURE=VALUE``, of which several of one feature are alternatives; for a number
            ``FEATURE=LEAST..GREATEST``, either of which may be left out, and for a moment likewise, as a day
            or time (UTC) in ISO 8601.

    Returns:
        As :data:`serving.queries.Filters`.

    Raises:
        UserError: If one is not written so.
    """
    filters: dict[str, list[Any]] = {}
    for text in given:
        name, separator, value = text.partition("=")
        if not separator:
            raise UserError(f"--filter {text}: expected FEATURE=VALUE or FEATURE=LEAST..GREATEST")
        feature = declaration.candidates.features.get(name)
        if not isinstance(feature, NumericFeature | TimestampFeature):
            filters.setdefault(name, []).append(value)
            continue
        least, separator, greatest = value.partition("..")
        parse = float if isinstance(feature, NumericFeature) else _seconds
        try:
            if not separator:
                raise ValueError(value)
            bounds = [parse(bound) if bound else None for bound in (least, greatest)]
            if not _is_range(*bounds):
                raise ValueError(value)
            filters[name] = bounds
        except (ValueError, OverflowError) as error:
            kind = "numbers" if parse is float else "days or times, such as 2024-05-31..2024-06-30"
            raise UserError(
                f"--filter {text}: found {value!r}, expected LEAST..GREATEST, {kind}; either may be left out"
            ) from error
    return filters


def _is_range(least: float | None, greatest: float | None) -> bool:
    """Whether there is a number between two bounds, of which either may be left out."""
    given = [bound for bound in (least, greatest) if bound is not None]
    return all(map(math.isfinite, given)) and given == sorted(given)


def _seconds(moment: str) -> float:
    """ISO 8601 text, UTC where it does not say, as seconds since 1970."""
    parsed = datetime.fromisoformat(moment)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def query_values(
    declaration: Declaration,
    record: QueryRecord,
    moment: int | None,
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One query's features, as :func:`serving.queries.search_of` takes them.

    Args:
        declaration: Names the columns.
        record: What the data knows of the query.
        moment: When the request is made, seconds since 1970 UTC; None where the data have no time.
        context: Context feature to value, as ingestion converts it; others, the moment apart, are missing.
    """
    log = declaration.interactions
    now = record.next_place if moment is None else moment
    assert now is not None
    return {
        **record.attributes,
        **(context or {}),
        **({log.timestamp.column: moment} if log.timestamp.column in log.context else {}),
        log.query_id: record.query_id,
        HISTORY: record.history,
        HISTORY_AGE: [max(0.0, float(now - then)) for then in record.history_timestamps],
        **({HISTORY_ACTION: record.history_actions} if declaration.history_actions else {}),
    }
