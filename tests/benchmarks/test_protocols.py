"""Protocols on hand-made data, and on MovieLens' own where the demo or the benchmark has acquired it."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from benchmarks import protocols
from benchmarks.protocols import PROTOCOLS, movielens_tfrs
from benchmarks.public_splits import USER, PublicSplit
from components.ingest.declaration import HISTORY
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions
from pipeline.run_root import RunRoot

USERS, FILMS = 12, 150
LENGTH = FILMS


class Scores:
    """A model that gives film and user the score it was made with."""

    def __init__(self, scores: np.ndarray):
        """Takes float [users, films]."""
        self._scores = tf.constant(scores, tf.float32)

    def embed_catalogue(self) -> tf.Tensor:
        return tf.eye(self._scores.shape[1])

    def embed_query(self, batch: dict[str, tf.Tensor]) -> tf.Tensor:
        return tf.gather(self._scores, batch[USER])


def pairs(interactions: EncodedInteractions) -> set[tuple[int, int]]:
    """User and film of each."""
    users, films = (interactions.column(name).numpy() for name in (USER, CANDIDATE_ROW))
    found = {(int(user), int(film)) for user, film in zip(users, films, strict=True)}
    assert len(found) == len(interactions)
    return found


def check_asked(split: PublicSplit, expected: set[tuple[int, int]]) -> None:
    """Holds that the scored interactions are those: finding just one counts for one, finding all is all."""
    for best, accuracy in ([expected, 1.0], *([{pair}, 1 / len(expected)] for pair in expected)):
        scores = np.zeros((USERS, FILMS))
        scores[tuple(np.transpose(list(best)))] = 1
        assert split.evaluate(Scores(scores))["top-100 accuracy"] == pytest.approx(accuracy)


@pytest.fixture
def tiny_movielens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[tuple[int, int]]:
    """Ten ratings each of twelve people, as MovieLens' domain would have acquired them; who rated what."""
    rng = np.random.default_rng(3)
    # Ids are text: their rows follow the order of text, 10 before 2.
    films = np.array(sorted(str(number) for number in range(1, FILMS + 1)))
    rated = {user: rng.choice(FILMS, 10, replace=False) for user in range(USERS)}
    log = [(f"u{user:02}", films[film]) for user in rated for film in rated[user]]
    order = rng.permutation(len(log))

    def acquire(section: Any, folder: Path, source: Any, announce: Any) -> None:
        folder.mkdir(parents=True)
        columns = {
            "user_id": [log[place][0] for place in order],
            "movie_id": [log[place][1] for place in order],
        }
        pq.write_table(pa.table(columns), folder / "interactions.parquet")
        pq.write_table(pa.table({"movie_id": films[::-1]}), folder / "candidates.parquet")

    monkeypatch.setattr(protocols, "acquire", acquire)
    monkeypatch.chdir(tmp_path)
    return {(user, int(film)) for user in rated for film in rated[user]}


def test_movielens_is_divided_once_into_train_what_is_kept_of_it_and_test(
    tiny_movielens: set[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    split = movielens_tfrs(tmp_path, LENGTH, False)
    assert (tmp_path / "runs" / "movielens" / "data" / "interactions.parquet").is_file()
    train, kept = pairs(split.inputs.train), pairs(split.inputs.validation)
    assert train | kept <= tiny_movielens
    assert not train & kept
    test = tiny_movielens - train - kept
    assert (len(test), len(kept) > 0) == (24, True)
    check_asked(split, test)
    monkeypatch.setattr(protocols, "acquire", lambda *_: None)
    choosing = movielens_tfrs(tmp_path, LENGTH, True)
    assert pairs(choosing.inputs.train) == train
    check_asked(choosing, kept)


def test_movielens_histories_hold_train_alone_and_never_the_film_asked_for(
    tiny_movielens: set[tuple[int, int]], tmp_path: Path
):
    split = movielens_tfrs(tmp_path, LENGTH, False)
    train = pairs(split.inputs.train)
    for interactions in (split.inputs.train, split.inputs.validation):
        columns = [interactions.column(name).numpy() for name in (USER, CANDIDATE_ROW, HISTORY)]
        for user, film, history in zip(*columns, strict=True):
            history = history[history != UNKNOWN_ROW]
            assert film not in history
            assert {(int(user), int(event)) for event in history} <= train
    assert not split.exclude_history


def test_top_100_accuracy_is_the_share_of_interactions_with_less_than_a_hundred_films_as_good(
    tiny_movielens: set[tuple[int, int]], tmp_path: Path
):
    split = movielens_tfrs(tmp_path, LENGTH, False)
    known = pairs(split.inputs.train) | pairs(split.inputs.validation)
    test = tiny_movielens - known
    rng = np.random.default_rng(8)
    scores = rng.random((USERS, FILMS))
    # A third of all scores is below a third: there the hundred best end. Rounded, some are equal.
    scores[tuple(np.transpose(sorted(test)))] = rng.uniform(0.23, 0.43, len(test))
    scores = scores.round(2)
    hits = hits_of_unseen = 0
    for user, film in test:
        others = [other for other in range(FILMS) if other != film]
        better = [other for other in others if scores[user, other] >= scores[user, film]]
        hits += len(better) < 100
        hits_of_unseen += len([other for other in better if (user, other) not in known]) < 100
    assert split.evaluate(Scores(scores)) == {
        "top-100 accuracy": hits / len(test),
        "top-100 accuracy without train's items": hits_of_unseen / len(test),
    }
    assert 0 < hits < hits_of_unseen < len(test)


def test_films_that_all_score_the_same_are_not_found(tiny_movielens: set[tuple[int, int]], tmp_path: Path):
    split = movielens_tfrs(tmp_path, LENGTH, False)
    assert set(split.evaluate(Scores(np.zeros((USERS, FILMS)))).values()) == {0}


def test_movielens_itself_is_split_as_the_tutorial_splits_it():
    if not (RunRoot.of(None, "movielens").data / "interactions.parquet").is_file():
        pytest.skip("MovieLens-100K is not in runs/movielens: `make demo` or the benchmark acquires it")
    split = PROTOCOLS["movielens_tfrs"](Path(), 10, False)
    assert len(split.inputs.table) == 1682
    assert split.inputs.query_id == (USER, 944)
    assert len(split.inputs.train) + len(split.inputs.validation) == 80_000
    assert len(split.inputs.validation) == pytest.approx(8_000, rel=0.05)
