"""Public data sets in the splits their published numbers are of, as the retrieval trainer takes its data.

A split is a table of training interactions, what the held-out ones are, and how they are scored; each
``evaluate`` is the protocol of the paper whose numbers it is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import tensorflow as tf

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, WEIGHT, Declaration
from components.retrieval.model import RetrievalModel
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

USER = "user"
SCORED_AT_ONCE = 1024

Evaluate = Callable[[RetrievalModel], dict[str, float]]


@dataclass(frozen=True)
class PublicSplit:
    """A data set, ready to train on.

    Attributes:
        inputs: What the trainer reads; its ``validation`` is a part of *train*.
        evaluate: Scores a model on the held-out part, or, while hyper-parameters are chosen, on the part
            of train kept for that.
        published: Published values by system.
    """

    inputs: TrainingInputs
    evaluate: Evaluate
    published: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Log:
    """Interactions as integers, sorted by user, and by time where there is one.

    Attributes:
        users: int64 [interactions].
        items: int64 [interactions] rows of the catalogue.
        user_count: Number of users.
        item_count: Number of items.
    """

    users: np.ndarray
    items: np.ndarray
    user_count: int
    item_count: int

    def __post_init__(self) -> None:
        assert (np.diff(self.users) >= 0).all()

    @property
    def starts(self) -> np.ndarray:
        """int64 [users + 1]: where each user's interactions start."""
        return np.searchsorted(self.users, np.arange(self.user_count + 1))

    def kept(self, which: np.ndarray) -> Log:
        """The interactions where ``which`` holds."""
        return Log(self.users[which], self.items[which], self.user_count, self.item_count)


def one_a_user(log: Log, seed: int) -> np.ndarray:
    """Marks one random interaction of each user that has two or more: bool [interactions]."""
    starts, chosen = log.starts, np.zeros(len(log.users), bool)
    counts = np.diff(starts)
    places = starts[:-1] + (np.random.default_rng(seed).random(log.user_count) * counts).astype(np.int64)
    chosen[places[counts > 1]] = True
    return chosen


def other_items(log: Log, places: np.ndarray, length: int, seed: int) -> np.ndarray:
    """Histories where there is no time: a user's other items, a random choice where there are more than fit.

    Args:
        log: Whose items.
        places: int64 [examples] of interactions whose items are left out.
        length: Of the histories.
        seed: Of the choice.

    Returns:
        int32 [examples, length], padded at the right.
    """
    starts, rng = log.starts, np.random.default_rng(seed)
    first, last = starts[log.users[places]], starts[log.users[places] + 1]
    count = last - first - 1
    steps = np.arange(length)[None, :]
    # Of more others than fit, an evenly spaced choice with a random start; they are in no order.
    stride = np.maximum(count, length)[:, None] / length
    offset = (rng.random(len(places)) * count).astype(np.int64)[:, None]
    chosen = (offset + np.floor(steps * stride).astype(np.int64)) % np.maximum(count, 1)[:, None]
    chosen = np.where(count[:, None] > length, chosen, np.minimum(steps, np.maximum(count - 1, 0)[:, None]))
    position = first[:, None] + chosen
    position += position >= places[:, None]
    history = log.items[np.minimum(position, len(log.items) - 1)]
    return np.where(steps < count[:, None], history, UNKNOWN_ROW).astype(np.int32)


def all_items(log: Log, users: np.ndarray, length: int) -> np.ndarray:
    """Histories at request time where there is no time: an even choice of all items of each user."""
    starts = log.starts
    first, count = starts[users], starts[users + 1] - starts[users]
    steps = np.arange(length)[None, :]
    spread = np.floor(steps * (np.maximum(count, length)[:, None] / length)).astype(np.int64)
    chosen = np.minimum(spread, np.maximum(count - 1, 0)[:, None])
    history = log.items[np.minimum(first[:, None] + chosen, len(log.items) - 1)]
    return np.where(steps < count[:, None], history, UNKNOWN_ROW).astype(np.int32)


def earlier_items(log: Log, places: np.ndarray, length: int) -> np.ndarray:
    """The user's items before each place of a log in order of time, the latest ``length``, oldest first."""
    starts = log.starts
    first = np.maximum(starts[log.users[np.minimum(places, len(log.users) - 1)]], places - length)
    position = first[:, None] + np.arange(length)[None, :]
    history = log.items[np.minimum(position, len(log.items) - 1)]
    return np.where(position < places[:, None], history, UNKNOWN_ROW).astype(np.int32)


def encoded(users: np.ndarray, items: np.ndarray, history: np.ndarray) -> EncodedInteractions:
    """Interactions as the trainer takes them."""
    count = len(users)
    return EncodedInteractions(
        {
            USER: tf.constant(users, tf.int64),
            CANDIDATE_ROW: tf.constant(items, tf.int32),
            HISTORY: tf.constant(history, tf.int32),
            HISTORY_AGE: tf.zeros(history.shape, tf.float32),
            POSITIVE: tf.ones(count),
            WEIGHT: tf.ones(count),
        }
    )


def training_inputs(
    log: Log,
    train: EncodedInteractions,
    validation: EncodedInteractions,
    attributes: np.ndarray | None = None,
) -> TrainingInputs:
    """What the trainer reads.

    Args:
        log: Says how many users and items there are.
        train: Training interactions.
        validation: Interactions to validate on.
        attributes: int64 [items, any] categories of each item, 0 for padding; None without.
    """
    features, shapes = {}, []
    if attributes is not None:
        features["attributes"] = attributes
        size = int(attributes.max()) + 1
        shapes = [EncodedFeature("attributes", "categories", size, attributes.shape[1])]
    ids = np.array([b"%07d" % row for row in range(log.item_count)], object)
    declaration = Declaration.model_validate(
        {
            "interactions": {
                "sources": [{"files": "train.parquet"}],
                "query_id": USER,
                "candidate_id": "item",
                "timestamp": {"column": "time"},
            },
            "candidates": {"files": "items.parquet", "id": "item", "features": {}},
        }
    )
    return TrainingInputs(
        declaration=declaration,
        table=CandidateTable(ids, features),
        train=train,
        validation=validation,
        # The last is for users that training does not know.
        query_id=(USER, log.user_count + 1),
        query_features=[],
        candidate_features=shapes,
    )


def read_log(path: Path, user_count: int, item_count: int, order: str | None = None) -> Log:
    """Reads columns ``user`` and ``item``, sorted by user and the column ``order``."""
    table = pq.read_table(path)
    users, items = (table[name].to_numpy().astype(np.int64) for name in (USER, "item"))
    keys = (table[order].to_numpy(), users) if order else (users,)
    by_user = np.lexsort(keys)
    return Log(users[by_user], items[by_user], user_count, item_count)


def scores(model: RetrievalModel, users: np.ndarray, history: np.ndarray, catalogue: tf.Tensor) -> np.ndarray:
    """float32 [queries, items] of queries without an interaction of their own."""
    queries = encoded(users, np.zeros(len(users)), history)
    batch = next(iter(queries.batches(len(users))))
    return (model.embed_query(batch) @ tf.transpose(catalogue)).numpy()
