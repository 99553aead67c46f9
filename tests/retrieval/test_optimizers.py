"""Steps of the optimisers, against Keras' and by hand."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from components.retrieval.config import OptimizerConfig
from components.retrieval.optimizers import LazyAdam, learning_rate, make_optimizer

START = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def slices(rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(len(rows), 3)).astype(np.float32)
    return tf.IndexedSlices(tf.constant(values), tf.constant(rows, tf.int64), tf.constant([4, 3], tf.int64))


def after(optimizer, gradients):
    """The variable after steps by these gradients."""
    variable = tf.Variable(START, name="kernel")
    optimizer.build([variable])
    for gradient in gradients:
        optimizer.apply_gradients([(gradient, variable)])
    return variable.numpy()


@pytest.mark.parametrize("dense", [True, False])
def test_lazy_adam_is_adam_where_every_row_is_used_every_step(dense):
    gradients = [slices([2, 0, 3, 1], seed) for seed in range(5)]
    if dense:
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    lazy, adam = (after(kind(0.1), gradients) for kind in (LazyAdam, keras.optimizers.Adam))
    np.testing.assert_allclose(lazy, adam, rtol=1e-5, atol=1e-6)


def test_rows_without_a_gradient_and_their_moments_stay_as_they_are():
    optimizer, variable = LazyAdam(0.1), tf.Variable(START)
    optimizer.build([variable])

    def state():
        # All but the number of steps and the learning rate.
        return np.stack([weight for weight in [variable, *optimizer.variables] if weight.shape == (4, 3)])

    optimizer.apply_gradients([(slices([0, 1, 2, 3]), variable)])
    before = state()
    assert len(before) == 3
    for seed in (1, 2):
        optimizer.apply_gradients([(slices([1, 3], seed), variable)])
    changed = np.abs(state() - before).min(axis=(0, 2)) > 0
    assert changed.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(state()[:, [0, 2]], before[:, [0, 2]])


def test_a_row_used_twice_gets_the_sum_of_its_gradients():
    twice = slices([2, 1, 2])
    summed = tf.IndexedSlices(
        tf.stack([twice.values[0] + twice.values[2], twice.values[1]]), tf.constant([2, 1], tf.int64)
    )
    np.testing.assert_allclose(after(LazyAdam(0.1), [twice]), after(LazyAdam(0.1), [summed]), rtol=1e-6)


def test_a_row_first_used_late_steps_by_adams_formula_with_the_number_of_all_steps():
    gradient = slices([3], seed=9)
    found = after(LazyAdam(0.1), [slices([0]), slices([1]), gradient])
    g = gradient.values.numpy()[0]
    m_hat, v_hat = 0.1 * g / (1 - 0.9**3), 0.001 * g**2 / (1 - 0.999**3)
    np.testing.assert_allclose(found[3], START[3] - 0.1 * m_hat / np.sqrt(v_hat), rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("lazy_adam", LazyAdam),
        ("adam", keras.optimizers.Adam),
        ("adagrad", keras.optimizers.Adagrad),
        ("sgd", keras.optimizers.SGD),
    ],
)
def test_each_kind_is_its_optimizer_at_the_configured_rate(kind, expected):
    optimizer = make_optimizer(OptimizerConfig(kind=kind, learning_rate=0.02), steps=10)
    assert type(optimizer) is expected
    assert float(optimizer.learning_rate) == pytest.approx(0.02)


def steps_by_hand(kind, gradients, rate):
    """START after steps by Adam (Kingma and Ba, algorithm 1), Adagrad (Duchi et al., from 0.1) or SGD."""
    x, m, v, total = START.astype(float), 0.0, 0.0, 0.1
    for t, g in enumerate(gradients, start=1):
        if kind == "adagrad":
            total = total + g**2
            x -= rate * g / np.sqrt(total)
        elif kind == "sgd":
            x -= rate * g
        else:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            x -= rate * (m / (1 - 0.9**t)) / np.sqrt(v / (1 - 0.999**t))
    return x


@pytest.mark.parametrize("kind", ["lazy_adam", "adam", "adagrad", "sgd"])
def test_steps_are_those_of_the_formula(kind):
    gradients = [slices([2, 0, 3, 1], seed) for seed in range(3)]
    found = after(make_optimizer(OptimizerConfig(kind=kind, learning_rate=0.1), steps=3), gradients)
    dense = [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    np.testing.assert_allclose(found, steps_by_hand(kind, dense, 0.1), rtol=1e-4, atol=1e-5)


def rates(steps, at, **settings):
    rate = learning_rate(OptimizerConfig(learning_rate=0.1, **settings), steps)
    return [float(rate(step)) for step in at]


def test_a_constant_rate_is_a_number():
    assert learning_rate(OptimizerConfig(learning_rate=0.1), 100) == 0.1


def test_warm_up_rises_evenly_and_stays():
    found = rates(100, [0, 5, 10, 50, 100], warmup_steps=10)
    np.testing.assert_allclose(found, [0.01, 0.055, 0.1, 0.1, 0.1], rtol=1e-5)


def test_cosine_falls_to_nothing_over_the_whole_training():
    at = [0, 25, 50, 100]
    expected = [0.1 * (1 + np.cos(np.pi * step / 100)) / 2 for step in at]
    np.testing.assert_allclose(rates(100, at, schedule="cosine"), expected, rtol=1e-5, atol=1e-8)


def test_cosine_after_warm_up_falls_over_what_is_left():
    found = rates(100, [0, 10, 20, 60, 100], schedule="cosine", warmup_steps=20)
    np.testing.assert_allclose(found, [0.005, 0.0525, 0.1, 0.05, 0], rtol=1e-5, atol=1e-8)


def test_a_warm_up_longer_than_the_training_is_cut():
    assert rates(5, [4], schedule="cosine", warmup_steps=50) == [pytest.approx(0.1)]


@pytest.mark.parametrize("kind", ["lazy_adam", "adam", "adagrad", "sgd"])
def test_weight_decay_is_of_kernels_alone(tiny, kind):
    config = OptimizerConfig(kind=kind, learning_rate=0.1, weight_decay=0.5)
    model = tiny.model(history={"encoder": "attention"}, learn_temperature=True, temperature=2.0)
    before = [weight.numpy() for weight in model.trainable_variables]
    make_optimizer(config, 10).apply_gradients(
        [(tf.zeros_like(weight), weight) for weight in model.trainable_variables]
    )
    decayed = set()
    for weight, value in zip(model.trainable_variables, before, strict=True):
        if np.any(weight.numpy() != value):
            np.testing.assert_allclose(weight, value * (1 - 0.1 * 0.5), rtol=1e-5)
            decayed.add(weight.name.split("/")[-1])
    assert decayed == {"kernel:0"}
    names = {weight.name.split("/")[-1] for weight in model.trainable_variables}
    assert names >= {"embeddings:0", "bias:0", "gamma:0", "beta:0", "log_temperature:0"}
