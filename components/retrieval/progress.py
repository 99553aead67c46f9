"""How far a training has come: its best weights, when to stop, and going on after an interruption."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.retrieval.model import RetrievalModel

_STATE_FILE = "progress.json"


class Progress(keras.callbacks.Callback):
    """Early stopping that survives an interruption.

    Keras has each of the two (``EarlyStopping``, ``BackupAndRestore``), but together they forget the best
    weights: those before the interruption are gone. Here an epoch ends with a checkpoint of weights and
    optimiser, then with a small file that says how far training is and which epoch was the best, whose
    checkpoint is kept too; what an interruption left half-written is never read.
    """

    def __init__(self, model: RetrievalModel, monitor: str, *, patience: int, directory: str | None):
        """Prepares to follow a training.

        Args:
            model: Compiled.
            monitor: The metric to be highest.
            patience: Epochs without a new highest before training stops.
            directory: Where checkpoints go; None for none.
        """
        super().__init__()
        self._followed = model
        self._monitor = monitor
        self._patience = patience
        self._directory = directory
        self._best: list[np.ndarray] | None = None
        self._best_epoch = -1
        # Weights are the same for all workers of a distributed training: the chief writes, all of them read.
        self._writes = directory is not None and tf.distribute.get_strategy().extended.should_checkpoint
        self.history: dict[str, list[float]] = {}
        """Metrics of every epoch so far, by name; lists of one length."""

    @property
    def ended(self) -> bool:
        """Whether the last epochs brought nothing better."""
        return self._epochs - 1 - self._best_epoch >= self._patience

    @property
    def _epochs(self) -> int:
        return len(self.history.get(self._monitor, ()))

    def restore(self, batch: Mapping[str, tf.Tensor]) -> int:
        """Brings model and optimiser to where an interrupted training left them.

        Args:
            batch: Any batch of it; builds the model's weights.

        Returns:
            The number of epochs already done, 0 where there is nothing to go on with.
        """
        state_path = self._path(_STATE_FILE)
        if not (state_path and tf.io.gfile.exists(state_path)):
            return 0
        with tf.io.gfile.GFile(state_path) as file:
            state = json.load(file)
        self._followed.make_weights(batch)
        self._followed.optimizer.build(self._followed.trainable_variables)
        self.history, self._best_epoch = state["history"], state["best_epoch"]
        self._read(state["best_epoch"])
        self._best = [weight.numpy() for weight in self._weights]
        self._read(self._epochs - 1)
        _wait_for_all_workers()
        return self._epochs

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Notes the epoch's metrics, keeps weights that are the best, and stops when none have been."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        values = self.history[self._monitor]
        before, best = self._best_epoch, int(np.argmax(values))
        if best != before:
            self._best_epoch, self._best = best, [weight.numpy() for weight in self._weights]
        self._save(epoch, superseded=before)
        if self.ended:
            self._followed.stop_training = True

    def finish(self) -> None:
        """Puts the best weights into the model and removes the checkpoints."""
        if self._best is not None:
            for weight, value in zip(self._weights, self._best, strict=True):
                weight.assign(value)
        if self._writes and tf.io.gfile.exists(self._directory):
            tf.io.gfile.rmtree(self._directory)

    def _save(self, epoch: int, superseded: int) -> None:
        if not self._writes:
            return
        state_path = self._path(_STATE_FILE)
        tf.io.gfile.makedirs(self._directory)
        self._checkpoint().write(self._path(f"epoch-{epoch}"))
        with tf.io.gfile.GFile(f"{state_path}.new", "w") as file:
            json.dump({"history": self.history, "best_epoch": self._best_epoch}, file)
        tf.io.gfile.rename(f"{state_path}.new", state_path, overwrite=True)
        for old in {epoch - 1, superseded} - {self._best_epoch, epoch, -1}:
            for path in tf.io.gfile.glob(self._path(f"epoch-{old}.*")):
                tf.io.gfile.remove(path)

    def _read(self, epoch: int) -> None:
        self._checkpoint().read(self._path(f"epoch-{epoch}")).assert_existing_objects_matched()

    def _checkpoint(self) -> tf.train.Checkpoint:
        """Of weights and optimiser, both built."""
        return tf.train.Checkpoint(weights=self._weights, optimizer=self._followed.optimizer)

    @property
    def _weights(self) -> list[tf.Variable]:
        """What training changes; Keras' weights hold metrics too, which workers could only read together."""
        return self._followed.trainable_variables

    def _path(self, name: str) -> str | None:
        return os.path.join(self._directory, name) if self._directory else None


def _wait_for_all_workers() -> None:
    """Returns when every worker of a distributed training has come here; at once where there is but one.

    Where a training had ended already, no step holds the chief back, and it would remove checkpoints that
    others have yet to read.
    """
    strategy = tf.distribute.get_strategy()
    float(strategy.reduce(tf.distribute.ReduceOp.SUM, strategy.run(lambda: tf.ones([])), axis=None))
