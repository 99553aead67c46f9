"""Rows on their way from the files to their partition, on disk and sorted by a hash of the query's id.

The shuffle of ingestion: Beam is handed the names of these files, not the rows, so that an event log of
any size passes through bounded memory on every runner. A spill is an Arrow IPC file of exactly
:data:`BUCKETS` record batches; whoever needs some buckets reads only their bytes.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from components.ingest.files.file_system import locate

BUCKETS = 1024
"""Finest division of the queries; the most partitions there can be."""
_HASH_KEY = hashlib.sha256(b"westwork query buckets").hexdigest()[:16]


def buckets_of(ids: pa.Array) -> np.ndarray:
    """[n] query ids (strings) -> [n] int64 buckets, the same on every machine and in every run."""
    encoded = ids.dictionary_encode()
    distinct = encoded.dictionary.to_numpy(zero_copy_only=False)
    hashed = pd.util.hash_array(distinct, hash_key=_HASH_KEY, categorize=False) if len(distinct) else []
    return (np.asarray(hashed, np.uint64) % BUCKETS).astype(np.int64)[encoded.indices.to_numpy()]


def buckets_of_partition(partition: int, partitions: int) -> range:
    """The buckets that a partition is made of."""
    return range(partition * BUCKETS // partitions, (partition + 1) * BUCKETS // partitions)


def write_spill(path: str, schema: pa.Schema, batches: Sequence[pa.RecordBatch], ids: str) -> None:
    """Writes rows by bucket.

    Args:
        path: Path or URI of the file.
        schema: Of the batches.
        batches: The rows.
        ids: Name of the query id's column.
    """
    rows = pa.Table.from_batches(batches, schema=schema).combine_chunks()
    buckets = buckets_of(rows[ids].combine_chunks() if rows.num_rows else pa.array([], pa.string()))
    # uint16 is sorted by radix, several times as fast.
    order = np.argsort(buckets.astype(np.uint16), kind="stable")
    bounds = np.concatenate([[0], np.cumsum(np.bincount(buckets, minlength=BUCKETS))]).tolist()
    rows = rows.take(pa.array(order)).combine_chunks()
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    whole = rows.to_batches()[0] if rows.num_rows else empty
    system, place = locate(path)
    with system.open_output_stream(place) as sink, pa.ipc.new_file(sink, schema) as writer:
        for start, stop in itertools.pairwise(bounds):
            writer.write_batch(whole.slice(start, stop - start) if stop > start else empty)


def read_spill(path: str, buckets: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Yields the rows of some buckets, a batch a bucket, without empty ones."""
    system, place = locate(path)
    with system.open_input_file(place) as source, pa.ipc.open_file(source) as reader:
        for bucket in buckets:
            batch = reader.get_batch(bucket)
            if batch.num_rows:
                yield batch
