"""The second half of ingestion: a partition's spilled rows become a shard of each split."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import apache_beam as beam
import numpy as np
import pyarrow as pa

from components.ingest.dead_letters import write_dead_letters
from components.ingest.declaration import TimeSplit
from components.ingest.errors import UserError
from components.ingest.examples import string_entries
from components.ingest.files.tables import one_row_an_id
from components.ingest.partition import CANCELLED, Catalogue, Partition, partition_count, shuffled
from components.ingest.plan import InteractionPlan
from components.ingest.reading import Reading, letters_file, read_catalogue
from components.ingest.reference_tables import OWNER_FILE, OWNER_ROW, refuse_repeated_queries
from components.ingest.spill import BUCKETS, buckets_of_partition, read_spill
from components.ingest.split import SPLITS, cut_points
from components.ingest.summary import SplitSummary
from components.ingest.tfrecord import write_shard

_SHUFFLE_SEED = 20


@dataclass
class Written:
    """What became of one partition.

    Attributes:
        splits: Split to what is in it; splits without interactions are not there.
        duplicates: Rows left out because they repeat another.
        cancelled: Interactions left out because they are cancelled.
        size: Bytes written.
        fault: Message for the user, if the queries table is wrong.
    """

    splits: dict[str, SplitSummary] = field(default_factory=dict)
    duplicates: int = 0
    cancelled: int = 0
    size: int = 0
    fault: str | None = None


class WriteExamples(beam.DoFn):
    """Partition number to :class:`Written`."""

    def __init__(
        self, plan: InteractionPlan, log: Sequence[str], queries: Sequence[str], directory: str, uri: str
    ) -> None:
        """Takes what every partition needs.

        Args:
            plan: What to make.
            log: The event log's files.
            queries: The queries table's files.
            directory: The work directory.
            uri: The examples artifact's directory.
        """
        self._plan, self._log, self._queries = plan, list(log), list(queries)
        self._directory, self._uri = directory, uri
        self._catalogue: Catalogue | None = None

    def setup(self) -> None:
        """Loads the catalogue's ids, once a worker."""
        ids = read_catalogue(self._directory)
        self._catalogue = Catalogue(ids, string_entries(ids))

    def process(self, element: int, reading: Reading, attributes: Sequence[str]) -> Iterator[Written]:
        """Writes one partition.

        Args:
            element: Its number.
            reading: The whole log's.
            attributes: Spills of the queries table.
        """
        partitions = partition_count(reading.usable, BUCKETS)
        buckets = buckets_of_partition(element, partitions)
        batches = [batch for spill in reading.spills for batch in read_spill(spill, buckets)]
        try:
            table = self._attributes(attributes, buckets)
        except UserError as error:
            yield Written(fault=str(error))
            return
        if not batches:
            return
        assert self._catalogue is not None
        partition = Partition(self._plan, self._catalogue, batches, table)
        written = Written(duplicates=partition.duplicates.num_rows)
        if written.duplicates and self._plan.interactions.duplicates == "dead_letter":
            path = os.path.join(self._directory, letters_file(f"repeated-{element:06d}"))
            write_dead_letters([partition.duplicate_letters(self._log)], path)
        cuts = None
        if isinstance(self._plan.split, TimeSplit):
            cuts = cut_points(reading.distribution, self._plan.split)
        codes = partition.splits(cuts)
        written.cancelled = int((codes == CANCELLED).sum())
        for code, split in enumerate(SPLITS):
            rows = np.flatnonzero(codes == code)
            if not len(rows):
                continue
            chunks = (partition.encode(chunk) for chunk in shuffled(rows, _SHUFFLE_SEED, element, code))
            directory = os.path.join(self._uri, f"Split-{split}")
            written.size += write_shard(directory, element, partitions, chunks)
            written.splits[split] = partition.summary(rows)
        yield written
        del partition, batches
        pa.default_memory_pool().release_unused()

    def _attributes(self, spills: Sequence[str], buckets: range) -> pa.Table | None:
        """The partition's rows of the queries table; None without such a table."""
        if self._plan.queries is None:
            return None
        batches = [batch for spill in spills for batch in read_spill(spill, buckets)]
        if not batches:
            return None
        table = pa.Table.from_batches(batches).combine_chunks()
        if self._plan.queries.duplicates == "refuse":
            refuse_repeated_queries(table, self._plan.queries.id, self._queries)
            return table
        in_order = table.sort_by([(OWNER_FILE, "ascending"), (OWNER_ROW, "ascending")])
        return one_row_an_id(in_order, self._plan.queries.id, self._plan.queries)[0]
