"""The catalogue as people read it, beside the model: titles and what train says of each candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import tensorflow as tf

from components.ingest.declaration import POSITIVE, Declaration
from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable

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
        ``train_count``, and ``train_rating_mean``, null for a candidate without interactions, and for all
        where interactions are not rated.
    """
    titles = _titles(declaration, candidate_files)
    rows, ratings, positives = _train_interactions(table, declaration, train_files)
    count = np.bincount(rows, minlength=len(table))
    rating_sum = np.bincount(rows, weights=ratings, minlength=len(table))
    unrated = count == 0 if declaration.interactions.rating else np.ones(len(table), bool)
    return pa.table(
        {
            "id": [key.decode() for key in table.ids],
            "title": [titles.get(key) or key.decode() for key in table.ids],
            "train_positive_count": np.bincount(rows[positives > 0], minlength=len(table)),
            "train_count": count,
            "train_rating_mean": pa.array(rating_sum / np.maximum(count, 1), mask=unrated),
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
        for batch in raw_batches(files, spec)
        for key, title in zip(batch[candidates.id].numpy(), batch[candidates.title].numpy(), strict=True)
    }


def _train_interactions(
    table: CandidateTable, declaration: Declaration, files: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, ratings (zeros where there are none) and positive flags of the train split, [interactions]."""
    log = declaration.interactions
    labels = [POSITIVE, *([log.rating.column] if log.rating else [])]
    spec = {name: tf.io.FixedLenFeature([], tf.float32) for name in labels}
    spec[log.candidate_id] = tf.io.FixedLenFeature([], tf.string)
    lookup = table.row_lookup()
    parts = []
    for batch in raw_batches(files, spec):
        rows = lookup.lookup(batch[log.candidate_id]).numpy()
        ratings = batch[log.rating.column].numpy() if log.rating else np.zeros(len(rows), np.float32)
        known = rows != UNKNOWN_ROW
        parts.append((rows[known], ratings[known], batch[POSITIVE].numpy()[known]))
    rows, ratings, positives = (np.concatenate(column) for column in zip(*parts, strict=True))
    return rows, ratings, positives


def raw_batches(files: Sequence[str], spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Examples as ingestion left them.

    Args:
        files: Gzipped TFRecord files.
        spec: Of the features, as for ``tf.io.parse_example``.

    Yields:
        Feature to tensor, [batch, ...].
    """
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(_BATCH)
    for batch in records:
        yield tf.io.parse_example(batch, spec)
