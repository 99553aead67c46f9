"""Fitting the ranking model."""

from __future__ import annotations

import tf_keras as keras

from components.ranking.config import RankingConfig
from components.ranking.model import RankingModel
from components.transform.interaction_dataset import EncodedInteractions


def fit(
    model: RankingModel,
    train: EncodedInteractions,
    validation: EncodedInteractions,
    config: RankingConfig,
    log_dir: str,
) -> dict[str, list[float]]:
    """Trains until the validation loss stops falling, and leaves the best weights in the model.

    Args:
        model: The model to train.
        train: Interactions.
        validation: Interactions to stop by; negatives drawn for them are the same each epoch.
        config: The ranking section.
        log_dir: Where TensorBoard logs go.

    Returns:
        Training and validation loss of every epoch, by name.
    """
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate))
    batches = train.shuffled_batches(config.batch_size, config.seed, range(config.epochs))
    held_out = validation.batches(4 * config.batch_size)
    if model.sampler:
        batches = model.sampler.with_negatives(batches, config.seed, every_epoch=True)
        held_out = model.sampler.with_negatives(held_out, config.seed, every_epoch=False)
    history = model.fit(
        batches.prefetch(2),
        validation_data=held_out.prefetch(2),
        epochs=config.epochs,
        steps_per_epoch=train.steps(config.batch_size),
        verbose=2,
        callbacks=[
            keras.callbacks.EarlyStopping(
                monitor="val_epoch_loss", mode="min", patience=config.patience, restore_best_weights=True
            ),
            keras.callbacks.TensorBoard(log_dir, write_graph=False),
        ],
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}
