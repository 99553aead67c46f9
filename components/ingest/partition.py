"""Work on one partition: all interactions of some queries, together with these queries' attributes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, WEIGHT
from components.ingest.examples import ENCODED_ROWS, encode_examples, write_shard
from components.ingest.history import HistoryWindows, history_lists, history_windows
from components.ingest.plan import INTERACTIONS, QUERIES, InteractionPlan
from components.ingest.split import SPLITS, TimeDistribution, cut_points
from components.ingest.summary import SplitSummary
from components.ingest.validation import GOOD_SCHEMA, ROW_ORDER

ROWS_PER_PARTITION = 1 << 17
"""Interactions a partition holds, roughly; its rows and their attributes are in memory at once."""
_SHUFFLE_SEED = 20

Group = Mapping[str, Iterable[pa.RecordBatch]]
"""A partition's record batches by where they come from: INTERACTIONS or QUERIES."""


def partition_count(distribution: TimeDistribution) -> int:
    """How many partitions; a function of the data alone, so that equal data makes equal files."""
    return max(1, -(-distribution.total // ROWS_PER_PARTITION))


def by_partition(batch: pa.RecordBatch, ids: str, partitions: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Deals a batch's rows out by a hash of an id that is the same on every machine and in every run.

    Args:
        batch: Rows.
        ids: Name of its query id column (strings).
        partitions: How many there are.
    """
    encoded = batch.column(ids).dictionary_encode()
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False)
    homes = tf.strings.to_hash_bucket_fast(distinct, partitions).numpy()[encoded.indices.to_numpy()]
    for partition in np.unique(homes):
        yield int(partition), batch.take(pa.array(np.flatnonzero(homes == partition)))


class WriteExamples(beam.DoFn):
    """Writes a partition's shard of each split; yields (split, :class:`SplitSummary`) of each."""

    def __init__(self, plan: InteractionPlan, directory: str) -> None:
        """Args: the plan, and the examples artifact's directory."""
        self._plan = plan
        self._directory = directory

    def process(
        self, element: tuple[int, Group], distribution: TimeDistribution
    ) -> Iterator[tuple[str, SplitSummary]]:
        """Writes one partition."""
        number, group = element
        partition = Partition(self._plan, group)
        cuts = cut_points(distribution, self._plan.split)
        if cuts is None or not partition.count:
            return
        splits = cuts.split_of(partition.seconds)
        for code, split in enumerate(SPLITS):
            rows = np.flatnonzero(splits == code)
            if not len(rows):
                continue
            # Neighbours in a file land in one batch; a query's own rows side by side would be each
            # other's negatives. The order is random, and the same for the same rows.
            order = np.random.default_rng([_SHUFFLE_SEED, number, code]).permutation(rows)
            chunks = (
                partition.encode(order[at : at + ENCODED_ROWS]) for at in range(0, len(order), ENCODED_ROWS)
            )
            directory = os.path.join(self._directory, f"Split-{split}")
            write_shard(directory, number, partition_count(distribution), chunks)
            yield split, partition.summary(rows)


class Partition:
    """All interactions of some queries, in an order that does not depend on the files' order."""

    def __init__(self, plan: InteractionPlan, group: Group) -> None:
        """Sorts the rows, finds the histories, looks the attributes up.

        Args:
            plan: What to make.
            group: The partition's batches.
        """
        self._plan = plan
        log = pa.Table.from_batches(group[INTERACTIONS], schema=GOOD_SCHEMA)
        log = log.sort_by(ROW_ORDER).combine_chunks()
        self.count = log.num_rows
        if not self.count:
            return
        self._query, self._candidate, seconds, rating = (column.combine_chunks() for column in log.columns)
        self.seconds = seconds.to_numpy()
        self._rating = rating
        self._positive = rating.to_numpy() >= plan.interactions.rating.positive_from
        self._codes = self._query.dictionary_encode().indices.to_numpy()
        self._windows: HistoryWindows = history_windows(
            self._codes, self.seconds, self._positive, plan.history.length
        )
        queries = list(group[QUERIES])
        self._attributes = pa.Table.from_batches(queries).combine_chunks() if queries else None
        self._attribute_rows = None
        if self._attributes is not None and plan.queries is not None:
            ids = self._attributes[plan.queries.id].combine_chunks()
            self._attribute_rows = pc.index_in(self._query, value_set=ids)

    def encode(self, rows: np.ndarray) -> list[bytes]:
        """[m] row numbers -> [m] serialised examples."""
        log = self._plan.interactions
        taken = pa.array(rows)
        history, ages = history_lists(self._windows, rows, self._candidate, self.seconds)
        features = {
            log.query_id: self._query.take(taken),
            log.candidate_id: self._candidate.take(taken),
            log.timestamp.column: pa.array(self.seconds[rows]),
            log.rating.column: self._rating.take(taken),
            HISTORY: history,
            HISTORY_AGE: ages,
            POSITIVE: pa.array(self._positive[rows].astype(np.float32)),
            WEIGHT: pa.array(np.ones(len(rows), np.float32)),
        }
        if self._attributes is not None and self._attribute_rows is not None:
            places = self._attribute_rows.take(taken)
            for column in self._plan.attributes:
                features[column.name] = self._attributes[column.name].combine_chunks().take(places)
        return encode_examples(features)

    def summary(self, rows: np.ndarray) -> SplitSummary:
        """Counts over some rows, one at least."""
        return SplitSummary(
            count=len(rows),
            positives=int(self._positive[rows].sum()),
            queries=len(np.unique(self._codes[rows])),
            first=int(self.seconds[rows].min()),
            last=int(self.seconds[rows].max()),
        )


def combine_pieces(pieces: Iterable[tuple[str, SplitSummary]]) -> dict[str, SplitSummary]:
    """Adds up what the partitions say of each split; a query is in one partition only."""
    by_split: dict[str, list[SplitSummary]] = {split: [] for split in SPLITS}
    for split, piece in pieces:
        by_split[split].append(piece)
    return {
        split: SplitSummary(
            count=sum(part.count for part in parts),
            positives=sum(part.positives for part in parts),
            queries=sum(part.queries for part in parts),
            first=min(part.first for part in parts),
            last=max(part.last for part in parts),
        )
        for split, parts in by_split.items()
        if parts
    }
