"""Transformed interactions as a dataset of integers: candidates by row, histories padded."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_transform as tft

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, Declaration
from components.transform.candidate_table import UNKNOWN_ROW

CANDIDATE_ROW = "candidate_row"
"""Dataset feature: int64 row of the interaction's candidate in the candidate table."""

_PARSE_BATCH = 4096
_SHUFFLE_BUFFER = 200_000


def interaction_dataset(
    files: Sequence[str],
    declaration: Declaration,
    transform_output: tft.TFTransformOutput,
    row_lookup: tf.lookup.StaticHashTable,
    *,
    positives_only: bool,
) -> tf.data.Dataset:
    """Reads transformed interactions, one element each, cached in memory after the first pass.

    Ids become rows here, once, so that a training step only gathers integers. Interactions with a
    candidate that is not in the catalogue are left out: there is nothing to embed.

    Args:
        files: File patterns of gzipped TFRecords written by InteractionTransform.
        declaration: Names the features.
        transform_output: InteractionTransform's result.
        row_lookup: From candidate id to row.
        positives_only: Whether only positive interactions are wanted.

    Returns:
        A dataset of dicts: the encoded query id and features; ``history``, int64 [history.length] rows,
        padded at the right with ``UNKNOWN_ROW``; ``history_age``, float32 [history.length] seconds,
        padded with 0; ``candidate_row``; the rating, ``positive`` and ``weight``. Files are read in the
        order of their names, so the order of elements is always the same.
    """
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    spec = transform_output.transformed_feature_spec()

    def to_rows(records: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.io.parse_example(records, spec)
        batch[CANDIDATE_ROW] = row_lookup.lookup(batch.pop(declaration.interactions.candidate_id))
        ids, ages = latest_history(
            tf.sparse.to_dense(batch[HISTORY], default_value=""),
            tf.sparse.to_dense(batch[HISTORY_AGE]),
            declaration.history.length,
        )
        batch[HISTORY], batch[HISTORY_AGE] = row_lookup.lookup(ids), ages
        return batch

    def wanted(element: dict[str, tf.Tensor]) -> tf.Tensor:
        known = element[CANDIDATE_ROW] != UNKNOWN_ROW
        return known & (element[POSITIVE] > 0) if positives_only else known

    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(_PARSE_BATCH)
    return records.map(to_rows).unbatch().filter(wanted).cache()


def latest_history(ids: tf.Tensor, ages: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The latest ``length`` events of each history; training and serving both come through here.

    Args:
        ids: string [batch, any] candidate ids, oldest first; empty strings are padding, wherever.
        ages: float32 [batch, any] seconds, aligned with ids.
        length: Width of the result.

    Returns:
        string and float32 [batch, length], oldest first, padded at the right with "" and 0.
    """
    present = ids != ""
    shape = [None, length]
    kept_ids = tf.ragged.boolean_mask(ids, present)[:, -length:].to_tensor("", shape=shape)
    kept_ages = tf.ragged.boolean_mask(ages, present)[:, -length:].to_tensor(0.0, shape=shape)
    return kept_ids, kept_ages


def shuffled_batches(dataset: tf.data.Dataset, batch_size: int, seed: int) -> tf.data.Dataset:
    """Batches of single interactions in an order that differs each epoch and follows from the seed."""
    return dataset.shuffle(_SHUFFLE_BUFFER, seed=seed).batch(batch_size).prefetch(2)


def candidate_counts(dataset: tf.data.Dataset, candidates: int) -> tf.Tensor:
    """How many elements each candidate row has: int64 [candidates]."""
    zeros = tf.zeros([candidates], tf.int64)

    def add(counts: tf.Tensor, element: dict[str, tf.Tensor]) -> tf.Tensor:
        return counts + tf.math.bincount(
            tf.cast(element[CANDIDATE_ROW], tf.int32), minlength=candidates, dtype=tf.int64
        )

    return dataset.batch(_PARSE_BATCH).reduce(zeros, add)
