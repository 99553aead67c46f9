"""The product's own model and trainer, timed."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import tf_keras as keras

from benchmarks.protocols import PROTOCOLS
from benchmarks.public_splits import Log, encoded, trained, training_inputs
from benchmarks.speed.pairs import EqualBatch, Pairs
from benchmarks.speed.turns import Epoch, Turns
from components.retrieval.config import RetrievalConfig
from components.retrieval.training import MONITOR, CatalogueRecall
from components.transform.candidate_table import UNKNOWN_ROW


def trainings(turns: Turns, dataset: str, data: Path, history_length: int, config: RetrievalConfig) -> None:
    """Each turn is a whole training with early stopping, reported as a list of :class:`Epoch`."""
    inputs = PROTOCOLS[dataset](data, history_length, True).inputs
    clock = _ValidationClock()
    while True:
        turns.wait()
        curve = _Curve(clock)
        trained(inputs, config, exclude_history=False, callbacks=[curve])
        turns.report(curve.epochs)


def examples_per_second(turns: Turns, pairs: Pairs, equal: EqualBatch, most: int) -> None:
    """Trains; each turn is an epoch, reported as its interactions a second without validation (float)."""
    config = equal_config(equal, most)
    log = Log(pairs.users, pairs.items, pairs.user_count, pairs.item_count)
    train, validation = (
        encoded(users, np.full((len(users), 1), UNKNOWN_ROW, np.int32), items)
        for users, items in (
            (pairs.users, pairs.items),
            (pairs.held_out_users, pairs.held_out_items),
        )
    )
    inputs, paced = training_inputs(log, train, validation), _Paced(turns, len(train))
    trained(inputs, config, exclude_history=False, callbacks=[paced])


def equal_config(equal: EqualBatch, epochs: int) -> RetrievalConfig:
    """The product's configuration of that model, loss and batch, for so many epochs."""
    return RetrievalConfig.model_validate(
        {
            "dim": equal.dim,
            "layers": None,
            "history": {"encoder": "none"},
            "bias": False,
            "id_dropout": 0,
            "loss": {"in_batch": equal.in_batch, "uniform_negatives": equal.uniform},
            "optimizer": {"kind": "lazy_adam", "learning_rate": equal.learning_rate},
            "batch_size": equal.batch,
            "epochs": epochs,
            "patience": epochs,
            "validation_queries": 1,
            "seed": equal.seed,
        }
    )


class _ValidationClock:
    """Makes the trainer's validation keep the seconds it takes."""

    def __init__(self) -> None:
        self.seconds = 0.0
        validate = CatalogueRecall.on_epoch_end

        def timed(callback: CatalogueRecall, epoch: int, logs: dict[str, float] | None = None) -> None:
            began = time.monotonic()
            validate(callback, epoch, logs)
            self.seconds += time.monotonic() - began

        CatalogueRecall.on_epoch_end = timed


class _Curve(keras.callbacks.Callback):
    """Notes every epoch of a training that begins now."""

    def __init__(self, clock: _ValidationClock):
        super().__init__()
        self._clock, self._before = clock, clock.seconds
        self._began = time.monotonic()
        self.epochs: list[Epoch] = []

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        seconds = time.monotonic() - self._began
        self.epochs.append(Epoch(seconds, self._clock.seconds - self._before, (logs or {})[MONITOR]))


class _Paced(keras.callbacks.Callback):
    """Makes each epoch a turn."""

    def __init__(self, turns: Turns, interactions: int):
        super().__init__()
        self._turns, self._interactions, self._clock = turns, interactions, _ValidationClock()
        self._began = self._before = 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._turns.wait()
        self._began, self._before = time.monotonic(), self._clock.seconds

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        seconds = time.monotonic() - self._began - (self._clock.seconds - self._before)
        self._turns.report(self._interactions / seconds)
