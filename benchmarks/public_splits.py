"""Public data sets in the splits their published numbers are of, as the retrieval trainer takes its data.

A split is a table of training interactions, what the held-out ones are, and how they are scored; each
``evaluate`` is the protocol of the paper whose numbers it is compared with.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tf_keras as keras

from components.ingest.declaration import HISTORY, HISTORY_AGE, POSITIVE, WEIGHT, Declaration
from components.ingest.errors import UserError
from components.retrieval.config import RetrievalConfig
from components.retrieval.model import RetrievalModel
from components.retrieval.trainer import build_model
from components.retrieval.training import fit
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
        exclude_history: Whether validation leaves out what a query's history holds, as the protocol does.
            It must not where all of train is trained on: what is kept is then in histories too, and its
            recall rises as the loss falls, to the last of the epochs that were chosen.
    """

    inputs: TrainingInputs
    evaluate: Evaluate
    published: Mapping[str, Mapping[str, float]]
    exclude_history: bool = True


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

    @cached_property
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


def all_items(log: Log, users: np.ndarray, length: int) -> np.ndarray:
    """Histories where there is no time: all items of each user, or an even choice where they are more.

    Args:
        log: Whose items.
        users: int64 [queries].
        length: Of the histories.

    Returns:
        int32 [queries, length], padded at the right.
    """
    starts = log.starts
    first, count = starts[users], starts[users + 1] - starts[users]
    steps = np.arange(length)[None, :]
    spread = np.floor(steps * (np.maximum(count, length)[:, None] / length)).astype(np.int64)
    chosen = np.minimum(spread, np.maximum(count - 1, 0)[:, None])
    history = log.items[np.minimum(first[:, None] + chosen, len(log.items) - 1)]
    return np.where(steps < count[:, None], history, UNKNOWN_ROW).astype(np.int32)


def other_items(log: Log, parts: int, length: int, seed: int) -> EncodedInteractions:
    """Training interactions where there is no time, none of them in the history of its own query.

    Each user's items are dealt at random into ``parts`` of nearly one size (fewer where there are fewer
    items). A part is what one query asks for; that query's history is the user's other parts, as a request's
    history is what the user is known to have had when something else is wanted.

    Args:
        log: The training interactions.
        parts: How many.
        length: Of the histories; of a longer one an even choice is kept, as by :func:`all_items`.
        seed: Of the dealing.
    """
    order = np.lexsort((np.random.default_rng(seed).random(len(log.users)), log.users))
    part = np.empty(len(log.users), np.int64)
    part[order] = (np.arange(len(log.users)) - log.starts[log.users]) % parts
    asked, query_of = np.unique(log.users * parts + part, return_inverse=True)
    users = asked // parts
    history = np.empty((len(asked), length), np.int32)
    for number in range(parts):
        queries = np.flatnonzero(asked % parts == number)
        history[queries] = all_items(log.kept(part != number), users[queries], length)
    return encoded(users, history, log.items, query_of)


def earlier_items(log: Log, places: np.ndarray, length: int) -> np.ndarray:
    """The user's items before each place of a log in order of time, the latest ``length``, oldest first."""
    starts = log.starts
    first = np.maximum(starts[log.users[np.minimum(places, len(log.users) - 1)]], places - length)
    position = first[:, None] + np.arange(length)[None, :]
    history = log.items[np.minimum(position, len(log.items) - 1)]
    return np.where(position < places[:, None], history, UNKNOWN_ROW).astype(np.int32)


def encoded(
    users: np.ndarray, history: np.ndarray, items: np.ndarray, query_of: np.ndarray | None = None
) -> EncodedInteractions:
    """Interactions as the trainer takes them.

    Args:
        users: [queries] their users.
        history: [queries, length] rows.
        items: [interactions] rows.
        query_of: [interactions] their queries; None: each is one.
    """
    of_query = {
        USER: tf.constant(users, tf.int64),
        HISTORY: tf.constant(history, tf.int32),
        HISTORY_AGE: tf.zeros(history.shape, tf.float32),
    }
    columns = {
        CANDIDATE_ROW: tf.constant(items, tf.int32),
        POSITIVE: tf.ones(len(items)),
        WEIGHT: tf.ones(len(items)),
    }
    if query_of is None:
        return EncodedInteractions(columns | of_query)
    return EncodedInteractions(columns, of_query, tf.constant(query_of, tf.int32))


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


def read_table(path: Path) -> pa.Table:
    """Reads a table of the data sets that ``--data`` is the folder of.

    Raises:
        UserError: If it is not there.
    """
    if not path.is_file():
        raise UserError(
            f"found no {path}. Expected the public data sets in a folder each, Parquet tables within. Name "
            "the folder that holds them all with --data."
        )
    return pq.read_table(path)


def read_log(path: Path, user_count: int, item_count: int, order: str | None = None) -> Log:
    """Reads columns ``user`` and ``item``, sorted by user and the column ``order``."""
    table = read_table(path)
    users, items = (table[name].to_numpy().astype(np.int64) for name in (USER, "item"))
    keys = (table[order].to_numpy(), users) if order else (users,)
    by_user = np.lexsort(keys)
    return Log(users[by_user], items[by_user], user_count, item_count)


def trained(
    inputs: TrainingInputs,
    config: RetrievalConfig,
    *,
    exclude_history: bool,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> tuple[RetrievalModel, dict[str, list[float]]]:
    """A model trained by the product's code, and its metrics of every epoch; nothing stays on disk."""
    model = build_model(inputs, config)
    with tempfile.TemporaryDirectory() as logs:
        history = fit(
            model,
            inputs.train,
            inputs.validation,
            config,
            logs,
            exclude_history=exclude_history,
            callbacks=callbacks,
        )
    return model, history


def scores(model: RetrievalModel, users: np.ndarray, history: np.ndarray, catalogue: tf.Tensor) -> np.ndarray:
    """float32 [queries, items] of queries without an interaction of their own."""
    queries = encoded(users, history, np.zeros(len(users)))
    batch = next(iter(queries.batches(len(users))))
    return (model.embed_query(batch) @ tf.transpose(catalogue)).numpy()
