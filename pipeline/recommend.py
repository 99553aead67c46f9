"""Recommendations from the newest pushed model, by title, beside the user's history."""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, Declaration
from components.ingest.errors import UserError
from components.ingest.files.columns import column_of
from components.ingest.query import QueryRecord, read_query
from serving.local_model import LocalModel, ModelError

_LIST = ("candidate_ids", "scores")
"""Outputs of ``recommend`` that every model has; the others are the ranking model's heads."""


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
        moment: When the request is taken to be made, seconds since 1970 UTC.
        version: Of the model.
        model: The model's directory.
        catalogue: How many candidates there are.
        heads: Which heads the model has.
        recommendations: Best first.
        history: The user's history, latest first.
        another: Another user to ask for.
    """

    user: str
    known: bool
    trained_on: bool
    moment: int
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


def load(version: Path) -> LocalModel:
    """Load a pushed version.

    Raises:
        UserError: If it cannot be loaded.
    """
    try:
        return LocalModel(version)
    except ModelError as error:
        raise UserError(f"{error} Push again: westwork run --no-cache") from error


def declaration_of(model: LocalModel) -> Declaration:
    """What the data looked like to the model: it asks for its inputs by these names."""
    return Declaration.model_validate(model.description["declaration"])


def recommend(
    model: LocalModel,
    data_dir: Path,
    user: str | None,
    k: int,
    exclude_seen: bool = False,
    moment: int | None = None,
    context: Mapping[str, str] | None = None,
) -> Answer:
    """Ask the model for one user's recommendations.

    Args:
        model: A pushed model.
        data_dir: The tables the user is looked up in.
        user: The user's id, known or not; None for :func:`example_user`.
        k: How many to ask for, at least 1.
        exclude_seen: Whether to leave out everything the user interacted with.
        moment: When the request is made, seconds since 1970 UTC; by default the latest moment in the
            data, so that a log from long ago is not asked about today.
        context: Context feature to its value, as a cell of the log would say it; others are missing.

    Raises:
        UserError: If the data cannot be read, a context is none, or the model does not answer.
    """
    declaration = declaration_of(model)
    given = context_values(declaration, context or {})
    trained_on = model.vocabulary(f"query_{declaration.interactions.query_id}")
    if user is None:
        user = example_user(trained_on)
    record = read_query(declaration, str(data_dir), user)
    if moment is None:
        moment = _latest(record)
    inputs = query_inputs(model, declaration, record, moment, given)
    inputs |= {"k": k, "exclude": np.array([record.seen if exclude_seen else []], dtype=object)}
    try:
        outputs = model.ask("recommend", inputs)
    except ModelError as error:
        raise UserError(str(error)) from error
    titles = model.titles
    return Answer(
        user=user,
        known=record.known,
        trained_on=user in set(trained_on),
        moment=moment,
        version=model.version,
        model=str(model.path),
        catalogue=len(titles),
        heads=_heads(outputs),
        recommendations=_listed(outputs, titles),
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
        if name == log.timestamp.column:
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


def query_inputs(
    model: LocalModel,
    declaration: Declaration,
    record: QueryRecord,
    moment: int,
    context: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One query as the served signatures take it, a batch of 1.

    Args:
        model: Says which dtype and rank each input has.
        declaration: Names the columns.
        record: What the data knows of the query.
        moment: When the request is made, seconds since 1970 UTC.
        context: Context feature to value, as ingestion converts it; others, the moment apart, are missing.
    """
    log = declaration.interactions
    values: dict[str, Any] = {
        **record.attributes,
        **dict.fromkeys(log.context),
        **(context or {}),
        **({log.timestamp.column: moment} if log.timestamp.column in log.context else {}),
        log.query_id: record.query_id,
    }
    specs = model.input_specs("embed_query")
    inputs = {name: _batch_of_one(specs[name], value) for name, value in values.items()}
    ages = [max(0.0, float(moment - then)) for then in record.history_timestamps]
    inputs[HISTORY] = np.array([record.history], dtype=object)
    inputs[HISTORY_AGE] = np.array([ages], dtype=np.float32)
    if declaration.history_actions:
        inputs[HISTORY_ACTION] = np.array([record.history_actions], dtype=object)
    return inputs


def _batch_of_one(spec: tf.TensorSpec, value: Any) -> np.ndarray:
    """The value as a batch; a missing one as "", NaN (a vector of them), no values, or (a moment) 0."""
    if spec.dtype == tf.string:
        missing: Any = "" if spec.shape.rank == 1 else []
        return np.array([missing if value is None else value], dtype=object)
    missing = math.nan if spec.dtype.is_floating else 0
    if value is None:
        return np.full([1, *spec.shape[1:]], missing, dtype=spec.dtype.as_numpy_dtype)
    return np.array([value], dtype=spec.dtype.as_numpy_dtype)


def _heads(outputs: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """The ranking model's heads among the outputs, always in the same order."""
    return tuple(sorted(set(outputs) - set(_LIST), reverse=True))


def _listed(outputs: Mapping[str, np.ndarray], titles: Mapping[str, str]) -> tuple[Recommendation, ...]:
    """The places of the one list that are filled."""
    ids = [id.decode() for id in outputs["candidate_ids"][0]]
    return tuple(
        Recommendation(
            id=id,
            title=titles.get(id, id),
            rank=place + 1,
            score=float(outputs["scores"][0][place]),
            heads={name: _finite(outputs[name][0][place]) for name in _heads(outputs)},
        )
        for place, id in enumerate(ids)
        if id
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
