"""Recommendations from the newest pushed model, by title, beside what the user liked."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from components.ingest.declaration import HISTORY, HISTORY_AGE, Declaration
from components.ingest.errors import UserError
from components.ingest.plan import InteractionPlan
from components.ingest.query import QueryRecord, read_query
from components.ingest.tables import check_columns, read_batches, table_files
from serving.local_model import LocalModel, ModelError

_HEADS = ("rating", "positive")


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
        rating: Predicted; None where the model does not say.
        positive: Predicted probability that the user likes it; None where the model does not say.
    """

    rank: int
    score: float
    rating: float | None
    positive: float | None


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
        recommendations: Best first.
        liked: What the user liked, latest first.
        another: Another user to ask for.
    """

    user: str
    known: bool
    trained_on: bool
    moment: int
    version: str
    model: str
    catalogue: int
    recommendations: tuple[Recommendation, ...]
    liked: tuple[Item, ...]
    another: str

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON's types."""
        return asdict(self)


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

    Raises:
        UserError: If the data cannot be read, or the model does not answer.
    """
    declaration = declaration_of(model)
    log = _read_log(declaration, data_dir)
    trained_on = set(model.vocabulary(f"query_{declaration.interactions.query_id}"))
    if user is None:
        user = example_user(log, declaration, trained_on)
    if moment is None:
        moment = pc.max(log["timestamp"]).as_py()
    record = read_query(declaration, str(data_dir), user)
    inputs = query_inputs(model, declaration, record, moment)
    inputs |= {"k": k, "exclude": np.array([record.seen if exclude_seen else []], dtype=object)}
    try:
        outputs = model.ask("recommend", inputs)
    except ModelError as error:
        raise UserError(str(error)) from error
    titles = model.titles
    return Answer(
        user=user,
        known=record.known,
        trained_on=user in trained_on,
        moment=moment,
        version=model.version,
        model=str(model.path),
        catalogue=len(titles),
        recommendations=_listed(outputs, titles),
        liked=tuple(Item(id, titles.get(id, id)) for id in reversed(record.history)),
        another=_user_after(user, log),
    )


def example_user(log: pa.Table, declaration: Declaration, trained_on: set[str]) -> str:
    """The user with the median number of positive interactions among those the model was trained on.

    Args:
        log: ``query`` and ``rating`` of every interaction.
        declaration: Says what counts as positive.
        trained_on: Ids the model has seen; where empty, everybody in the log is eligible.

    Raises:
        UserError: If nobody is eligible.
    """
    positive = log.filter(pc.greater_equal(log["rating"], declaration.interactions.rating.positive_from))
    counts = positive.group_by("query").aggregate([([], "count_all")])
    if trained_on:
        counts = counts.filter(pc.is_in(counts["query"], pa.array(sorted(trained_on))))
    if not counts.num_rows:
        raise UserError("no user with a positive interaction is known to the model. Name one with --user.")
    # Ties are broken by id, so that the same data always give the same user.
    ordered = counts.sort_by([("count_all", "ascending"), ("query", "ascending")])
    return ordered["query"][ordered.num_rows // 2].as_py()


def _user_after(user: str, log: pa.Table) -> str:
    """The next id in bytewise order, and after the last one the first."""
    users = sorted(pc.unique(log["query"]).to_pylist())
    return users[bisect.bisect_right(users, user) % len(users)]


def query_inputs(
    model: LocalModel, declaration: Declaration, record: QueryRecord, moment: int
) -> dict[str, Any]:
    """One query as the served signatures take it, a batch of 1.

    Args:
        model: Says which dtype and rank each input has.
        declaration: Names the columns.
        record: What the data knows of the query.
        moment: When the request is made, seconds since 1970 UTC.
    """
    values: dict[str, Any] = {
        **record.attributes,
        **dict.fromkeys(declaration.interactions.context, moment),
        declaration.interactions.query_id: record.query_id,
    }
    specs = model.input_specs("embed_query")
    inputs = {name: _batch_of_one(specs[name], value) for name, value in values.items()}
    ages = [max(0.0, float(moment - then)) for then in record.history_timestamps]
    inputs[HISTORY] = np.array([record.history], dtype=object)
    inputs[HISTORY_AGE] = np.array([ages], dtype=np.float32)
    return inputs


def _batch_of_one(spec: tf.TensorSpec, value: Any) -> np.ndarray:
    """The value as a batch; a missing one as "", NaN, no values, or (a moment) 0."""
    if spec.shape.rank == 2:
        return np.array([value or []], dtype=object)
    if spec.dtype == tf.string:
        return np.array([value or ""], dtype=object)
    missing = math.nan if spec.dtype.is_floating else 0
    return np.array([missing if value is None else value], dtype=spec.dtype.as_numpy_dtype)


def _read_log(declaration: Declaration, data_dir: Path) -> pa.Table:
    """``query``, ``timestamp`` and ``rating`` of every interaction whose cells can be read."""
    plan = InteractionPlan.of(declaration)
    query, _, timestamp, rating = plan.columns
    columns = {"query": query, "timestamp": timestamp, "rating": rating}
    names = [column.name for column in columns.values()]
    files = table_files(plan.interactions, str(data_dir))
    check_columns(plan.interactions, files, names)
    parts = [
        pa.table(
            {key: column.convert(rows.batch.column(column.name)).values for key, column in columns.items()}
        )
        for file in files
        for rows in read_batches(plan.interactions, file, names)
    ]
    log = pa.concat_tables(parts).drop_null() if parts else None
    if not log:
        raise UserError(
            f"there is no interaction in {', '.join(files)}; expected the log the model learnt from."
        )
    return log


def _listed(outputs: dict[str, np.ndarray], titles: dict[str, str]) -> tuple[Recommendation, ...]:
    """The places of the one list that are filled."""
    ids = [id.decode() for id in outputs["candidate_ids"][0]]
    heads = {name: _finite(outputs[name][0]) if name in outputs else [None] * len(ids) for name in _HEADS}
    return tuple(
        Recommendation(id, titles.get(id, id), place + 1, float(outputs["scores"][0][place]), *values)
        for place, (id, *values) in enumerate(zip(ids, *heads.values(), strict=True))
        if id
    )


def _finite(values: Sequence[float] | np.ndarray) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]
