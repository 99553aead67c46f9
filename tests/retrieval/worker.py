"""One worker of a distributed training, as TF_CONFIG says; leaves ``worker-<number>.npz``, its weights."""

import json
import os
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import parity
import tensorflow as tf

from components.retrieval.config import RetrievalConfig
from components.retrieval.model import RetrievalModel
from components.retrieval.progress import Progress
from components.retrieval.trainer import build_model
from components.retrieval.training import distribution_strategy, fit


def main(folder: Path) -> None:
    """Trains as the configuration in ``folder`` says, in two attempts that share what is kept between them.

    The first one is interrupted after its last epoch, so the second has nothing left to do but to read.
    """
    config = RetrievalConfig.model_validate_json((folder / "config.json").read_text())
    number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    # A strategy of several workers comes before any other use of TensorFlow.
    strategy = distribution_strategy(config)
    with strategy.scope():
        data = parity.inputs(*json.loads((folder / "sizes.json").read_text()))

        def attempt() -> tuple[RetrievalModel, dict[str, list[float]]]:
            model = build_model(data, config)
            folders = str(folder / "logs"), str(folder / "unfinished")
            return model, fit(model, data.train, data.validation, config, *folders)

        with mock.patch.object(Progress, "finish"):
            attempt()
        with mock.patch.object(Progress, "_read", read_late if number else Progress._read):
            model, history = attempt()
    np.savez(
        folder / f"worker-{number}.npz",
        *(weight.numpy() for weight in model.trainable_variables),
        recall=history["val_recall@10"],
        replicas=strategy.num_replicas_in_sync,
        chief=strategy.extended.should_checkpoint,
    )


_read = Progress._read


def read_late(progress: Progress, epoch: int) -> None:
    """Reads a checkpoint when the chief has long read its own."""
    time.sleep(0.5)
    _read(progress, epoch)


if __name__ == "__main__":
    tf.config.set_visible_devices([], "GPU")
    main(Path(sys.argv[1]))
