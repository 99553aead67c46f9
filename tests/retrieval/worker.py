"""One worker of a distributed training, as TF_CONFIG says; leaves ``worker-<number>.npz``, its weights."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import parity
import tensorflow as tf

from components.retrieval.config import RetrievalConfig
from components.retrieval.trainer import build_model
from components.retrieval.training import distribution_strategy, fit


def main(folder: Path) -> None:
    """Trains as the configuration in ``folder`` says; workers share what is kept for an interruption."""
    config = RetrievalConfig.model_validate_json((folder / "config.json").read_text())
    number = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
    # A strategy of several workers comes before any other use of TensorFlow.
    strategy = distribution_strategy(config)
    with strategy.scope():
        data = parity.inputs(*json.loads((folder / "sizes.json").read_text()))
        model = build_model(data, config)
        history = fit(
            model, data.train, data.validation, config, str(folder / "logs"), str(folder / "unfinished")
        )
    np.savez(
        folder / f"worker-{number}.npz",
        *(weight.numpy() for weight in model.trainable_variables),
        recall=history["val_recall@10"],
        replicas=strategy.num_replicas_in_sync,
        chief=strategy.extended.should_checkpoint,
    )


if __name__ == "__main__":
    tf.config.set_visible_devices([], "GPU")
    main(Path(sys.argv[1]))
