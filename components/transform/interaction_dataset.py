"""Transformed interactions in memory, as integers: candidates by row, histories padded."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.ingest.declaration import (
    ACTION,
    HISTORY,
    HISTORY_ACTION,
    HISTORY_AGE,
    POSITIVE,
    Declaration,
)
from components.transform.candidate_table import UNKNOWN_ROW

CANDIDATE_ROW = "candidate_row"
"""Feature of encoded interactions: int64 row of the interaction's candidate in the candidate table."""

QUERY_OF = "query_of"
"""Feature of batches of whole queries: int64 [interactions], the place of each one's query in the batch."""

UNKNOWN_ACTION = 0
"""Number of an action that is padding, or none of those that are numbered."""

UNKNOWN_POSITION = 0
"""Position of an interaction whose position is missing."""

UNKNOWN_PROPENSITY = 0.0
"""Propensity of an interaction whose propensity is missing."""

_PARSE_BATCH = 4096
_FINGERPRINT_SEED = 20_26
_PADDING = {HISTORY: UNKNOWN_ROW, HISTORY_AGE: 0.0, HISTORY_ACTION: UNKNOWN_ACTION}


@dataclass(frozen=True)
class EncodedInteractions:
    """All interactions of a split, a column a feature, ready to be gathered into batches.

    Interactions of one query (a basket, or all that a user likes where there is no time) share its columns:
    long histories are held once, and may be encoded once.

    Attributes:
        columns: Tensors with one row an interaction. Candidate rows (``candidate_row``, ``history``) are
            int32 as positions are, and actions int16, to save memory; batches hold them as int64.
        queries: Tensors with one row a query; none: ``columns`` has all, and each interaction is a query.
        query_of: int32 [interactions], the query of each; None without ``queries``.
    """

    columns: Mapping[str, tf.Tensor]
    queries: Mapping[str, tf.Tensor] = field(default_factory=dict)
    query_of: tf.Tensor | None = None

    def __len__(self) -> int:
        """Number of interactions."""
        return int(self.columns[CANDIDATE_ROW].shape[0])

    @property
    def query_count(self) -> int:
        """Number of queries."""
        return len(self) if self.query_of is None else int(next(iter(self.queries.values())).shape[0])

    def column(self, name: str) -> tf.Tensor:
        """A column with one row an interaction, be it of the query or not."""
        if name in self.columns:
            return self.columns[name]
        return tf.gather(self.queries[name], self.query_of)

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """All interactions in their order, ``batch_size`` at a time."""
        return self._gathered(tf.data.Dataset.range(len(self)).batch(batch_size))

    def steps(self, batch_size: int) -> int:
        """How many batches an epoch of interactions has."""
        return -(-len(self) // batch_size)

    def shuffled_batches(self, batch_size: int, seed: int, epochs: range) -> tf.data.Dataset:
        """Batches of one epoch after the other, ``steps`` of them each.

        An epoch's order follows from the seed and its number, so that training that is taken up again later
        goes on as it would have. The whole split is shuffled: ingestion leaves a query's interactions side by
        side, and batches of neighbours would be batches of one query's taste.
        """
        return self._gathered(_shuffled(len(self), batch_size, seed, epochs))

    def query_steps(self, batch_size: int) -> int:
        """How many batches an epoch of whole queries has."""
        return -(-self.query_count // self._queries_a_batch(batch_size))

    def shuffled_query_batches(self, batch_size: int, seed: int, epochs: range) -> tf.data.Dataset:
        """Like ``shuffled_batches``, ``query_steps`` an epoch, but of whole queries.

        A batch holds about ``batch_size`` interactions of as many queries as that takes. Columns of queries
        have one row a query; ``QUERY_OF``, int64, is each interaction's query in the batch (not there where
        each interaction is a query).
        """
        if self.query_of is None:
            return self.shuffled_batches(batch_size, seed, epochs)
        query_of = self.query_of.numpy()
        by_query = np.argsort(query_of, kind="stable")
        starts = tf.constant(np.searchsorted(query_of[by_query], np.arange(self.query_count + 1)))
        by_query = tf.constant(by_query)

        def gather(chosen: tf.Tensor) -> dict[str, tf.Tensor]:
            places = tf.ragged.range(tf.gather(starts, chosen), tf.gather(starts, chosen + 1))
            return {
                **_rows(self.queries, chosen),
                **_rows(self.columns, tf.gather(by_query, places.flat_values)),
                QUERY_OF: places.value_rowids(),
            }

        batches = _shuffled(self.query_count, self._queries_a_batch(batch_size), seed, epochs)
        return batches.map(gather, num_parallel_calls=2, deterministic=True).prefetch(2)

    def spread(self, count: int) -> EncodedInteractions:
        """At most ``count`` interactions, evenly spaced over all of them."""
        if count >= len(self):
            return self
        return self._at(tf.range(count, dtype=tf.int64) * len(self) // count)

    def query_batches(self, batch_size: int) -> tf.data.Dataset:
        """The columns of all queries in their order, ``batch_size`` queries at a time."""
        columns = self.columns if self.query_of is None else self.queries
        places = tf.data.Dataset.range(self.query_count).batch(batch_size)
        return places.map(lambda chosen: _rows(columns, chosen), num_parallel_calls=2)

    def with_columns_of_queries(self, added: Mapping[str, tf.Tensor]) -> EncodedInteractions:
        """With more columns, one row a query."""
        if self.query_of is None:
            return replace(self, columns={**self.columns, **added})
        return replace(self, queries={**self.queries, **added})

    def positives(self) -> EncodedInteractions:
        """The positive ones."""
        places = tf.where(self.columns[POSITIVE] > 0)[:, 0]
        return self if places.shape[0] == len(self) else self._at(places)

    def _at(self, places: tf.Tensor) -> EncodedInteractions:
        """Those at these places, int64 [any], and their queries."""
        columns = {name: tf.gather(column, places) for name, column in self.columns.items()}
        if self.query_of is None:
            return EncodedInteractions(columns)
        used, query_of = tf.unique(tf.gather(self.query_of, places))
        queries = {name: tf.gather(column, used) for name, column in self.queries.items()}
        return EncodedInteractions(columns, queries, query_of)

    def candidate_counts(self, candidates: int) -> tf.Tensor:
        """How many interactions each of so many candidate rows has: int64 [candidates]."""
        return tf.math.bincount(
            self.columns[CANDIDATE_ROW], minlength=candidates, maxlength=candidates, dtype=tf.int64
        )

    def signature(self, names: Sequence[str]) -> dict[str, tf.TensorSpec]:
        """Specs of a batch's features by name, for any number of interactions."""
        columns = {**self.columns, **self.queries}
        return {
            name: tf.TensorSpec([None, *columns[name].shape[1:]], _batch_dtype(columns[name]), name)
            for name in names
        }

    def _queries_a_batch(self, batch_size: int) -> int:
        return max(1, round(batch_size * self.query_count / max(len(self), 1)))

    def _gathered(self, indices: tf.data.Dataset) -> tf.data.Dataset:
        def gather(places: tf.Tensor) -> dict[str, tf.Tensor]:
            batch = _rows(self.columns, places)
            if self.query_of is not None:
                batch |= _rows(self.queries, tf.gather(self.query_of, places))
            return batch

        return indices.map(gather, num_parallel_calls=2, deterministic=True).prefetch(2)


def _shuffled(count: int, batch_size: int, seed: int, epochs: range) -> tf.data.Dataset:
    """Batches of the numbers below ``count``, int64, all of them once an epoch."""

    def epoch(number: tf.Tensor) -> tf.data.Dataset:
        key = tf.stack([tf.cast(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), key)
        places = tf.data.Dataset.range(-(-count // batch_size))
        return places.map(lambda step: order[step * batch_size : (step + 1) * batch_size])

    return tf.data.Dataset.range(epochs.start, epochs.stop).flat_map(epoch)


def _rows(columns: Mapping[str, tf.Tensor], places: tf.Tensor) -> dict[str, tf.Tensor]:
    return {
        name: tf.cast(tf.gather(column, places), _batch_dtype(column)) for name, column in columns.items()
    }


def read_interactions(
    files: Sequence[str],
    declaration: Declaration,
    transform_output: tft.TFTransformOutput,
    row_lookup: tf.lookup.StaticHashTable,
    *,
    positives_only: bool,
) -> EncodedInteractions:
    """Reads transformed interactions into memory.

    Ids become rows here, once, so that a training step only gathers integers. Interactions with a
    candidate that is not in the catalogue are left out: there is nothing to embed.

    Args:
        files: File patterns of gzipped TFRecords written by InteractionTransform.
        declaration: Names the features.
        transform_output: InteractionTransform's result.
        row_lookup: From candidate id to row.
        positives_only: Whether only positive interactions are wanted.

    Returns:
        By query: the encoded query id and features; ``history``, [queries, history.length] rows, padded at
        the right with ``UNKNOWN_ROW``; ``history_age``, float32 [queries, history.length] seconds, padded
        with 0; ``history_action``, where actions tell events apart, [queries, history.length] numbers by
        :func:`action_lookup`, padded with ``UNKNOWN_ACTION``. By interaction: ``candidate_row``;
        ``positive``, ``weight`` and, where declared, the rating, or ``action``, numbers of all that are
        declared, by :func:`action_lookup`; the position (from 1, ``UNKNOWN_POSITION`` where missing) and the
        propensity (``UNKNOWN_PROPENSITY`` where missing). Interactions that are equal in all that is by
        query are one query's. Files are read in the order of their names, so the order of interactions is
        always the same.
    """
    paths = sorted(path for pattern in files for path in tf.io.gfile.glob(pattern))
    ragged = {HISTORY: tf.io.RaggedFeature(tf.string), HISTORY_AGE: tf.io.RaggedFeature(tf.float32)}
    log = declaration.interactions
    told = declaration.history_actions
    if told:
        ragged[HISTORY_ACTION] = tf.io.RaggedFeature(tf.string)
        told_numbers = action_lookup(told)
    if log.actions:
        numbers = action_lookup(tuple(log.actions.weights))
    spec = transform_output.transformed_feature_spec() | ragged
    of_query = {log.query_id, *declaration.query_features, *ragged}

    def encode(records: tf.Tensor) -> dict[str, tf.Tensor]:
        batch = tf.io.parse_example(records, spec)
        rows = tf.cast(row_lookup.lookup(batch.pop(log.candidate_id)), tf.int32)
        kept = rows != UNKNOWN_ROW
        if positives_only:
            kept &= batch[POSITIVE] > 0
        batch[CANDIDATE_ROW] = rows
        if log.actions:
            batch[ACTION] = tf.cast(numbers.lookup(batch[ACTION]), tf.int16)
        if log.position:
            batch[log.position] = tf.cast(batch[log.position], tf.int32)
        batch = {name: tf.ragged.boolean_mask(column, kept) for name, column in batch.items()}
        events = {name: batch[name] for name in ragged}
        events[HISTORY] = _looked_up(events[HISTORY], row_lookup, tf.int32)
        if told:
            events[HISTORY_ACTION] = _looked_up(events[HISTORY_ACTION], told_numbers, tf.int16)
        return batch | latest_history(events, declaration.history.length)

    records = tf.data.TFRecordDataset(paths, compression_type="GZIP").batch(_PARSE_BATCH)
    chunks = list(records.map(encode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True))
    if not chunks:
        # Only for the shapes of its columns.
        chunks = [encode(tf.constant([], tf.string))]
    return held_by_query(chunks, of_query)


def held_by_query(chunks: list[dict[str, tf.Tensor]], of_query: Collection[str]) -> EncodedInteractions:
    """Interactions in their order, with equal queries held once, in the order of their first interactions.

    Args:
        chunks: Columns with a row an interaction; emptied.
        of_query: The columns that make a query what it is.
    """
    fingerprints = np.concatenate([_fingerprints(chunk, of_query) for chunk in chunks])
    _, first, query = np.unique(fingerprints, return_index=True, return_inverse=True)
    place = np.empty_like(first)
    place[np.argsort(first)] = np.arange(len(first))
    first = np.sort(first)
    columns, queries = {}, {}
    for name in sorted(chunks[0]):
        # One column at a time leaves the chunks, so that no more than one is in memory twice.
        column = tf.concat([chunk.pop(name) for chunk in chunks], axis=0)
        if name in of_query:
            queries[name] = tf.gather(column, first)
        else:
            columns[name] = column
    return EncodedInteractions(columns, queries, tf.constant(place[query], tf.int32))


def _fingerprints(columns: Mapping[str, tf.Tensor], names: Collection[str]) -> np.ndarray:
    """uint64 [rows], equal for rows that are equal in the named columns, and for no others.

    The bits of each value times a random number of its place, added up: two different rows meet with a
    probability of about 2⁻⁶⁴ (universal hashing: Carter and Wegman, JCSS 18, 1979).
    """
    rng = np.random.default_rng(_FINGERPRINT_SEED)
    total = np.zeros(columns[CANDIDATE_ROW].shape[0], np.uint64)
    for name in sorted(names):
        values = columns[name].numpy().reshape(columns[name].shape[0], math.prod(columns[name].shape[1:]))
        bits = values.view(f"u{values.dtype.itemsize}").astype(np.uint64)
        total += bits @ rng.integers(1 << 63, size=bits.shape[1], dtype=np.uint64)
    return total


def latest_history(events: Mapping[str, tf.RaggedTensor], length: int) -> dict[str, tf.Tensor]:
    """The latest ``length`` events of each history; training and serving both come through here.

    Args:
        events: ``history``, integers [batch, any]: candidate rows, oldest first; aligned with it
            ``history_age``, float32 seconds, and perhaps ``history_action``, integers.
        length: Width of the result.

    Returns:
        The same, [batch, length], oldest first, padded at the right with ``UNKNOWN_ROW``, 0 and
        ``UNKNOWN_ACTION``.
    """
    return {
        name: values[:, -length:].to_tensor(_PADDING[name], shape=[None, length])
        for name, values in events.items()
    }


def action_lookup(actions: Sequence[str]) -> tf.lookup.StaticHashTable:
    """From action (string) to number (int64): 1 and up, in the order given; others are ``UNKNOWN_ACTION``."""
    numbers = tf.range(1, len(actions) + 1, dtype=tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(list(actions)), numbers)
    return tf.lookup.StaticHashTable(initializer, default_value=UNKNOWN_ACTION)


def _looked_up(
    values: tf.RaggedTensor, lookup: tf.lookup.StaticHashTable, dtype: tf.DType
) -> tf.RaggedTensor:
    return values.with_flat_values(tf.cast(lookup.lookup(values.flat_values), dtype))


def _batch_dtype(column: tf.Tensor) -> tf.DType:
    return tf.int64 if column.dtype.is_integer else column.dtype
