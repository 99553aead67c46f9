"""Optimisers of the towers: most of their weights are embeddings, and a batch uses few of them."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import OptimizerConfig


class LazyAdam(keras.optimizers.Adam):
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1) that leaves rows without a gradient as they are.

    Keras' Adam lets the moments of every row of an embedding table decay, and moves every row by them, at
    each step: memory traffic of the whole catalogue for a batch of a few hundred, and drift of rows long
    unused. Here a sparse gradient touches its own rows only; dense gradients are Keras' business.
    """

    def update_step(self, gradient: tf.Tensor | tf.IndexedSlices, variable: tf.Variable) -> None:
        """Moves a variable, or the rows of it that have a gradient.

        Args:
            gradient: Of the variable; sparse ones without duplicate indices, as Keras hands them over.
            variable: To be moved.
        """
        if not isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable)
            return
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_1, beta_2 = (tf.cast(beta, variable.dtype) for beta in (self.beta_1, self.beta_2))
        unbiased = tf.sqrt(1 - tf.pow(beta_2, step)) / (1 - tf.pow(beta_1, step))
        rate = tf.cast(self.learning_rate, variable.dtype) * unbiased
        place = self._index_dict[self._var_key(variable)]
        momentums, velocities = self._momentums[place], self._velocities[place]
        rows, values = gradient.indices, gradient.values
        momentum = beta_1 * tf.gather(momentums, rows) + (1 - beta_1) * values
        velocity = beta_2 * tf.gather(velocities, rows) + (1 - beta_2) * tf.square(values)
        momentums.scatter_update(tf.IndexedSlices(momentum, rows))
        velocities.scatter_update(tf.IndexedSlices(velocity, rows))
        change = rate * momentum / (tf.sqrt(velocity) + self.epsilon)
        variable.scatter_sub(tf.IndexedSlices(change, rows))


def make_optimizer(config: OptimizerConfig, steps: int) -> keras.optimizers.Optimizer:
    """The configured optimiser.

    Args:
        config: The section ``retrieval.optimizer``.
        steps: Steps of the whole training, over which a schedule runs.
    """
    kinds = {
        "lazy_adam": LazyAdam,
        "adam": keras.optimizers.Adam,
        "adagrad": keras.optimizers.Adagrad,
        "sgd": keras.optimizers.SGD,
    }
    optimizer = kinds[config.kind](learning_rate(config, steps), weight_decay=config.weight_decay or None)
    if config.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["embed", "bias", "gamma", "beta", "temperature"])
    return optimizer


def learning_rate(
    config: OptimizerConfig, steps: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate: a number, or a schedule over so many steps."""
    if config.schedule == "cosine":
        warmup = min(config.warmup_steps, steps - 1)
        return keras.optimizers.schedules.CosineDecay(
            config.learning_rate / max(warmup, 1),
            decay_steps=steps - warmup,
            warmup_target=config.learning_rate if warmup else None,
            warmup_steps=warmup,
        )
    if config.warmup_steps:
        return keras.optimizers.schedules.PolynomialDecay(
            config.learning_rate / config.warmup_steps, config.warmup_steps, config.learning_rate
        )
    return config.learning_rate
