"""Each feature kind, through TensorFlow Transform's real analysis on Beam."""

import datetime
import math

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

from components.ingest.features import (
    EmbeddingFeature,
    HashFeature,
    MultivalentFeature,
    NumericFeature,
    TextFeature,
    TimestampFeature,
    VocabularyFeature,
)
from components.transform.encoding import bucket_boundaries, cyclic_time, encode, encoded_features

FEATURES = {
    "colour": VocabularyFeature(kind="vocabulary"),
    "top": VocabularyFeature(kind="vocabulary", top_k=1),
    "town": VocabularyFeature(kind="vocabulary", top_k=1, oov_buckets=50),
    "vector": EmbeddingFeature(kind="embedding", dim=2),
    "zip": HashFeature(kind="hash", bins=7),
    "price": NumericFeature(kind="numeric", scale="z_score"),
    "views": NumericFeature(kind="numeric", scale="log1p"),
    "year": NumericFeature(kind="numeric", scale="buckets", buckets=2),
    "genres": MultivalentFeature(kind="multivalent", max_values=3),
    "title": TextFeature(kind="text", max_tokens=3),
    "lines": VocabularyFeature(kind="vocabulary"),
    "labels": MultivalentFeature(kind="multivalent", max_values=2),
    "added": TimestampFeature(kind="timestamp", parts=("hour_of_day", "month_of_year")),
}
DTYPES = {
    "vector": tf.float32,
    "price": tf.float32,
    "views": tf.float32,
    "year": tf.float32,
    "added": tf.int64,
}
ROWS = [
    {
        "colour": ["red"],
        "top": ["a"],
        "town": ["Soest"],
        "vector": [0.5, -1.0],
        "zip": ["1"],
        "price": [1.0],
        "views": [0.0],
        "year": [1990.0],
        "genres": ["Drama", "War"],
        "title": ["The Big Sleep"],
        "lines": ["u1\n"],
        "labels": ["a\r\nb", "c"],
        "added": [0],
    },
    {
        "colour": ["red"],
        "top": ["a"],
        "town": ["Soest"],
        "vector": [],
        "zip": ["2"],
        "price": [3.0],
        "views": [math.e - 1],
        "year": [1991.0],
        "genres": ["Drama"],
        "title": ["big, BIG trouble in town"],
        "lines": ["u1\r"],
        "labels": ["a\nb"],
        "added": [6 * 3600],
    },
    {
        "colour": ["blue"],
        "top": ["b"],
        "town": ["Hagen"],
        "vector": [0.0, 3.0],
        "zip": ["1"],
        "price": [5.0],
        "views": [math.e**2 - 1],
        "year": [2000.0],
        "genres": ["Drama", "War", "Western", "Comedy"],
        "title": ["Été"],
        "lines": ["u1"],
        "labels": ["a b"],
        "added": [86400 * 31],
    },
    {name: [] for name in FEATURES},
]


@pytest.fixture(scope="module")
def transformed(tmp_path_factory):
    """The rows after analysis and transform, and the transform's output."""
    spec = {name: tf.io.VarLenFeature(DTYPES.get(name, tf.string)) for name in FEATURES}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))

    def preprocessing_fn(inputs):
        return {name: encode(name, FEATURES[name], inputs[name], "candidate") for name in FEATURES}

    path = str(tmp_path_factory.mktemp("transform"))
    with tft_beam.Context(temp_dir=str(tmp_path_factory.mktemp("tmp"))):
        (data, _), transform_fn = (ROWS, metadata) | tft_beam.AnalyzeAndTransformDataset(preprocessing_fn)
        transform_fn | tft_beam.WriteTransformFn(path)
    return data, tft.TFTransformOutput(path)


def column(transformed, name):
    return np.array([row[name] for row in transformed[0]])


def test_vocabulary_puts_the_most_frequent_first_and_missing_last(transformed):
    assert column(transformed, "colour").tolist() == [0, 0, 1, 2]


def test_values_beyond_top_k_share_the_unknown_integer(transformed):
    assert column(transformed, "top").tolist() == [0, 0, 1, 1]


def test_unknown_values_are_spread_over_their_buckets(transformed):
    codes = column(transformed, "town").tolist()
    assert codes[:2] == [0, 0]
    assert codes[2] != codes[3], "another town and none at all"
    assert all(1 <= code < 51 for code in codes[2:])


def test_a_vector_stays_as_it_is_and_a_missing_one_is_all_zeros(transformed):
    np.testing.assert_allclose(column(transformed, "vector"), [[0.5, -1], [0, 0], [0, 3], [0, 0]])


def test_hash_stays_in_its_bins_and_is_the_same_for_the_same_value(transformed):
    codes = column(transformed, "zip")
    assert codes[0] == codes[2]
    assert ((codes >= 0) & (codes < 7)).all()


def test_z_score_standardises_what_is_there_and_missing_is_the_mean(transformed):
    deviation = math.sqrt(8 / 3)
    expected = [[-2 / deviation], [0.0], [2 / deviation], [0.0]]
    np.testing.assert_allclose(column(transformed, "price"), expected, rtol=1e-5)


def test_log1p_is_taken_before_standardising(transformed):
    deviation = math.sqrt(2 / 3)
    expected = [[-1 / deviation], [0.0], [1 / deviation], [0.0]]
    np.testing.assert_allclose(column(transformed, "views"), expected, rtol=1e-4, atol=1e-6)


def test_buckets_are_quantiles_and_missing_has_its_own(transformed):
    codes = column(transformed, "year").tolist()
    assert codes[0] == 0
    assert codes[2] == 1
    assert codes[3] == 2


@pytest.mark.parametrize(
    ("values", "buckets", "codes"),
    [
        ([0] * 93 + [5, 40, 500, 0.5, 2, 3, 4], 10, {0: 0, 500: 9, 0.5: 9}),
        ([0] * 95 + [7] * 5, 2, {0: 0, 7: 1}),
        ([9] * 95 + [1, 2, 3, 4, 5], 4, {9: 1, 5: 0}),
        ([-5, -4] + [0] * 95 + [1e-30, 3], 5, {-5: 0, 0: 1, 1e-30: 4, 3: 4}),
        ([1] * 50 + [2] * 30 + [3] * 20, 10, {1: 0, 2: 5, 3: 8}),
        ([7] * 10, 4, {7: 0}),
        (list(range(100)), 4, {0: 0, 24: 0, 26: 1, 51: 2, 99: 3}),
    ],
)
def test_a_value_wider_than_a_bucket_has_one_of_its_own(values, buckets, codes):
    # The quantiles as TensorFlow Transform's analyzer gives them, values of the column.
    numbers = np.sort(np.array(values, np.float32))
    quantiles = numbers[[len(numbers) * part // buckets for part in range(1, buckets)]]
    boundaries = bucket_boundaries(tf.constant(quantiles), tf.constant(numbers[0]))
    # As TensorFlow Transform assigns buckets.
    found = np.searchsorted(boundaries[0], np.array(list(codes), np.float32), side="right").tolist()
    assert found == list(codes.values())


def test_values_with_line_breaks_are_known_and_differ(transformed):
    codes = column(transformed, "lines").tolist()
    assert sorted(codes) == [0, 1, 2, 3], "the last one, missing, is the unknown one"
    labels = column(transformed, "labels")
    assert len({labels[0][0], labels[1][0], labels[2][0], labels[0][1]}) == 4


def test_a_missing_moment_is_no_moment(transformed):
    assert not column(transformed, "added")[3].any()
    assert column(transformed, "added")[0].tolist() == [0, 1, 0, 1], "1970-01-01 is one"


def test_multivalent_is_padded_with_zero_and_cut_at_max_values(transformed):
    codes = column(transformed, "genres")
    assert codes.shape == (4, 3)
    assert codes[0].tolist() == [1, 2, 0]
    assert codes[1].tolist() == [1, 0, 0]
    assert (codes[2] > 0).all()
    assert codes[3].tolist() == [0, 0, 0]


def test_text_is_lower_cased_and_split_at_punctuation(transformed):
    codes = column(transformed, "title")
    big = codes[0][1]
    assert codes[1][:2].tolist() == [big, big], "'Big', 'big,' and 'BIG' are one word"
    assert codes[2][0] > 0, "accented letters are letters"
    assert codes[3].tolist() == [0, 0, 0]


def test_shapes_announced_to_the_towers_are_the_real_ones(transformed):
    for feature in encoded_features(FEATURES, "candidate", transformed[1]):
        values = column(transformed, feature.name)
        if feature.kind == "category":
            assert values.shape == (4,)
        else:
            assert values.shape == (4, feature.width)
        if feature.kind in ("category", "categories"):
            assert values.max() < feature.size


@pytest.mark.parametrize(
    "moment",
    [(1970, 1, 1, 0), (1998, 4, 22, 23), (2000, 2, 29, 6), (1969, 12, 31, 12), (2024, 3, 1, 18)],
)
def test_cyclic_time_agrees_with_the_calendar(moment):
    when = datetime.datetime(*moment, tzinfo=datetime.UTC)
    feature = TimestampFeature(
        kind="timestamp", parts=("hour_of_day", "day_of_week", "day_of_month", "month_of_year")
    )
    positions = [
        when.hour / 24,
        (when.weekday() + when.hour / 24) / 7,
        (when.day - 1) / 31,
        (when.month - 1) / 12,
    ]
    expected = [f(2 * math.pi * p) for p in positions for f in (math.sin, math.cos)]
    seconds = tf.constant([int(when.timestamp())], tf.int64)
    np.testing.assert_allclose(cyclic_time(seconds, feature)[0], expected, atol=1e-5)


def test_an_encoding_is_the_same_to_the_bit_whatever_the_batches(tmp_path):
    random = np.random.default_rng(5)
    moments = random.integers(2**31, size=500)
    # Midnights, where a sine is all but nothing.
    moments[::4] -= moments[::4] % 86_400
    columns = {
        "price": random.lognormal(sigma=2, size=500),
        "views": random.poisson(40.0, size=500).astype(float),
        "added": moments,
    }
    names = list(columns)
    rows = [{name: [columns[name][i].item()] for name in names} for i in range(500)]
    spec = {name: tf.io.VarLenFeature(DTYPES[name]) for name in names}
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))

    def preprocessing_fn(inputs):
        return {name: encode(name, FEATURES[name], inputs[name], "query") for name in names}

    one_by_one, at_once = (
        _transformed_in_batches_of(size, rows, metadata, preprocessing_fn, tmp_path) for size in (1, 500)
    )
    for name in names:
        np.testing.assert_array_equal(*([row[name] for row in data] for data in (one_by_one, at_once)))


def _transformed_in_batches_of(size, rows, metadata, preprocessing_fn, folder):
    with tft_beam.Context(temp_dir=str(folder), desired_batch_size=size):
        (data, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(preprocessing_fn)
    assert len(data) == len(rows)
    return data
