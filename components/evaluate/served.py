"""A pushed or pushable SavedModel, asked the way a client asks it, and the catalogue it carries."""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import tensorflow as tf
from tfx.dsl.io import fileio

from components.assemble.signature_names import CANDIDATE_IDS, EXCLUDE, K, is_filter_input
from components.evaluate.config import RATING, RETRIEVED
from components.evaluate.list_metrics import UNFILLED
from components.ingest.declaration import HISTORY
from serving.contract import LINE_BREAKS

HEAD, MIDDLE, TAIL, COLD = b"head", b"middle", b"tail", b"cold"
"""Values of the ``candidate_popularity`` slice."""

_RATING_MEAN = "train_rating_mean"
_RANKED_AT_ONCE = 1 << 16
"""Pairs of a query and a candidate a call: each may take thousands of floats in the ranker."""


@dataclasses.dataclass(frozen=True)
class Catalogue:
    """``assets.extra/candidates.parquet``: the candidates and what train says of them.

    Attributes:
        ids: the candidates' ids (bytes), in order; a candidate's row is its position.
        positives: int64 [n], positive interactions in train.
        by_popularity: int64 [n] rows, most positive train interactions first, ties by id.
        place: int64 [n], each row's 0-based place in ``by_popularity``.
        segment: bytes [n]: ``cold`` without a positive interaction in train. The others, by
            popularity, are cut in three that hold about a third of all positive train interactions
            each: a candidate is ``head`` where those before it hold less than a third, ``middle``
            where they hold less than two thirds, else ``tail``.
        mean_rating: float64 [n], mean rating in train; ``global_mean`` without one.
        global_mean: mean rating of all train interactions; 0 where nothing is rated.
        positive_share: share of train interactions that are positive.
    """

    ids: pd.Index
    positives: np.ndarray
    by_popularity: np.ndarray
    place: np.ndarray
    segment: np.ndarray
    mean_rating: np.ndarray
    global_mean: float
    positive_share: float

    @classmethod
    def from_table(cls, table: pa.Table) -> Catalogue:
        """Returns the catalogue of a table with columns as in ``candidates.parquet``."""
        positives, counts = (table[f"train_{name}"].to_numpy() for name in ("positive_count", "count"))
        means = np.full(len(counts), np.nan)
        if _RATING_MEAN in table.column_names:
            means = table[_RATING_MEAN].to_pandas().to_numpy(np.float64)
        total = max(counts.sum(), 1)
        global_mean = float(np.nansum(means * counts) / total)
        ids = pd.Index([id_.encode() for id_ in table["id"].to_pylist()], dtype=object)
        by_popularity = np.lexsort((ids.argsort().argsort(), -positives))
        place = np.empty_like(by_popularity)
        place[by_popularity] = np.arange(len(ids))
        before = np.cumsum(positives[by_popularity]) - positives[by_popularity]
        third = 3 * before[place]
        segment = np.select(
            [positives == 0, third < positives.sum(), third < 2 * positives.sum()],
            [COLD, HEAD, MIDDLE],
            TAIL,
        )
        return cls(
            ids=ids,
            positives=positives,
            by_popularity=by_popularity,
            place=place,
            segment=segment.astype(object),
            mean_rating=np.where(np.isnan(means), global_mean, means),
            global_mean=global_mean,
            positive_share=float(positives.sum() / total),
        )

    @property
    def size(self) -> int:
        """Number of candidates."""
        return len(self.ids)

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Returns int64 rows of bytes ids, of the same shape; UNFILLED where not in the catalogue."""
        return self.ids.get_indexer(ids.reshape(-1)).reshape(ids.shape)

    def most_popular(self, exclude: np.ndarray) -> np.ndarray:
        """Returns the most popular candidates that are not excluded.

        Args:
            exclude: int64 [batch, m] rows; UNFILLED is no row.

        Returns:
            int64 [batch, RETRIEVED] rows, most popular first, UNFILLED at the end.
        """
        batch, width = exclude.shape
        # However many are excluded, the answer lies within this many of the most popular.
        window = min(self.size, RETRIEVED + width)
        excluded = np.zeros((batch, window + 1), bool)
        places = np.where(exclude == UNFILLED, window, self.place[exclude])
        excluded[np.arange(batch)[:, None], np.minimum(places, window)] = True
        excluded = excluded[:, :window]
        order = np.argsort(excluded, axis=1, kind="stable")
        ranked = np.where(np.take_along_axis(excluded, order, axis=1), UNFILLED, self.by_popularity[order])
        answer = np.full((batch, RETRIEVED), UNFILLED)
        filled = min(window, RETRIEVED)
        answer[:, :filled] = ranked[:, :filled]
        return answer

    def own_frequent(self, history: np.ndarray) -> np.ndarray:
        """Returns the candidates each history holds most often, then the most popular others.

        Args:
            history: int64 [batch, m] rows, oldest first; UNFILLED, wherever, is no row.

        Returns:
            int64 [batch, RETRIEVED] rows, most frequent first, of equally frequent ones the later first;
            UNFILLED at the end.
        """
        length = history.shape[1]
        same = (history[:, :, None] == history[:, None, :]) & (history != UNFILLED)[:, :, None]
        places = np.arange(length)
        is_last = (history != UNFILLED) & ~(same & (places > places[:, None])).any(axis=2)
        # Frequency decides, then the place; what is not the last of its kind goes to the end.
        order = np.argsort(np.where(is_last, -(same.sum(axis=2) * length + places), 1), axis=1, kind="stable")
        own = np.where(
            np.take_along_axis(is_last, order, axis=1), np.take_along_axis(history, order, 1), UNFILLED
        )
        answer = np.concatenate([own, self.most_popular(history)], axis=1)
        gaps = np.argsort(answer == UNFILLED, axis=1, kind="stable")
        return np.take_along_axis(answer, gaps, axis=1)[:, :RETRIEVED]


def tensor(batch: pa.RecordBatch, name: str, spec: tf.TensorSpec) -> np.ndarray:
    """Returns a column as a signature's input.

    Args:
        batch: examples as TFXIO reads them, a list an example and column.
        name: the column; where the batch has none, all its values are missing.
        spec: of rank 1 (the list's only value) or 2 (the list, padded at the right, to the spec's width
            if it has one).

    Returns:
        An array of the spec's rank and dtype. Missing values and padding are "", NaN or, as in a
        padded list of numbers and for integers, 0; a missing vector, whose width is the spec's, is all NaN.
    """
    dtype = object if spec.dtype == tf.string else spec.dtype.as_numpy_dtype
    column = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
    if pa.types.is_null(column.type):
        lengths, values = np.zeros(batch.num_rows, np.int64), np.empty(0, dtype)
    else:
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy(zero_copy_only=False)
        values = column.flatten().to_numpy(zero_copy_only=False).astype(dtype)
    missing: Any = b"" if dtype is object else np.nan if spec.dtype.is_floating else 0
    if spec.shape.rank == 1:
        single = np.full(batch.num_rows, missing, dtype)
        present = lengths > 0
        single[present] = values[(np.cumsum(lengths) - lengths)[present]]
        return single
    width = spec.shape[1]
    if width is None:
        width, missing = max(1, lengths.max(initial=0)), b"" if dtype is object else 0
    padded = np.full((batch.num_rows, width), missing, dtype)
    padded[np.arange(width) < lengths[:, None]] = values
    return padded


class ServedModel:
    """A loaded SavedModel and its catalogue."""

    def __init__(self, path: str, query_id: str):
        """Loads the model.

        Args:
            path: the SavedModel's directory.
            query_id: the column of the query's id; its vocabulary tells known queries from cold ones.
        """
        with fileio.open(os.path.join(path, "assets.extra", "model.json"), "rb") as file:
            description = json.load(file)
        if description.get("index") == "scann":
            # Registers the index's op, without which the graph cannot be loaded.
            importlib.import_module("scann.scann_ops.py.scann_ops")
        self._model = tf.saved_model.load(path)
        with fileio.open(os.path.join(path, "assets.extra", "candidates.parquet"), "rb") as file:
            self.catalogue = Catalogue.from_table(pq.read_table(pa.BufferReader(file.read())))
        with fileio.open(os.path.join(path, "assets", f"query_{query_id}"), "rb") as file:
            known = file.read().splitlines()
        for sign, picture in LINE_BREAKS.items():
            known = [line.replace(picture.encode(), sign.encode()) for line in known]
        self.known_queries = pd.Index(known, dtype=object)
        arguments = self._model.signatures["rank"].structured_input_signature[1]
        self._inputs = {name: spec for name, spec in arguments.items() if name != CANDIDATE_IDS}

    def query_inputs(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        """Returns what the signatures ask of a query, taken from examples."""
        return {name: tensor(batch, name, spec) for name, spec in self._inputs.items()}

    def retrieve(self, inputs: dict[str, np.ndarray], exclude: np.ndarray) -> np.ndarray:
        """Returns int64 [batch, RETRIEVED] rows from the signature ``retrieve``; exclude: ids [batch, m]."""
        return self._listed(self._searched("retrieve", inputs, exclude, RETRIEVED))

    def recommend(self, inputs: dict[str, np.ndarray], exclude: np.ndarray) -> np.ndarray:
        """Returns int64 [batch, RETRIEVED] rows from the signature ``recommend``; exclude: ids [batch, m]."""
        return self._listed(self._searched("recommend", inputs, exclude, RETRIEVED))

    def delivered(
        self, inputs: dict[str, np.ndarray], exclude: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Returns the rows behind :meth:`recommend`; exclude: ids [batch, m].

        Returns:
            int64 [batch, any] each, UNFILLED is no row: those the index finds, and those that are ranked, of
            which a light ranker may leave out some and the history may add some. None if the model, pushed by
            an earlier version, does not tell.
        """
        function = getattr(self._model, "deliver", None)
        if function is None:
            return None
        specs = function.input_signature[0]
        answer = function(self._search_inputs(specs, inputs, exclude, RETRIEVED))
        retrieved, ranked = (self.catalogue.rows(answer[name].numpy()) for name in ("retrieved", "ranked"))
        return retrieved, ranked

    def score_catalogue(self, inputs: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Returns the towers' and the final scores of every candidate, float32 [batch, catalogue] each."""
        batch = len(next(iter(inputs.values())))
        turn = max(1, _RANKED_AT_ONCE // self.catalogue.size)
        answers = [
            self._model.score_catalogue(
                _constants({name: value[start : start + turn] for name, value in inputs.items()})
            )
            for start in range(0, batch, turn)
        ]
        retrieval, final = (
            np.concatenate([answer[name].numpy() for answer in answers]) for name in ("retrieval", "final")
        )
        return retrieval, final

    def retrieve_exact(self, inputs: dict[str, np.ndarray], exclude: np.ndarray) -> np.ndarray:
        """Returns int64 [batch, RETRIEVED] rows by scoring the whole catalogue; exclude: ids [batch, m]."""
        k, excluded = tf.constant(RETRIEVED, tf.int32), tf.constant(exclude, tf.string)
        return self._listed(self._model.retrieve_exact(_constants(inputs), k, excluded))

    def most_popular(self, inputs: dict[str, np.ndarray], exclude: np.ndarray) -> np.ndarray:
        """Returns :meth:`Catalogue.most_popular`, int64 [batch, RETRIEVED] rows; exclude: ids [batch, m]."""
        return self.catalogue.most_popular(self.catalogue.rows(exclude))

    def own_frequent(self, inputs: dict[str, np.ndarray], exclude: np.ndarray) -> np.ndarray:
        """Returns :meth:`Catalogue.own_frequent` of the history, int64 [batch, RETRIEVED] rows."""
        return self.catalogue.own_frequent(self.catalogue.rows(inputs[HISTORY]))

    def rank(self, inputs: dict[str, np.ndarray], ids: np.ndarray) -> dict[str, np.ndarray]:
        """Returns the heads the model has: float [batch] each; ids: [batch].

        The signature answers NaN where the catalogue lacks the candidate. The train-wide average stands in
        there, of ratings or, for every probability, of positives, so that two models with different
        catalogues are measured on the same interactions. A NaN for a candidate the model has is kept: it
        must show in the metrics.
        """
        answer = self._model.signatures["rank"](**_constants(inputs), candidate_ids=tf.constant(ids[:, None]))
        outside = self.catalogue.rows(ids) == UNFILLED
        mean, share = self.catalogue.global_mean, self.catalogue.positive_share
        return {
            head: np.where(outside, mean if head == RATING else share, values.numpy()[:, 0])
            for head, values in answer.items()
        }

    def _searched(
        self, signature: str, inputs: dict[str, np.ndarray], exclude: np.ndarray, k: int
    ) -> dict[str, tf.Tensor]:
        """Asks ``retrieve`` or ``recommend``, without filters and diversity."""
        function = self._model.signatures[signature]
        return function(**self._search_inputs(function.structured_input_signature[1], inputs, exclude, k))

    def _search_inputs(
        self, specs: dict[str, tf.TensorSpec], inputs: dict[str, np.ndarray], exclude: np.ndarray, k: int
    ) -> dict[str, tf.Tensor]:
        """What a search takes by its specs; filters and diversity are none."""
        asked = {
            **_constants(inputs),
            K: tf.constant(k, tf.int32),
            EXCLUDE: tf.constant(exclude, tf.string),
        }
        for name, spec in specs.items():
            if name not in asked:
                shape = [len(exclude) if place == 0 else size or 0 for place, size in enumerate(spec.shape)]
                nothing = "" if spec.dtype == tf.string else np.nan if is_filter_input(name) else 0.0
                asked[name] = tf.fill(shape, tf.constant(nothing, spec.dtype))
        return asked

    def _listed(self, answer: dict[str, tf.Tensor]) -> np.ndarray:
        rows = self.catalogue.rows(answer["candidate_ids"].numpy())
        padding = ((0, 0), (0, RETRIEVED - rows.shape[1]))
        return np.pad(rows, padding, constant_values=UNFILLED)


def _constants(inputs: dict[str, np.ndarray]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(value) for name, value in inputs.items()}
