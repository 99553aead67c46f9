"""A bounded part of the event log that holds whole queries."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from components.ingest.spill import BUCKETS, buckets_of


class KeptQueries:
    """Usable rows of as many queries as fit, chosen by a hash of the id: always the same ones.

    Histories, repeats and splits need all the rows of a query, and of a sample of queries they are what
    they are in the whole log.
    """

    def __init__(self, most_rows: int) -> None:
        """Args: how many rows to hold at most; one query's rows are kept whatever their number."""
        self._most = most_rows
        self._buckets = BUCKETS
        self._batches: list[pa.RecordBatch] = []
        self._seen = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows of :func:`~components.ingest.validation.usable_schema`, in any order of the files."""
        self._seen += batch.num_rows
        self._batches.append(self._chosen(batch))
        while self.rows > self._most and self._buckets > 1:
            self._buckets = self._buckets * 3 // 4
            self._batches = [self._chosen(kept) for kept in self._batches]

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if self._buckets == BUCKETS or not batch.num_rows:
            return batch
        return batch.take(pa.array(np.flatnonzero(buckets_of(batch.column("query")) < self._buckets)))

    @property
    def batches(self) -> list[pa.RecordBatch]:
        """The rows."""
        return self._batches

    @property
    def rows(self) -> int:
        """How many rows are held."""
        return sum(batch.num_rows for batch in self._batches)

    @property
    def share(self) -> float:
        """Share of the rows added that are held."""
        return self.rows / self._seen if self._seen else 1.0

    @property
    def share_of_queries(self) -> float:
        """Share of the queries that are held, but for chance."""
        return self._buckets / BUCKETS

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self.rows == self._seen

    def part(self, most_rows: int) -> KeptQueries:
        """A smaller choice out of this one."""
        smaller = KeptQueries(most_rows)
        for batch in self._batches:
            smaller.add(batch)
        return smaller
