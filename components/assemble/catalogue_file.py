"""The catalogue as people read it, beside the model: titles, features, what train says of each candidate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from components.ingest.declaration import POSITIVE, Declaration
from components.ingest.features import Feature
from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable

CATALOGUE_FILE = "candidates.parquet"
"""Name of the file in the SavedModel's ``assets.extra``."""
_BATCH = 8192

_TEXT, _TEXTS = pa.string(), pa.list_(pa.string())
_TYPES: dict[str, pa.DataType] = {
    "vocabulary": _TEXT,
    "hash": _TEXT,
    "text": _TEXT,
    "multivalent": _TEXTS,
    "numeric": pa.float32(),
    "timestamp": pa.int64(),
}
"""Kind of feature to the type of its values here. Embeddings tell people nothing and are left out."""
_MOST_CHARACTERS = 200
"""Of a text: enough to recognise a candidate by, and a catalogue of descriptions stays small."""


def catalogue_file(
    table: CandidateTable,
    declaration: Declaration,
    candidate_files: Sequence[str],
    train_files: Sequence[str],
) -> pa.Table:
    """Gathers titles, features and training counts, one row a candidate, in the candidate table's order.

    Args:
        table: The catalogue after Transform.
        declaration: Names the features.
        candidate_files: Raw candidate examples.
        train_files: Raw interaction examples of the train split.

    Returns:
        Columns ``id`` and ``title`` (the id where the domain names no title), ``train_positive_count``,
        ``train_count``, and ``train_rating_mean``, null for a candidate without interactions, and for all
        where interactions are not rated; and ``features``, a struct of the declared features' values before
        Transform, null where missing, texts that are not the title cut short, unless there is none but
        embeddings.
    """
    known = _candidates(table, declaration, candidate_files)
    ids = pa.array(table.ids, pa.binary()).cast(_TEXT)
    titled = declaration.candidates.title
    titles = ids if titled is None else pc.if_else(_is_empty(known[titled]), ids, known[titled])
    features = {name: known[name] for name in _readable(declaration)}
    rows, ratings, positives = _train_interactions(table, declaration, train_files)
    count = np.bincount(rows, minlength=len(table))
    rating_sum = np.bincount(rows, weights=ratings, minlength=len(table))
    unrated = count == 0 if declaration.interactions.rating else np.ones(len(table), bool)
    columns = {} if not features else {"features": pa.StructArray.from_arrays(features.values(), features)}
    return pa.table(
        {
            "id": ids,
            "title": titles,
            "train_positive_count": np.bincount(rows[positives > 0], minlength=len(table)),
            "train_count": count,
            "train_rating_mean": pa.array(rating_sum / np.maximum(count, 1), mask=unrated),
            **columns,
        }
    )


def _readable(declaration: Declaration) -> dict[str, Feature]:
    """The features that are written."""
    features = declaration.candidates.features
    return {name: feature for name, feature in features.items() if feature.kind in _TYPES}


def _candidates(table: CandidateTable, declaration: Declaration, files: Sequence[str]) -> dict[str, pa.Array]:
    """The title, if one is named, and the features by name, each in the candidate table's order."""
    candidates = declaration.candidates
    readable = _readable(declaration)
    types = {name: _TYPES[feature.kind] for name, feature in readable.items()}
    long = {name for name, feature in readable.items() if feature.kind == "text" and name != candidates.title}
    if candidates.title is not None:
        types.setdefault(candidates.title, _TEXT)
    spec = {name: tf.io.RaggedFeature(_dtype(kind)) for name, kind in types.items()}
    spec[candidates.id] = tf.io.FixedLenFeature([], tf.string)
    batches = list(raw_batches(files, spec))
    ids = np.concatenate([batch[candidates.id].numpy() for batch in batches])
    order = pc.index_in(pa.array(table.ids, pa.binary()), value_set=pa.array(ids, pa.binary()))
    columns = {}
    for name, kind in types.items():
        parts = [_column(batch[name], kind) for batch in batches]
        if name in long:
            parts = [pc.utf8_slice_codeunits(part, 0, _MOST_CHARACTERS) for part in parts]
        columns[name] = pa.concat_arrays(parts).take(order)
    return columns


def _dtype(kind: pa.DataType) -> tf.DType:
    """The dtype of a feature's values in the examples."""
    return tf.string if kind in (_TEXT, _TEXTS) else tf.as_dtype(kind.to_pandas_dtype())


def _column(ragged: tf.RaggedTensor, kind: pa.DataType) -> pa.Array:
    """[batch, any] values as a column: lists as they are, of the others the one value; null where none."""
    values, splits = ragged.values.numpy(), ragged.row_splits.numpy()
    flat = pa.array(values, pa.binary()).cast(_TEXT) if values.dtype == object else pa.array(values, kind)
    empty = splits[1:] == splits[:-1]
    if kind == _TEXTS:
        return pa.ListArray.from_arrays(pa.array(splits, mask=np.append(empty, False)), flat)
    return flat.take(pa.array(splits[:-1], mask=empty))


def _is_empty(texts: pa.Array) -> pa.Array:
    return pc.equal(pc.fill_null(texts, ""), "")


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
    """Examples as ingestion left them, a few thousand at a time.

    Args:
        files: Gzipped TFRecord files.
        spec: Of the features, as for ``tf.io.parse_example``.

    Yields:
        Feature to tensor or ragged tensor, [batch, ...].
    """
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(_BATCH)
    yield from records.map(lambda batch: tf.io.parse_example(batch, spec))
