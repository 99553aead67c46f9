"""The TFRS tutorials' way to train two towers ("Recommending movies: retrieval", "Deep models").

Strings are looked up in every step, the loss is a softmax over the batch of 8192, Adagrad at 0.1 trains,
all interactions are shuffled and batched once, then cached, and validation scores all candidates, 128 at a
time, with ``FactorizedTopK``. As in the tutorials' later versions, training steps leave the metric out.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from benchmarks.speed.pairs import Pairs
from benchmarks.speed.turns import Epoch, Turns

BATCH = 8192
VALIDATION_BATCH = 4096
CANDIDATE_BATCH = 128
LEARNING_RATE = 0.1
RECALL = "val_factorized_top_k/top_100_categorical_accuracy"


class TutorialModel(tfrs.Model):
    """String look-up and embedding a side, trained by the retrieval task."""

    def __init__(self, users: np.ndarray, items: np.ndarray, dim: int):
        """Makes the towers from the vocabularies, each an array of strings."""
        super().__init__()
        self._query_tower, self._candidate_tower = _tower(users, dim), _tower(items, dim)
        candidates = tf.data.Dataset.from_tensor_slices(items).batch(CANDIDATE_BATCH)
        self._task = tfrs.tasks.Retrieval(
            metrics=tfrs.metrics.FactorizedTopK(candidates=candidates.map(self._candidate_tower))
        )

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The task's loss of a batch: ``user`` and ``item``, strings [batch]."""
        queries, candidates = self._query_tower(inputs["user"]), self._candidate_tower(inputs["item"])
        return self._task(queries, candidates, compute_metrics=not training)


def epochs(turns: Turns, pairs: Pairs, dim: int, most: int) -> None:
    """Trains; each turn is an epoch with its validation, reported as :class:`Epoch`."""
    train = _strings(pairs.users, pairs.items).shuffle(len(pairs.users)).batch(BATCH).cache()
    validation = _strings(pairs.held_out_users, pairs.held_out_items).batch(VALIDATION_BATCH).cache()
    clock = _Clock(turns)
    model = TutorialModel(_names(np.arange(pairs.user_count)), _names(np.arange(pairs.item_count)), dim)
    model.compile(optimizer=keras.optimizers.Adagrad(LEARNING_RATE))
    model.fit(train, validation_data=validation, epochs=most, verbose=2, callbacks=[clock])


class _Clock(keras.callbacks.Callback):
    """Times epochs and validations; the first turn has begun when it is made, others begin with an epoch."""

    def __init__(self, turns: Turns):
        super().__init__()
        self._turns = turns
        self._seconds = self._validation_seconds = 0.0
        turns.wait()
        self._turn_began = time.monotonic()
        self._validation_began = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        if epoch:
            self._turns.wait()
            self._turn_began = time.monotonic()

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        self._validation_began = time.monotonic()

    def on_test_end(self, logs: dict[str, float] | None = None) -> None:
        self._validation_seconds += time.monotonic() - self._validation_began

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._seconds += time.monotonic() - self._turn_began
        self._turns.report(Epoch(self._seconds, self._validation_seconds, (logs or {})[RECALL]))


def _tower(vocabulary: np.ndarray, dim: int) -> keras.Sequential:
    lookup = keras.layers.StringLookup(vocabulary=vocabulary, mask_token=None)
    # One more is for strings that the vocabulary does not know.
    return keras.Sequential([lookup, keras.layers.Embedding(len(vocabulary) + 1, dim)])


def _strings(users: np.ndarray, items: np.ndarray) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices({"user": _names(users), "item": _names(items)})


def _names(numbers: np.ndarray) -> np.ndarray:
    return np.char.mod("%d", numbers)
