"""Shards of serialised examples: gzipped TFRecord files, under their name only when complete.

Format: tensorflow/core/lib/io/record_writer.h: length, masked CRC of the length, data, masked CRC of the
data; checksums are CRC-32C.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Iterable

import google_crc32c
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from isal import igzip

from components.ingest.files.file_system import locate

_COMPRESSION_LEVEL = 1
"""Of ISA-L; higher ones take longer for files hardly smaller."""
_MASK_DELTA = 0xA282EAD8


def shard_name(shard: int, shards: int) -> str:
    """File name of one of a split's shards, as TFX' own ExampleGens name them."""
    return f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"


def write_shard(directory: str, shard: int, shards: int, chunks: Iterable[pa.Array]) -> int:
    """Writes one shard.

    Args:
        directory: The split's directory, or its URI; made if need be.
        shard: Number of this shard, from 0.
        shards: How many the split has.
        chunks: Serialised examples: [any] binaries each.

    Returns:
        Bytes written.
    """
    system, folder = locate(directory)
    system.create_dir(folder, recursive=True)
    path = os.path.join(folder, shard_name(shard, shards))
    # Hidden from globs such as 'data_tfrecord-*' until it is whole.
    unfinished = os.path.join(folder, f".{shard_name(shard, shards)}")
    with system.open_output_stream(unfinished, compression=None) as raw:
        with igzip.IGzipFile(
            filename="", fileobj=raw, mode="wb", compresslevel=_COMPRESSION_LEVEL, mtime=0
        ) as file:
            for chunk in chunks:
                file.write(_framed(chunk))
        size = raw.tell()
    system.move(unfinished, path)
    return size


def _framed(examples: pa.Array) -> memoryview:
    """Serialised examples as the content of a TFRecord file."""
    count = len(examples)
    if not count:
        return memoryview(b"")
    bounds = np.frombuffer(examples.buffers()[1], np.int32)[examples.offset : examples.offset + count + 1]
    content = examples.buffers()[2].to_pybytes()
    checksum = google_crc32c.value
    places = bounds.tolist()
    sums = np.fromiter(
        (checksum(content[start:stop]) for start, stop in itertools.pairwise(places)),
        np.uint32,
        count,
    )
    sizes, kinds = np.unique(np.diff(bounds), return_inverse=True)
    headers = pa.array([_length_header(size) for size in sizes.tolist()], pa.binary())
    footers = pa.Array.from_buffers(pa.binary(4), count, [None, pa.py_buffer(_masked(sums))])
    records = pc.binary_join_element_wise(
        headers.take(pa.array(kinds)),
        examples,
        pc.cast(footers, pa.binary()),
        pa.scalar(b"", pa.binary()),
    )
    return memoryview(records.buffers()[2])


@functools.lru_cache(maxsize=1 << 16)
def _length_header(size: int) -> bytes:
    length = np.uint64(size).tobytes()
    return length + _masked(np.array([google_crc32c.value(length)], np.uint32)).tobytes()


def _masked(sums: np.ndarray) -> np.ndarray:
    """Rotated and shifted, since a checksum of data that holds checksums is a weak one."""
    return ((sums >> np.uint32(15)) | (sums << np.uint32(17))) + np.uint32(_MASK_DELTA)
