"""Business filters: what a request may ask of every candidate it gets, beside its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from components.assemble.catalogue_file import raw_batches
from components.assemble.signature_names import filter_input
from components.ingest.declaration import Declaration
from components.ingest.features import Feature, NumericFeature, TimestampFeature
from components.transform.candidate_table import CandidateTable

_MISSING = 0
"""Code of no value, and of a value that no candidate has."""

Asked = Mapping[str, tf.Tensor]
"""A request's filters by the input's name."""


class CategoryFilter(tf.Module):
    """Passes candidates that have one of the values asked for.

    Values are held as integers: 4 bytes a candidate, times the most values that one of them has.

    Attributes:
        codes: int32 [candidates, most], a number from 1 for each value; 0 in the places left over.
        vocabulary: From nothing to the values, string [values], and their codes, int32 [values].
    """

    def __init__(self, name: str, vocabulary: tf.Tensor, codes: tf.Tensor):
        """Holds the values.

        Args:
            name: Of the feature.
            vocabulary: string [values], those of codes 1, 2, ...
            codes: See the attributes.
        """
        super().__init__(name="category_filter")
        self.input = filter_input(name)
        self.spec = tf.TensorSpec([None, None], tf.string, name=self.input)
        self.codes = tf.Variable(codes, dtype=tf.int32, trainable=False, name="codes")
        numbers = tf.range(1, tf.size(vocabulary) + 1)
        self._table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(vocabulary, numbers), default_value=_MISSING
        )
        self._size = int(tf.size(vocabulary))
        self.vocabulary = tf.function(self._table.export, input_signature=[], autograph=False)

    @classmethod
    def of(cls, name: str, values: tf.RaggedTensor) -> CategoryFilter:
        """Numbers the candidates' values, string [candidates, any]."""
        vocabulary, places = np.unique(values.flat_values.numpy(), return_inverse=True)
        codes = values.with_flat_values(tf.constant(places + 1, tf.int32))
        # A table cannot be empty; nobody asks for "".
        known = vocabulary if len(vocabulary) else [b""]
        return cls(name, tf.constant(known, tf.string), codes.to_tensor(_MISSING))

    @classmethod
    def of_loaded(cls, name: str, loaded: tf.Module) -> CategoryFilter:
        """The filter of a loaded recommender."""
        vocabulary, codes = loaded.vocabulary()
        return cls(name, tf.gather(vocabulary, tf.argsort(codes)), loaded.codes.value())

    def given(self, asked: tf.Tensor) -> tf.Tensor:
        """Which requests filter: bool [batch]."""
        return tf.reduce_any(asked != "", axis=1)

    def passes(self, asked: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Which of the rows, int64 [batch, any], have a value of ``asked``: bool of the rows' shape."""
        allowed = tf.gather(self._allowed(asked), tf.gather(self.codes, rows), batch_dims=1)
        return tf.reduce_any(allowed, axis=2)

    def passes_all(self, asked: tf.Tensor) -> tf.Tensor:
        """:meth:`passes` of every candidate: bool [batch, candidates]."""
        return tf.reduce_any(tf.gather(self._allowed(asked), self.codes, axis=1), axis=2)

    def _allowed(self, asked: tf.Tensor) -> tf.Tensor:
        """Whether each code is asked for: bool [batch, 1 + values]."""
        codes = self._table.lookup(asked)
        requests = tf.broadcast_to(tf.range(tf.shape(codes)[0])[:, tf.newaxis], tf.shape(codes))
        known = tf.cast(codes != _MISSING, tf.int32)
        size = [tf.shape(codes)[0], 1 + self._size]
        return tf.scatter_nd(tf.stack([requests, codes], axis=2), known, size) > 0


class RangeFilter(tf.Module):
    """Passes candidates whose number or moment is between a least and a greatest one, both included.

    Attributes:
        values: float32 [candidates] numbers, or float64 moments, whose seconds float32 cannot tell apart;
            NaN where there is none, which passes no bound.
    """

    def __init__(self, name: str, values: tf.Tensor):
        """Holds the values; see the attributes."""
        super().__init__(name="range_filter")
        self.input = filter_input(name)
        self.spec = tf.TensorSpec([None, 2], values.dtype, name=self.input)
        self.values = tf.Variable(values, trainable=False, name="values")

    @classmethod
    def of(cls, name: str, values: tf.RaggedTensor) -> RangeFilter:
        """Takes the candidates' values, float32 or int64 [candidates, at most one]."""
        dtype = tf.float32 if values.dtype == tf.float32 else tf.float64
        return cls(name, tf.cast(values, dtype).to_tensor(np.nan, [None, 1])[:, 0])

    @classmethod
    def of_loaded(cls, name: str, loaded: tf.Module) -> RangeFilter:
        """The filter of a loaded recommender."""
        return cls(name, loaded.values.value())

    def given(self, asked: tf.Tensor) -> tf.Tensor:
        """Which requests filter: bool [batch]."""
        return tf.logical_not(tf.reduce_all(tf.math.is_nan(asked), axis=1))

    def passes(self, asked: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
        """Which of the rows, int64 [batch, any], are within the bounds: bool of the rows' shape."""
        return self._within(asked, tf.gather(self.values, rows))

    def passes_all(self, asked: tf.Tensor) -> tf.Tensor:
        """:meth:`passes` of every candidate: bool [batch, candidates]."""
        return self._within(asked, self.values[tf.newaxis])

    @staticmethod
    def _within(asked: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
        # An open bound is an infinite one, which NaN is not within.
        least = tf.where(tf.math.is_nan(asked[:, :1]), asked.dtype.as_numpy_dtype(-np.inf), asked[:, :1])
        most = tf.where(tf.math.is_nan(asked[:, 1:]), asked.dtype.as_numpy_dtype(np.inf), asked[:, 1:])
        return (values >= least) & (values <= most)


class Filters(tf.Module):
    """All filters of a model; a candidate has to pass each that a request gives.

    Attributes:
        by_feature: Each filter under its feature's name.
    """

    def __init__(self, by_feature: Mapping[str, CategoryFilter | RangeFilter]):
        """Takes the filters by the names of their features."""
        super().__init__(name="filters")
        self.by_feature = dict(by_feature)

    @classmethod
    def of(cls, declaration: Declaration, values: Mapping[str, tf.RaggedTensor]) -> Filters:
        """Makes the filters.

        Args:
            declaration: Says of which kind the features are.
            values: Feature to the candidates' raw values, [candidates, any], none where missing.
        """
        features = declaration.candidates.features
        return cls({name: _kind(features[name]).of(name, own) for name, own in values.items()})

    @classmethod
    def of_loaded(cls, declaration: Declaration, loaded: tf.Module, names: Sequence[str]) -> Filters:
        """Those of a loaded recommender's filters that are wanted.

        Raises:
            KeyError: If it does not have one.
        """
        features = declaration.candidates.features
        return cls({name: _kind(features[name]).of_loaded(name, loaded.by_feature[name]) for name in names})

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """The signatures' inputs by name."""
        return {one.input: one.spec for one in self.by_feature.values()}

    def given(self, asked: Asked) -> tf.Tensor:
        """Whether any request filters by anything: bool []."""
        return tf.reduce_any([tf.reduce_any(one.given(asked[one.input])) for one in self.by_feature.values()])

    def passes(self, asked: Asked, rows: tf.Tensor) -> tf.Tensor:
        """Which of the rows, int64 [batch, any], none negative, pass all: bool of the rows' shape."""
        passed = tf.ones_like(rows, tf.bool)
        for one in self.by_feature.values():
            values = asked[one.input]
            passed &= one.passes(values, rows) | ~one.given(values)[:, tf.newaxis]
        return passed

    def passes_all(self, asked: Asked) -> tf.Tensor:
        """Which candidates pass all: bool [batch, candidates]; there must be a filter."""
        passed = [
            one.passes_all(asked[one.input]) | ~one.given(asked[one.input])[:, tf.newaxis]
            for one in self.by_feature.values()
        ]
        return tf.reduce_all(passed, axis=0) if len(passed) > 1 else passed[0]


def _kind(feature: Feature) -> type[CategoryFilter] | type[RangeFilter]:
    return RangeFilter if isinstance(feature, NumericFeature | TimestampFeature) else CategoryFilter


def read_filter_values(
    table: CandidateTable, declaration: Declaration, files: Sequence[str], names: Sequence[str]
) -> dict[str, tf.RaggedTensor]:
    """Reads what candidates are filtered by.

    Args:
        table: The catalogue after Transform, whose rows the values are in the order of.
        declaration: Names the id, and says of which kind the features are.
        files: Raw candidate examples.
        names: Of the features.

    Returns:
        Feature to values, string, float32 or int64 [candidates, any], as ingestion left them.
    """
    candidates = declaration.candidates
    types = {name: _raw_type(candidates.features[name]) for name in names}
    spec = {name: tf.io.RaggedFeature(dtype, row_splits_dtype=tf.int64) for name, dtype in types.items()}
    spec[candidates.id] = tf.io.FixedLenFeature([], tf.string)
    batches = list(raw_batches(files, spec))
    rows = table.row_lookup().lookup(tf.concat([batch[candidates.id] for batch in batches], axis=0))
    order = tf.argsort(rows)
    return {name: tf.gather(tf.concat([batch[name] for batch in batches], axis=0), order) for name in names}


def _raw_type(feature: Feature) -> tf.DType:
    match feature:
        case NumericFeature():
            return tf.float32
        case TimestampFeature():
            return tf.int64
    return tf.string
