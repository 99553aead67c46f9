"""How each kind of feature becomes numbers: the analyzers and mappings inside TensorFlow Transform.

The same functions run when a dataset is analysed, when it is transformed, and, through the saved
transform graph, inside the served model: training and serving cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft

from components.ingest.features import (
    EmbeddingFeature,
    Feature,
    HashFeature,
    MultivalentFeature,
    NumericFeature,
    TextFeature,
    TimestampFeature,
    VocabularyFeature,
)
from serving.contract import LINE_BREAKS, MISSING_MOMENT

Stream = Literal["query", "candidate"]

_SECONDS_PER_DAY = 86_400
_EXACT = tf.float64
"""In what encodings are computed, so that they are the same in float32 whatever the batch.

A value's last bit depends on its place in the batch, which decides whether a vectorised instruction computes
it, and a mean's on what is added up first; Beam chooses batches by how fast the machine is. Equal queries
would differ, and two runs on the same data train different models.
"""
_LEAST_NORMAL = float(np.finfo(np.float32).tiny)
_WORD_SEPARATORS = r"[^\pL\pN]+"


@dataclass(frozen=True)
class EncodedFeature:
    """The shape of one feature after Transform, as the towers need to know it.

    Attributes:
        name: The feature's name, as declared.
        kind: ``category`` is int64 [batch]; ``categories`` is int64 [batch, width] with 0 for padding;
            ``dense`` is float32 [batch, width], model input as it is; ``vector`` is float32 [batch, width]
            that models project to a width of their own.
        size: Number of distinct integers of a category or categories, unknown and padding included.
        width: Second dimension of categories, dense and vector; 1 for a category.
    """

    name: str
    kind: Literal["category", "categories", "dense", "vector"]
    size: int
    width: int


def vocabulary_name(stream: Stream, name: str) -> str:
    """The file name, without suffix, of the vocabulary of a feature of a stream."""
    return f"{stream}_{name}"


def encoded_features(
    features: Mapping[str, Feature], stream: Stream, transform_output: tft.TFTransformOutput
) -> list[EncodedFeature]:
    """Shapes of the encoded features, in the order declared.

    Args:
        features: The declared features by name.
        stream: Which stream they belong to; vocabularies are named after it.
        transform_output: Result of that stream's Transform.
    """
    return [_encoded(name, feature, stream, transform_output) for name, feature in features.items()]


def vocabulary_size(
    transform_output: tft.TFTransformOutput, stream: Stream, name: str, oov_buckets: int = 1
) -> int:
    """Number of integers a vocabulary feature can take; the last ``oov_buckets`` are for unknown values."""
    return int(transform_output.vocabulary_size_by_name(vocabulary_name(stream, name))) + oov_buckets


def _encoded(
    name: str, feature: Feature, stream: Stream, transform_output: tft.TFTransformOutput
) -> EncodedFeature:
    match feature:
        case VocabularyFeature():
            size = vocabulary_size(transform_output, stream, name, feature.oov_buckets)
            return EncodedFeature(name, "category", size, 1)
        case HashFeature():
            return EncodedFeature(name, "category", feature.bins, 1)
        case NumericFeature(scale="buckets"):
            return EncodedFeature(name, "category", feature.buckets + 1, 1)
        case NumericFeature():
            return EncodedFeature(name, "dense", 0, 1)
        case MultivalentFeature():
            size = vocabulary_size(transform_output, stream, name) + 1
            return EncodedFeature(name, "categories", size, feature.max_values)
        case TextFeature():
            size = vocabulary_size(transform_output, stream, name) + 1
            return EncodedFeature(name, "categories", size, feature.max_tokens)
        case TimestampFeature():
            return EncodedFeature(name, "dense", 0, 2 * len(feature.parts))
        case EmbeddingFeature():
            return EncodedFeature(name, "vector", 0, feature.dim)
    raise TypeError(f"feature {name!r}: no encoding for kind {feature!r}")


def encode(name: str, feature: Feature, values: tf.Tensor | tf.SparseTensor, stream: Stream) -> tf.Tensor:
    """Encodes one raw feature inside a ``preprocessing_fn``.

    Args:
        name: The feature's name; names its vocabulary.
        feature: Its declaration.
        values: The raw values: [batch, 1] dense, or sparse [batch, any] with nothing where missing.
        stream: The stream the feature belongs to.

    Returns:
        The tensor :class:`EncodedFeature` describes; a category has shape [batch].
    """
    match feature:
        case VocabularyFeature():
            text = single(values, "")
            return apply_vocabulary(text, stream, name, feature.top_k, feature.oov_buckets)
        case HashFeature():
            return tft.hash_strings(single(values, ""), feature.bins)
        case NumericFeature(scale="buckets"):
            numbers = _sparse(values)
            # The error that TensorFlow Transform's own bucketize takes.
            quantiles = tft.quantiles(numbers.values, feature.buckets, min(1.0 / feature.buckets, 0.01))[0]
            buckets = tft.apply_buckets(numbers, bucket_boundaries(quantiles, tft.min(numbers.values)))
            return single(buckets, tf.constant(feature.buckets, tf.int64))
        case NumericFeature():
            numbers = tf.cast(_sparse(values), _EXACT)
            if feature.scale == "log1p":
                numbers = numbers.with_values(tf.math.log1p(tf.maximum(numbers.values, 0.0)))
            return single(tf.cast(tft.scale_to_z_score(numbers), tf.float32), 0.0)[:, tf.newaxis]
        case MultivalentFeature():
            return _categories(_sparse(values), stream, name, None, feature.max_values)
        case TextFeature():
            words = _words(single(values, ""))
            return _categories(words, stream, name, feature.top_k, feature.max_tokens)
        case TimestampFeature():
            return cyclic_time(single(values, tf.constant(MISSING_MOMENT, tf.int64)), feature)
        case EmbeddingFeature():
            return _vector(values, feature.dim)
    raise TypeError(f"feature {name!r}: no encoding for kind {feature!r}")


def apply_vocabulary(
    values: tf.Tensor | tf.SparseTensor,
    stream: Stream,
    name: str,
    top_k: int | None = None,
    oov_buckets: int = 1,
) -> tf.Tensor | tf.SparseTensor:
    """Integers of the vocabulary, most frequent value first.

    Unknown and empty values are hashed into the last ``oov_buckets`` integers.
    """
    return tft.compute_and_apply_vocabulary(
        _on_one_line(values),
        top_k=top_k,
        num_oov_buckets=oov_buckets,
        vocab_filename=vocabulary_name(stream, name),
    )


def _on_one_line(values: tf.Tensor | tf.SparseTensor) -> tf.Tensor | tf.SparseTensor:
    """The strings with Unicode's pictures of line breaks instead of line breaks.

    TensorFlow Transform leaves values with a line break out of a vocabulary, a value a line, without a word:
    they would be unknown for ever.
    """
    if isinstance(values, tf.SparseTensor):
        return values.with_values(_on_one_line(values.values))
    for sign, picture in LINE_BREAKS.items():
        values = tf.strings.regex_replace(values, sign, picture)
    return values


def cyclic_time(seconds: tf.Tensor, feature: TimestampFeature) -> tf.Tensor:
    """Sine and cosine of a moment's position in each declared cycle.

    Args:
        seconds: int64 [batch] seconds since 1970-01-01 UTC, or ``MISSING_MOMENT``.
        feature: Says which cycles, and in what order.

    Returns:
        float32 [batch, 2 x parts]: sine and cosine of the first part, then of the second, ...; zeros, the
        middle of every circle, where the moment is ``MISSING_MOMENT``.
    """
    present = tf.not_equal(seconds, MISSING_MOMENT)[:, tf.newaxis]
    columns = []
    for part in feature.parts:
        angle = 2 * math.pi * _position_in_cycle(seconds, part)
        columns += [tf.sin(angle), tf.cos(angle)]
    encoded = tf.cast(tf.stack(columns, axis=1), tf.float32)
    return tf.where(present, encoded, tf.zeros_like(encoded))


def _position_in_cycle(seconds: tf.Tensor, part: str) -> tf.Tensor:
    """How far into the cycle each moment is: ``_EXACT`` [batch] in [0, 1)."""
    days = tf.math.floordiv(seconds, _SECONDS_PER_DAY)
    if part == "hour_of_day":
        return tf.cast(tf.math.floormod(seconds, _SECONDS_PER_DAY), _EXACT) / _SECONDS_PER_DAY
    if part == "day_of_week":
        # 1970-01-01 was a Thursday; weeks begin on Monday.
        into_week = tf.math.floormod(seconds + 3 * _SECONDS_PER_DAY, 7 * _SECONDS_PER_DAY)
        return tf.cast(into_week, _EXACT) / (7 * _SECONDS_PER_DAY)
    month, day = _month_and_day(days)
    if part == "day_of_month":
        return tf.cast(day - 1, _EXACT) / 31.0
    return tf.cast(month - 1, _EXACT) / 12.0


def _month_and_day(days: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Month (1-12) and day of month (1-31) of int64 days since 1970-01-01.

    H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", section civil_from_days: eras of 400
    years, counted in years that begin on 1 March so that the leap day comes last.
    """
    shifted = days + 719_468
    day_of_era = tf.math.floormod(shifted, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march_month = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * march_month + 2) // 5 + 1
    month = tf.where(march_month < 10, march_month + 3, march_month - 9)
    return month, day


def bucket_boundaries(quantiles: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """Where quantile buckets begin.

    A value that is more frequent than a bucket is wide is several quantiles at once, and all that is above it
    would share its bucket. So of equal quantiles the second and further ones are moved just above the value;
    and so is the first, where nothing is below it.

    Args:
        quantiles: float32 [buckets - 1], ascending values of the column.
        least: float32, its least value.

    Returns:
        float32 [1, buckets - 1], ascending.
    """
    below = tf.concat([least[tf.newaxis], quantiles[:-1]], axis=0)
    above = tf.math.nextafter(quantiles, tf.fill(tf.shape(quantiles), quantiles.dtype.max))
    # Processors may take numbers as close to 0 as its neighbour for 0.
    above = tf.where(tf.abs(above) < _LEAST_NORMAL, _LEAST_NORMAL, above)
    return tf.where(tf.equal(quantiles, below), above, quantiles)[tf.newaxis]


def _sparse(values: tf.Tensor | tf.SparseTensor) -> tf.SparseTensor:
    """The values as [batch, any] sparse tensor."""
    if isinstance(values, tf.SparseTensor):
        return values
    rows = tf.shape(values, out_type=tf.int64)
    indices = tf.where(tf.ones_like(values, dtype=tf.bool))
    return tf.SparseTensor(indices, tf.reshape(values, [-1]), rows)


def single(values: tf.Tensor | tf.SparseTensor, missing: tf.Tensor | str | float) -> tf.Tensor:
    """The first value of each row as [batch], with ``missing`` where there is none."""
    if isinstance(values, tf.SparseTensor):
        first = tf.SparseTensor(values.indices, values.values, _one_column_at_least(values.dense_shape))
        return tf.sparse.to_dense(first, default_value=missing)[:, 0]
    return values[:, 0]


def _vector(values: tf.Tensor | tf.SparseTensor, dim: int) -> tf.Tensor:
    """The values as float32 [batch, dim], zeros in a row without any."""
    if isinstance(values, tf.SparseTensor):
        # Ingestion lets no other width through, but a batch may hold no vector at all.
        shape = tf.stack([values.dense_shape[0], tf.constant(dim, tf.int64)])
        values = tf.sparse.to_dense(tf.SparseTensor(values.indices, values.values, shape))
    return tf.ensure_shape(values, [None, dim])


def _one_column_at_least(shape: tf.Tensor) -> tf.Tensor:
    """[batch, columns] with at least one column, so that an all-missing batch can still be sliced."""
    return tf.stack([shape[0], tf.maximum(shape[1], 1)])


def _words(text: tf.Tensor) -> tf.SparseTensor:
    """Lower-case words of [batch] text, as sparse [batch, longest]."""
    spaced = tf.strings.regex_replace(tf.strings.lower(text, encoding="utf-8"), _WORD_SEPARATORS, " ")
    return tf.strings.split(spaced).to_sparse()


def _categories(
    values: tf.SparseTensor, stream: Stream, name: str, top_k: int | None, width: int
) -> tf.Tensor:
    """Vocabulary integers plus one as dense [batch, width], 0 for padding."""
    codes = apply_vocabulary(values, stream, name, top_k)
    shifted = tf.SparseTensor(codes.indices, codes.values + 1, _one_column_at_least(codes.dense_shape))
    dense = tf.sparse.to_dense(shifted, default_value=0)[:, :width]
    padded = tf.pad(dense, [[0, 0], [0, width - tf.shape(dense)[1]]])
    return tf.ensure_shape(padded, [None, width])
