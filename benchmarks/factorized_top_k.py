"""What TFRS' ``FactorizedTopK`` costs a training: in the step, after each epoch, once at the end.

    python benchmarks/factorized_top_k.py --candidates 20000

trains the same two towers (ids alone, in-batch softmax) on the same drawn interactions in three ways, an
epoch of each in turn, and prints the medians of their seconds and the ratios to the first:

* ``rank``: the product's way. After each epoch the place of each held-out candidate is counted.
* ``per_epoch``: ``FactorizedTopK`` on the same held-out interactions, after each epoch.
* ``in_step``: ``FactorizedTopK`` of each training batch, in the step, beside the count after the epoch.

The first epoch of each, which traces its graph, is left out. As its last line it prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))

# TFRS wants Keras 2.
os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from benchmarks.public_splits import Log, encoded, training_inputs
from components.retrieval.config import RetrievalConfig
from components.retrieval.factorized_top_k import factorized_top_k
from components.retrieval.model import RetrievalModel
from components.retrieval.optimizers import make_optimizer
from components.retrieval.trainer import build_model
from components.retrieval.training import KS, CatalogueRecall, validation_batches
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import UNKNOWN_ROW
from components.transform.interaction_dataset import CANDIDATE_ROW

_CATALOGUE_BATCH = 4096
_SEED = 17


class InStep(RetrievalModel):
    """The model with the metric in its training step, as TFRS' tutorials first show it."""

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The loss, and the batch into the metric."""
        rows = inputs[CANDIDATE_ROW]
        self.metric.update_state(self.embed_query(inputs), self.embed_rows(rows), true_candidate_ids=rows)
        return super().compute_loss(inputs, training)

    def watch(self) -> None:
        """Make the metric, over the catalogue as it is embedded at each step."""
        rows = tf.data.Dataset.range(self.candidate_count).batch(_CATALOGUE_BATCH)
        catalogue = rows.map(lambda batch: (batch, self.embed_rows(batch)))
        self.metric = tfrs.metrics.FactorizedTopK(candidates=catalogue, ks=KS)


class PerEpoch(keras.callbacks.Callback):
    """The metric over the held-out interactions, after each epoch."""

    def __init__(self, batches: tf.data.Dataset):
        """Takes the interactions, batched."""
        super().__init__()
        self._batches = batches

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Measures."""
        factorized_top_k(self.model, self._batches, exclude_history=False)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--candidates", type=int, default=20_000)
    parser.add_argument("--interactions", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=4, help="of each way, the first one not counted")
    given = parser.parse_args()
    config = RetrievalConfig(layers=None, history={"encoder": "none"}, bias=False)
    inputs = drawn_inputs(given.candidates, given.interactions, config.validation_queries)
    seconds = measured(inputs, config, given.epochs)
    medians = {way: median(each) for way, each in seconds.items()}
    for way, taken in medians.items():
        print(f"{way:<10}{taken:8.2f} s an epoch, {taken / medians['rank']:.2f} times rank")
    print(json.dumps({**vars(given), "seconds": medians, "load": os.getloadavg()[0]}))


def drawn_inputs(candidates: int, interactions: int, held_out: int) -> TrainingInputs:
    """Interactions of as many users as candidates, drawn by a power law."""
    random = np.random.default_rng(_SEED)
    users, items = (
        (candidates * random.random(interactions + held_out) ** 3).astype(np.int64) for _ in range(2)
    )
    users.sort()
    held = random.permutation(len(users)) < held_out
    train, validation = (
        encoded(users[part], np.full((len(users[part]), 1), UNKNOWN_ROW, np.int32), items[part])
        for part in (~held, held)
    )
    return training_inputs(Log(users, items, candidates, candidates), train, validation)


def measured(inputs: TrainingInputs, config: RetrievalConfig, epochs: int) -> dict[str, list[float]]:
    """Seconds of each way's epochs but the first."""
    held_out = validation_batches(inputs.validation, config.validation_queries)
    by_rank = CatalogueRecall(inputs.validation, config.validation_queries, exclude_history=False)
    models = {
        "rank": (build_model(inputs, config), [by_rank]),
        "per_epoch": (build_model(inputs, config), [PerEpoch(held_out)]),
        "in_step": (build_model(inputs, config, InStep), [by_rank]),
    }
    models["in_step"][0].watch()
    steps = inputs.train.query_steps(config.batch_size)
    seconds: dict[str, list[float]] = {way: [] for way in models}
    for model, _ in models.values():
        model.compile(optimizer=make_optimizer(config.optimizer, steps * epochs))
    for epoch in range(epochs):
        for way, (model, callbacks) in models.items():
            batches = inputs.train.shuffled_query_batches(
                config.batch_size, config.seed, range(epoch, epoch + 1)
            )
            began = time.monotonic()
            model.fit(batches, steps_per_epoch=steps, verbose=0, callbacks=callbacks)
            seconds[way].append(time.monotonic() - began)
    return {way: each[1:] for way, each in seconds.items()}


if __name__ == "__main__":
    main()
