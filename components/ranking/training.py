"""Fitting the ranking model."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from components.ranking.config import RankingConfig
from components.ranking.model import RankingModel
from components.transform.interaction_dataset import shuffled_batches


def fit(
    model: RankingModel,
    train: tf.data.Dataset,
    validation: tf.data.Dataset,
    config: RankingConfig,
    log_dir: str,
) -> dict[str, list[float]]:
    """Trains until the validation loss stops falling, and leaves the best weights in the model.

    Args:
        model: The model to train.
        train: Interactions, one an element.
        validation: Later interactions, one an element.
        config: The ranking section.
        log_dir: Where TensorBoard logs go.

    Returns:
        Training and validation loss of every epoch, by name.
    """
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate))
    history = model.fit(
        shuffled_batches(train, config.batch_size, config.seed),
        validation_data=validation.batch(4 * config.batch_size),
        epochs=config.epochs,
        verbose=2,
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_epoch_loss", mode="min", patience=config.patience, restore_best_weights=True
            ),
            keras.callbacks.TensorBoard(log_dir, write_graph=False),
        ],
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}
