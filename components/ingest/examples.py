"""Arrow columns to shards of serialised tf.Examples, byte for byte the same each time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf
from tfx.dsl.io import fileio
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

ENCODED_ROWS = 8192
"""Rows encoded at a time; bounds the memory that serialised examples take."""


def encode_examples(columns: Mapping[str, pa.Array]) -> list[bytes]:
    """Serialises rows as tf.Examples.

    Args:
        columns: Feature name to [n] values: a scalar column (null where missing) or a list column.
            Strings become bytes, doubles and floats float32, integers int64.

    Returns:
        [n] serialised examples, equal for equal input. A missing value is an empty feature.
    """
    # The encoder writes a row's features in the order of a hash map, which differs from run to run. So it
    # gets one column at a time, and each row's messages are joined: concatenated protocol buffers are
    # their merger, which every parser (TensorFlow's fast one included) honours.
    encoder = RecordBatchToExamplesEncoder()
    encoded = [
        encoder.encode(pa.record_batch([_feature_lists(values)], names=[name]))
        for name, values in columns.items()
    ]
    return list(map(b"".join, zip(*encoded, strict=True)))


def shard_name(shard: int, shards: int) -> str:
    """File name of one of a split's shards, as TFX' own ExampleGens name them."""
    return f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"


def write_shard(directory: str, shard: int, shards: int, chunks: Iterable[list[bytes]]) -> None:
    """Writes one gzip TFRecord, under its name only when complete.

    Args:
        directory: The split's directory; made if need be.
        shard: Number of this shard, from 0.
        shards: How many the split has.
        chunks: Serialised examples.
    """
    fileio.makedirs(directory)
    path = os.path.join(directory, shard_name(shard, shards))
    # Hidden from globs such as 'data_tfrecord-*' until it is whole.
    unfinished = os.path.join(directory, f".{shard_name(shard, shards)}")
    # The default level spends four times as long, most of the step, for files a seventh smaller.
    options = tf.io.TFRecordOptions("GZIP", compression_level=1)
    with tf.io.TFRecordWriter(unfinished, options=options) as writer:
        for chunk in chunks:
            for example in chunk:
                writer.write(example)
    fileio.rename(unfinished, path, overwrite=True)


def _feature_lists(values: pa.Array) -> pa.Array:
    """[n] lists of the three element types an example can hold."""
    if pa.types.is_list(values.type):
        offsets, mask, elements = values.offsets, values.is_null(), values.values
        if values.null_count == 0:
            mask = None
    else:
        present = values.is_valid()
        sizes = pc.cast(present, pa.int32()).to_numpy()
        offsets = pa.array(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32))
        elements, mask = values.drop_null(), pc.invert(present) if values.null_count else None
    return pa.ListArray.from_arrays(offsets, pc.cast(elements, _element_type(elements.type)), mask=mask)


def _element_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(kind):
        return pa.float32()
    return pa.int64() if pa.types.is_integer(kind) else pa.binary()
