"""Refuses what is not finite: encoded features, losses and embeddings, with where it comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tf_keras as keras

from components.ingest.errors import UserError
from components.transform.interaction_dataset import EncodedInteractions

_NAMED = 3
"""Candidates and features that a message names."""


def rows_not_finite(values: Any) -> np.ndarray:
    """Return the rows of an array that hold NaN or an infinity, int64 [any], ascending.

    Args:
        values: [rows, ...] of any type; only floating numbers can be other than finite.
    """
    array = np.asarray(values)
    if not np.issubdtype(array.dtype, np.floating):
        return np.array([], np.int64)
    finite = np.isfinite(array)
    if finite.all():
        return np.array([], np.int64)
    return np.flatnonzero(~finite.reshape(len(array), -1).all(axis=1))


def refuse_candidates(
    embeddings: Any, ids: Sequence[bytes] | np.ndarray, features: Mapping[str, Any] | None = None
) -> None:
    """Refuse embeddings of candidates that are not all finite.

    A similarity that is not a number enters everybody's list, and ScaNN ends the process.

    Args:
        embeddings: float32 [candidates, width].
        ids: [candidates] ids, bytes.
        features: Encoded features by name, [candidates, ...] each; to say which of them is the cause.

    Raises:
        UserError: If an embedding is not finite.
    """
    rows = rows_not_finite(embeddings)
    if not len(rows):
        return
    causes = _causes({name: np.asarray(column)[rows] for name, column in (features or {}).items()})
    raise UserError(
        f"the embedding of {len(rows):,} of {len(ids):,} candidates is not a finite number, among them"
        f" {_ids(ids, rows)}. Expected finite numbers: such a candidate enters every list. "
        + (
            f"{causes}: correct this column for these candidates in the catalogue, or declare it"
            " 'scale: buckets', and run again."
            if causes
            else "Every encoded feature of them is finite, so the model's weights are not: training diverged."
            " Lower retrieval.optimizer.learning_rate (alignment.optimizer.learning_rate with an alignment"
            " section) or raise retrieval.temperature, and run again."
        )
    )


def refuse_queries(embeddings: Any, features: Mapping[str, Any]) -> None:
    """Refuse embeddings of queries that are not all finite.

    Args:
        embeddings: float32 [queries, ...].
        features: Encoded features of the queries by name, [queries, ...] each.

    Raises:
        UserError: If an embedding is not finite.
    """
    rows = rows_not_finite(embeddings)
    if not len(rows):
        return
    causes = _causes({name: np.asarray(column)[rows] for name, column in features.items()})
    raise UserError(
        f"the embedding of {len(rows):,} of {len(embeddings):,} queries of the eval split is not a finite"
        " number. Expected finite numbers. "
        + (
            f"{causes}: correct this column in the log or in the table of queries, and run again."
            if causes
            else "Every encoded feature of them is finite, so the model's weights are not: training diverged."
            " Lower retrieval.optimizer.learning_rate or raise retrieval.temperature, and run again."
        )
    )


def refuse_encoded_candidates(ids: np.ndarray, features: Mapping[str, Any]) -> None:
    """Refuse encoded features of the catalogue that are not finite, before anything trains on them.

    Args:
        ids: [candidates] ids, bytes.
        features: By name, [candidates, ...] each.

    Raises:
        UserError: If a value is not finite, with the feature and the candidates.
    """
    for name, column in features.items():
        rows = rows_not_finite(column)
        if len(rows):
            raise UserError(
                f"the encoded value of the candidates' feature {name!r} is not a finite number for"
                f" {len(rows):,} of {len(ids):,} candidates, among them {_ids(ids, rows)}. Expected finite"
                f" numbers: one such candidate enters every list. Correct the column {name!r} for these"
                " candidates in the catalogue, and run again."
            )


def refuse_encoded_interactions(split: str, interactions: EncodedInteractions, names: Sequence[str]) -> None:
    """Refuse features of interactions that are not finite.

    Args:
        split: The split, for the message.
        interactions: Those of the split.
        names: The columns that a model reads.

    Raises:
        UserError: If a value is not finite, with the feature.
    """
    columns = {**interactions.columns, **interactions.queries}
    for name in names:
        rows = rows_not_finite(columns[name])
        if len(rows):
            raise UserError(
                f"the encoded value of {name!r} is not a finite number in {len(rows):,} of"
                f" {len(columns[name]):,} rows of the {split} split. Expected finite numbers: one such row"
                f" makes every weight of the model NaN. Correct the column {name!r} in the log or in the"
                " table of queries, and run again."
            )


class StopOnDivergence(keras.callbacks.Callback):
    """Stops a training at the first step whose loss is not finite.

    Of a model of NaN nothing may be measured, and none of its later steps brings it back. Keras'
    ``TerminateOnNaN`` stops too, but without a word, and what follows would measure and export the model.
    """

    # Batch logs stay tensors; else Keras converts all of them in every step.
    _supports_tf_logs = True

    def __init__(self, features: Mapping[str, Any], remedy: str):
        """Prepares to follow a training.

        Args:
            features: Encoded features that it reads by what people call them, [any, ...] each.
            remedy: Which settings to change where all of them are finite, with their values, in words.
        """
        super().__init__()
        self._features = features
        self._remedy = remedy
        self._epoch = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Notes the number of the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at the loss of the step."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss):
            steps = (self.params or {}).get("steps")
            of = f" of {steps:,}" if steps else ""
            raise UserError(
                self._message(f"the loss is {loss} at epoch {self._epoch + 1}, step {batch + 1:,}{of}")
            )

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Looks at what the epoch came to, its validation included."""
        for name, value in (logs or {}).items():
            if not math.isfinite(float(value)):
                raise UserError(self._message(f"{name} is {float(value)} at the end of epoch {epoch + 1}"))

    def _message(self, found: str) -> str:
        causes = _causes(self._features)
        if causes:
            return (
                f"training diverged: {found}. Expected a finite number. {causes}: correct this column in the"
                " data, and run again."
            )
        return (
            f"training diverged: {found}. Expected a finite number. Every encoded feature is finite, so the"
            f" likely cause is the size of the steps or of the scores: {self._remedy}, and run again."
        )


def features_by_side(
    interactions: EncodedInteractions, names: Sequence[str], candidates: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the encoded features of a training, named for a message.

    Args:
        interactions: The train split.
        names: Its columns that a model reads.
        candidates: Encoded features of the catalogue.
    """
    columns = {**interactions.columns, **interactions.queries}
    of_queries = {f"{name!r} of interactions": columns[name] for name in names if name in columns}
    return of_queries | {f"{name!r} of candidates": column for name, column in candidates.items()}


def _causes(features: Mapping[str, Any]) -> str:
    """Which features are not finite, in words; empty where all are."""
    found = {name: len(rows) for name, column in features.items() if len(rows := rows_not_finite(column))}
    parts = [f"the encoded feature {name} is not finite in {count:,} rows" for name, count in found.items()]
    text = "; ".join(parts[:_NAMED])
    return text[:1].upper() + text[1:]


def _ids(ids: Sequence[bytes] | np.ndarray, rows: np.ndarray) -> str:
    """The ids of the first few of these rows."""
    return ", ".join(repr(ids[row].decode()) for row in rows[:_NAMED])
