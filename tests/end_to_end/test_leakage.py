"""Nothing of the future, and nothing of the evaluation splits, reaches training."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from pyarrow import parquet

SPLITS = ("train", "eval", "test")


@pytest.fixture(scope="module")
def events(movielens):
    """The raw log as a dict from (user, film, moment) to rating."""
    rows = parquet.read_table(movielens.root / "data" / "interactions.parquet").to_pylist()
    return {
        (str(row["user_id"]), str(row["movie_id"]), int(row["timestamp"])): float(row["rating"])
        for row in rows
    }


@pytest.fixture(scope="module")
def examples(movielens):
    """All interaction examples, by split."""
    spec = {
        "user_id": tf.io.FixedLenFeature([], tf.string),
        "movie_id": tf.io.FixedLenFeature([], tf.string),
        "timestamp": tf.io.FixedLenFeature([], tf.int64),
        "occupation": tf.io.FixedLenFeature([], tf.string, ""),
        "history": tf.io.RaggedFeature(tf.string),
        "history_age": tf.io.RaggedFeature(tf.float32),
    }

    def read(split):
        files = movielens.split("InteractionGen", "examples", split)
        parsed = [
            tf.io.parse_example(batch, spec)
            for batch in tf.data.TFRecordDataset(files, compression_type="GZIP").batch(20_000)
        ]
        columns = {name: [] for name in spec}
        for batch in parsed:
            for name, tensor in batch.items():
                values = tensor.to_list() if isinstance(tensor, tf.RaggedTensor) else tensor.numpy().tolist()
                columns[name] += values
        return columns

    return {split: read(split) for split in SPLITS}


def test_every_event_is_in_exactly_one_split(events, examples):
    seen = Counter(
        (user.decode(), film.decode(), moment)
        for split in SPLITS
        for user, film, moment in zip(
            *(examples[split][name] for name in ("user_id", "movie_id", "timestamp")), strict=True
        )
    )
    assert len(seen) == len(events) == 100_000
    assert set(seen) == set(events)
    assert set(seen.values()) == {1}


def test_splits_are_80_10_10_and_follow_each_other_in_time(examples):
    sizes = [len(examples[split]["timestamp"]) for split in SPLITS]
    assert [round(size / sum(sizes), 3) for size in sizes] == [0.8, 0.1, 0.1]
    for earlier, later in (("train", "eval"), ("eval", "test")):
        assert max(examples[earlier]["timestamp"]) < min(examples[later]["timestamp"])


def test_history_holds_only_earlier_positive_events_of_the_same_user(events, examples):
    checked = 0
    for split in SPLITS:
        for user, moment, films, ages in zip(
            *(examples[split][name] for name in ("user_id", "timestamp", "history", "history_age")),
            strict=True,
        ):
            assert len(films) == len(ages) <= 50
            assert all(age > 0 for age in ages), "strictly before its own time"
            assert ages == sorted(ages, reverse=True), "oldest first"
            for film, age in zip(films[-3:], ages[-3:], strict=True):
                # float32 holds ages past 2^24 s only to the next few seconds.
                near = (moment - round(age) + shift for shift in range(-2, 3))
                ratings = [events.get((user.decode(), film.decode(), when)) for when in near]
                assert any(rating is not None and rating >= 4 for rating in ratings)
                checked += 1
    assert checked > 100_000


def test_query_vocabularies_know_nothing_that_train_does_not(movielens, examples):
    assets = movielens.artifact("InteractionTransform", "transform_graph") / "transform_fn" / "assets"
    for name in ("user_id", "occupation"):
        vocabulary = set((assets / f"query_{name}").read_bytes().split(b"\n")) - {b""}
        assert vocabulary == set(examples["train"][name])
    later = set(examples["eval"]["user_id"]) | set(examples["test"]["user_id"])
    assert later - set(examples["train"]["user_id"]), "there are users that only later splits know"


def test_what_the_catalogue_file_says_of_candidates_comes_from_train_alone(movielens, examples):
    rows = parquet.read_table(movielens.model / "assets.extra" / "candidates.parquet").to_pylist()
    counts = Counter(film.decode() for film in examples["train"]["movie_id"])
    assert {row["id"]: row["train_count"] for row in rows if row["train_count"]} == counts


def test_the_trained_baselines_saw_the_positives_of_train_alone(movielens, events, examples):
    folder = movielens.artifact("BaselineTrainer", "model") / "Format-Serving"
    rows = parquet.read_table(folder / "candidates.parquet").to_pylist()
    train = zip(*(examples["train"][name] for name in ("user_id", "movie_id", "timestamp")), strict=True)
    liked = Counter(
        film.decode() for user, film, moment in train if events[user.decode(), film.decode(), moment] >= 4
    )
    assert {row["id"]: row["positives"] for row in rows if row["positives"]} == liked
    factors = np.load(folder / "ials.npz")["item_factors"]
    unknown = [place for place, row in enumerate(rows) if not row["positives"]]
    assert unknown and not factors[unknown].any()
