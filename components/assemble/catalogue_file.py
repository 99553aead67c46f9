"""The catalogue as people read it, beside the model: titles and what train says of each candidate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.ingest.declaration import POSITIVE, Declaration
from components.transform.candidate_table import CandidateTable

CATALOGUE_FILE = "candidates.parquet"
"""Name of the file in the SavedModel's ``assets.extra``."""
_BATCH = 8192


def catalogue_file(
    table: CandidateTable,
    declaration: Declaration,
    candidate_files: Sequence[str],
    train_files: Sequence[str],
) -> pa.Table:
    """Gathers titles and training counts, one row a candidate, in the order of the candidate table.

    Args:
        table: The catalogue after Transform.
        declaration: Names the features.
        candidate_files: Raw candidate examples.
        train_files: Raw interaction examples of the train split.

    Returns:
        Columns ``id`` and ``title`` (the id where the domain names no title), ``train_positive_count``,
        ``train_count``, and ``train_rating_mean``, null for a candidate without interactions.
    """
    titles = _titles(declaration, candidate_files)
    rows, ratings, positives = _train_interactions(table, declaration, train_files)
    count = np.bincount(rows, minlength=len(table))
    rating_sum = np.bincount(rows, weights=ratings, minlength=len(table))
    return pa.table(
        {
            "id": [key.decode() for key in table.ids],
            "title": [titles.get(key) or key.decode() for key in table.ids],
            "train_positive_count": np.bincount(rows[positives > 0], minlength=len(table)),
            "train_count": count,
            "train_rating_mean": pa.array(rating_sum / np.maximum(count, 1), mask=count == 0),
        }
    )


def _titles(declaration: Declaration, files: Sequence[str]) -> dict[bytes, str]:
    candidates = declaration.candidates
    if candidates.title is None:
        return {}
    spec = {
        candidates.id: tf.io.FixedLenFeature([], tf.string),
        candidates.title: tf.io.FixedLenFeature([], tf.string, default_value=""),
    }
    return {
        key: title.decode()
        for batch in _batches(files, spec)
        for key, title in zip(batch[candidates.id], batch[candidates.title], strict=True)
    }


def _train_interactions(
    table: CandidateTable, declaration: Declaration, files: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, ratings and positive flags of the train split, each [interactions]."""
    log = declaration.interactions
    spec = {
        log.candidate_id: tf.io.FixedLenFeature([], tf.string),
        log.rating.column: tf.io.FixedLenFeature([], tf.float32),
        POSITIVE: tf.io.FixedLenFeature([], tf.float32),
    }
    batches = list(_batches(files, spec))
    ids, ratings, positives = (np.concatenate([batch[name] for batch in batches]) for name in spec)
    rows = np.searchsorted(table.ids, ids)
    known = (rows < len(table)) & (table.ids[np.minimum(rows, len(table) - 1)] == ids)
    return rows[known], ratings[known], positives[known]


def _batches(files: Sequence[str], spec: dict[str, tf.io.FixedLenFeature]) -> list[dict[str, np.ndarray]]:
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(_BATCH)
    parsed = records.map(lambda batch: tf.io.parse_example(batch, spec))
    return list(parsed.as_numpy_iterator())
