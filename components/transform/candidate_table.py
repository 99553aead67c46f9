"""The catalogue after Transform, held as arrays; a candidate's row number is its rank by id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

UNKNOWN_ROW = -1
"""Row of an id that is not in the catalogue, and of padding."""


@dataclass(frozen=True)
class CandidateTable:
    """All candidates with their encoded features.

    Attributes:
        ids: [candidates] array of bytes, ascending bytewise.
        features: Encoded features by name, each with ``candidates`` as first dimension.
    """

    ids: np.ndarray
    features: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        """Number of candidates."""
        return len(self.ids)

    def row_lookup(self) -> tf.lookup.StaticHashTable:
        """A table from id (string) to row (int64), ``UNKNOWN_ROW`` for an id not in the catalogue."""
        rows = tf.range(len(self), dtype=tf.int64)
        initializer = tf.lookup.KeyValueTensorInitializer(tf.constant(self.ids), rows)
        return tf.lookup.StaticHashTable(initializer, default_value=UNKNOWN_ROW)


def read_candidate_table(
    files: Sequence[str], id_name: str, transform_output: tft.TFTransformOutput
) -> CandidateTable:
    """Reads transformed candidate examples into a table.

    Args:
        files: Gzipped TFRecord files written by CandidateTransform.
        id_name: Name of the id feature.
        transform_output: CandidateTransform's result.

    Raises:
        ValueError: If there is no candidate.
    """
    spec = transform_output.transformed_feature_spec()
    # Files are read in the order of their names: one order, whatever the file system lists first.
    records = tf.data.TFRecordDataset(sorted(files), compression_type="GZIP").batch(4096)
    batches = [
        tf.nest.map_structure(lambda tensor: tensor.numpy(), tf.io.parse_example(batch, spec))
        for batch in records
    ]
    if not batches:
        raise ValueError(f"no candidates in {list(files)}")
    columns = {name: np.concatenate([batch[name] for batch in batches]) for name in spec}
    ids = columns.pop(id_name).astype(object)
    order = np.argsort(ids, kind="stable")
    return CandidateTable(ids[order], {name: column[order] for name, column in columns.items()})
