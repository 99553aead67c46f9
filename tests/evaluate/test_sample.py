"""Which interactions of a large split are evaluated."""

from __future__ import annotations

import random

import pytest
import tensorflow as tf
from tfx.types import artifact_utils, standard_artifacts

from components.evaluate.sample import Sample

READERS, BOOKS = 40, "abcde"


@pytest.fixture
def draw(tmp_path, as_example):
    """Returns a function (size, seed) that draws from 200 interactions, in an order and files by the seed."""

    def draw(size, seed=0):
        records = [as_example(f"reader{n}", book, 5.0) for n in range(READERS) for book in BOOKS]
        random.Random(seed).shuffle(records)
        root = tmp_path / f"{size}-{seed}"
        folder = root / "examples" / "Split-eval"
        folder.mkdir(parents=True)
        for number in range(seed + 1):
            with tf.io.TFRecordWriter(str(folder / f"{number}.gz"), "GZIP") as writer:
                for record in records[number :: seed + 1]:
                    writer.write(record)
        examples = standard_artifacts.Examples()
        examples.uri, examples.split_names = str(root / "examples"), '["train", "eval"]'
        sample = Sample(size=size, query_id="reader", candidate_id="book", timestamp="at")
        drawn = sample.draw(examples, "eval", str(root / "sample"))
        if drawn is examples:
            return None
        uri = artifact_utils.get_split_uri([drawn], "eval")
        files = tf.io.gfile.glob(f"{uri}/*")
        return [record.numpy() for record in tf.data.TFRecordDataset(files, "GZIP")]

    return draw


def test_a_split_that_is_small_enough_is_evaluated_as_it_is(draw):
    assert draw(READERS * len(BOOKS)) is None


def test_a_sample_is_the_same_whatever_the_order_and_the_files(draw):
    once = draw(50)
    assert len(once) == len(set(once)) == 50
    assert set(draw(50, seed=2)) == set(once)


def test_a_larger_sample_holds_a_smaller_one(draw):
    assert set(draw(20)) < set(draw(50))


def test_the_sample_is_of_interactions_all_over_the_split(draw):
    drawn = [tf.train.Example.FromString(record).features.feature for record in draw(100)]
    readers = {feature["reader"].bytes_list.value[0] for feature in drawn}
    books = {feature["book"].bytes_list.value[0] for feature in drawn}
    assert len(readers) > 30
    assert len(books) == len(BOOKS)
