"""Fitting the ranking model."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.ranking.calibration import Labelled, Line, expected_calibration_error, fit_line
from components.ranking.config import RankingConfig
from components.ranking.losses import Group
from components.ranking.model import RankingModel
from components.retrieval.finite import StopOnDivergence, features_by_side
from components.transform.interaction_dataset import EncodedInteractions

_CALIBRATED_ON = 50_000
"""Interactions are enough for two numbers a head; beside each stand the negatives drawn for it."""


def fit(
    model: RankingModel,
    train: EncodedInteractions,
    validation: EncodedInteractions,
    config: RankingConfig,
    log_dir: str,
) -> dict[str, list[float]]:
    """Trains until the validation loss stops falling, leaves the best weights in the model and calibrates it.

    Args:
        model: The model to train.
        train: Interactions.
        validation: Interactions to stop by; negatives drawn for them are the same each epoch.
        config: The ranking section.
        log_dir: Where TensorBoard logs go.

    Returns:
        Training and validation loss of every epoch, by name; and what :func:`calibrate` says.

    Raises:
        UserError: If a loss becomes other than finite, with where and the likely cause.
    """
    model.compile(optimizer=keras.optimizers.Adam(config.learning_rate))
    batches = train.shuffled_batches(config.batch_size, config.seed, range(config.epochs))
    if model.sampler:
        batches = model.sampler.with_negatives(batches, config.seed, every_epoch=True)
    history = model.fit(
        batches.prefetch(2),
        validation_data=_held_out(model, validation, config),
        epochs=config.epochs,
        steps_per_epoch=train.steps(config.batch_size),
        verbose=2,
        callbacks=[
            StopOnDivergence(
                features_by_side(train, [*train.columns, *train.queries], model.candidate_features),
                f"lower ranking.learning_rate (now {config.learning_rate:g})",
            ),
            keras.callbacks.EarlyStopping(
                monitor="val_epoch_loss", mode="min", patience=config.patience, restore_best_weights=True
            ),
            keras.callbacks.TensorBoard(log_dir, write_graph=False),
        ],
    )
    losses = {name: [float(value) for value in values] for name, values in history.history.items()}
    return losses | calibrate(model, validation.spread(_CALIBRATED_ON), config)


def _held_out(
    model: RankingModel, interactions: EncodedInteractions, config: RankingConfig
) -> tf.data.Dataset:
    """Batches of all interactions, with negatives that are always the same."""
    batches = interactions.batches(4 * config.batch_size)
    if model.sampler:
        batches = model.sampler.with_negatives(batches, config.seed, every_epoch=False)
    return batches.prefetch(2)


def calibrate(
    model: RankingModel, interactions: EncodedInteractions, config: RankingConfig
) -> dict[str, list[float]]:
    """Fits each head's probabilities to held-out labels, if the section wants it, every label counting alike.

    Args:
        model: The trained model.
        interactions: Held-out ones.
        config: The ranking section.

    Returns:
        ``val_HEAD_ece``: each head's expected calibration error as it is served; before it, if calibrated,
        that of what was learnt alone. Beside drawn negatives it is of telling them from what was chosen.
    """
    groups = tf.function(lambda batch: model.groups(batch)[0], reduce_retracing=True, autograph=False)
    found: dict[str, list[Labelled]] = {}
    for batch in _held_out(model, interactions, config):
        for head, group in groups(batch).items():
            found.setdefault(head, []).append(_labelled(group))
    errors = {}
    for head, parts in found.items():
        data = Labelled(*(np.concatenate(column) for column in zip(*parts, strict=True)))
        lines = [Line(1.0, 0.0)]
        if config.calibration == "platt":
            lines.append(fit_line(data))
            model.calibration.assign(head, lines[-1])
        if len(data.labels):
            errors[f"val_{head}_ece"] = [
                expected_calibration_error(data.probabilities(line), data.labels) for line in lines
            ]
    return errors


def _labelled(group: Group) -> Labelled:
    """What counts of a group."""
    counts = group.weights.numpy() > 0
    columns = (group.logits, group.offsets, group.labels)
    return Labelled(*(column.numpy()[counts].astype(np.float64) for column in columns))
