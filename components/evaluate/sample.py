"""A bounded sample of a split's interactions: always the same ones, whatever the model."""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import tensorflow as tf
from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils

from components.evaluate.config import EvaluationConfig
from components.ingest.declaration import Declaration
from components.ingest.strict import Strict

_BATCH: Final = 4096
_BUCKETS: Final = 2**62
_GZIP: Final = "GZIP"


class Sample(Strict):
    """How many interactions are evaluated, and the columns they are drawn by.

    The interactions with the least fingerprints of query, candidate and moment are drawn, so that a larger
    sample holds a smaller one, and neither the model nor the order of files and rows changes it.
    """

    size: int
    """At most so many; where the last ones' fingerprints are equal, none of those."""
    query_id: str
    candidate_id: str
    timestamp: str

    @classmethod
    def of(cls, declaration: Declaration, config: EvaluationConfig) -> Sample:
        """Returns the sample of a domain."""
        log = declaration.interactions
        return cls(
            size=config.max_interactions,
            query_id=log.query_id,
            candidate_id=log.candidate_id,
            timestamp=log.timestamp.feature,
        )

    def draw(self, examples: types.Artifact, split: str, folder: str) -> types.Artifact:
        """Returns examples with at most ``size`` interactions of a split.

        Args:
            examples: gzipped TFRecords of interactions.
            split: the split; the result has no other.
            folder: where to write a sample.

        Returns:
            ``examples`` itself where the split is no larger, else an artifact in ``folder``.
        """
        files = sorted(fileio.glob(os.path.join(artifact_utils.get_split_uri([examples], split), "*")))
        fingerprints = np.concatenate([hashes for _, hashes in self._batches(files)] or [np.empty(0)])
        if len(fingerprints) <= self.size:
            return examples
        bound = np.partition(fingerprints, self.size)[self.size]
        sampled = type(examples)()
        sampled.copy_from(examples)
        sampled.uri, sampled.split_names = folder, artifact_utils.encode_split_names([split])
        path = artifact_utils.get_split_uri([sampled], split)
        fileio.makedirs(path)
        with tf.io.TFRecordWriter(os.path.join(path, "sample.gz"), _GZIP) as writer:
            for records, hashes in self._batches(files):
                for record in records[hashes < bound]:
                    writer.write(record)
        return sampled

    def _batches(self, files: list[str]) -> Any:
        """Yields serialized examples (bytes) and their fingerprints (int64), [n] each."""
        spec = {
            self.query_id: tf.io.FixedLenFeature([], tf.string),
            self.candidate_id: tf.io.FixedLenFeature([], tf.string),
            self.timestamp: tf.io.FixedLenFeature([], tf.int64),
        }

        def fingerprinted(records: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            parsed = tf.io.parse_example(records, spec)
            moment = tf.strings.as_string(parsed[self.timestamp])
            key = [parsed[self.query_id], parsed[self.candidate_id], moment]
            return records, tf.strings.to_hash_bucket_fast(tf.strings.join(key, "\0"), _BUCKETS)

        dataset = tf.data.TFRecordDataset(tf.constant(files, tf.string), _GZIP).batch(_BATCH)
        return dataset.map(fingerprinted).prefetch(2).as_numpy_iterator()
