"""The trained baselines as plain files, keyed by the candidates in catalogue order."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from scipy.sparse import csr_matrix, load_npz, save_npz

from components.baselines.config import IALS as IALS_KIND
from components.baselines.config import ITEM_KNN
from components.baselines.ials import IALS
from components.baselines.item_knn import ItemKNN
from components.baselines.popularity import PopularityOrder
from components.baselines.search import Trial
from components.ingest.strict import Strict

RECORD_FILE: Final = "baselines.json"
_CANDIDATES_FILE: Final = "candidates.parquet"
_FACTORS_FILE: Final = "ials.npz"
_SIMILARITY_FILE: Final = "item_knn.npz"


class Scorer(Protocol):
    """A trained baseline."""

    def scores(self, histories: csr_matrix) -> np.ndarray:
        """float32 [queries, candidates] of float32 [queries, candidates] occurrences; above 0 counts."""


class Tuned(Strict):
    """The hyper-parameters of a baseline."""

    chosen: Trial
    trials: tuple[Trial, ...]
    """All that were tried, in the order made; the chosen one is of them."""


class Record(Strict):
    """How the baselines were made."""

    tuned: dict[str, Tuned]
    """By kind."""
    train_interactions: int
    """Positive train interactions, which what was chosen was trained on."""
    search_interactions: int
    """Those of them that the search trained on."""
    validation_interactions: int
    """Those of the eval split that the trials' recall is of."""


@dataclass(frozen=True)
class Baselines:
    """Trained baselines and the candidates they know.

    Attributes:
        ids: Bytes [candidates], ascending: the catalogue.
        positives: int64 [candidates] positive train interactions.
        order: The candidates' order in ``scorers``.
        scorers: By kind.
    """

    ids: np.ndarray
    positives: np.ndarray
    order: PopularityOrder
    scorers: Mapping[str, Scorer]

    def ranked(self, kind: str, histories: np.ndarray, count: int) -> np.ndarray:
        """The best candidates of each query, what is in its history included.

        Args:
            kind: Who ranks.
            histories: Integer [queries, length] rows, negative for padding; each occurrence counts.
            count: How many candidates.

        Returns:
            int64 [queries, min(count, candidates)] rows, best first. What the baseline knows nothing of,
            everything for an empty history, comes last, the most popular first.
        """
        scores = self.scorers[kind].scores(self.order.occurrences(histories))
        return self.order.best(scores, count)

    def save(self, folder: str, record: Record) -> None:
        """Writes the files.

        Args:
            folder: Local or remote.
            record: How they were made.
        """
        tf.io.gfile.makedirs(folder)
        ids = pa.array(list(self.ids), pa.binary()).cast(pa.string())
        _write(folder, _CANDIDATES_FILE, pq.write_table, pa.table({"id": ids, "positives": self.positives}))
        ials, knn = self.scorers.get(IALS_KIND), self.scorers.get(ITEM_KNN)
        if isinstance(ials, IALS):
            factors = np.zeros((len(self.ids), ials.factors.shape[1]), np.float32)
            factors[self.order.rows[: self.order.width]] = ials.factors
            numbers = {"item_factors": factors, "regularization": ials.regularization, "alpha": ials.alpha}
            _write(folder, _FACTORS_FILE, lambda found, file: np.savez(file, **found), numbers)
        if isinstance(knn, ItemKNN):
            similarity = knn.similarity.tocoo()
            rows = self.order.rows[similarity.row], self.order.rows[similarity.col]
            by_row = csr_matrix((similarity.data, rows), shape=(len(self.ids), len(self.ids)))
            _write(folder, _SIMILARITY_FILE, lambda found, file: save_npz(file, found), by_row)
        with tf.io.gfile.GFile(os.path.join(folder, RECORD_FILE), "w") as file:
            file.write(record.model_dump_json(indent=1))

    @classmethod
    def load(cls, folder: str) -> Baselines:
        """Reads what :meth:`save` wrote."""
        table = pq.read_table(_read(folder, _CANDIDATES_FILE))
        ids = np.array([id_.encode() for id_ in table["id"].to_pylist()], object)
        positives = table["positives"].to_numpy()
        order = PopularityOrder.of(positives)
        known = order.rows[: order.width]
        scorers: dict[str, Scorer] = {}
        tuned = read_record(folder).tuned
        if IALS_KIND in tuned:
            with np.load(_read(folder, _FACTORS_FILE)) as file:
                factors = file["item_factors"][known]
                scorers[IALS_KIND] = IALS(factors, float(file["regularization"]), float(file["alpha"]))
        if ITEM_KNN in tuned:
            scorers[ITEM_KNN] = ItemKNN(load_npz(_read(folder, _SIMILARITY_FILE)).tocsr()[known][:, known])
        return cls(ids, positives, order, scorers)


def read_record(folder: str) -> Record:
    """How the baselines in a folder were made."""
    with tf.io.gfile.GFile(os.path.join(folder, RECORD_FILE)) as file:
        return Record.model_validate_json(file.read())


def _write(folder: str, name: str, write: Any, content: Any) -> None:
    """Writes a file by way of memory: neither numpy nor scipy knows remote places."""
    buffer = io.BytesIO()
    write(content, buffer)
    with tf.io.gfile.GFile(os.path.join(folder, name), "wb") as file:
        file.write(buffer.getvalue())


def _read(folder: str, name: str) -> io.BytesIO:
    with tf.io.gfile.GFile(os.path.join(folder, name), "rb") as file:
        return io.BytesIO(file.read())
