"""Each loss against numbers worked out by hand, and its gradient where that is the point."""

import math

import numpy as np
import pytest
import tensorflow as tf

from components.alignment.losses import (
    distillation,
    divergence_from_reference,
    margin_mse,
    policy_gradient,
    preference,
)

LOG = math.log
# The third candidate of the second query is not there, whatever is said of it.
STUDENT = tf.constant([[LOG(1), LOG(2), LOG(5)], [LOG(1), LOG(3), 9.0]])
TEACHER = tf.constant([[LOG(4), LOG(4), LOG(2)], [LOG(1), LOG(1), 7.0]])
COUNTED = tf.constant([[True, True, True], [True, True, False]])


def test_distillation_is_the_divergence_of_soft_labels():
    # The teacher's 0.4, 0.4, 0.2 and 0.5, 0.5; the student's 1/8, 2/8, 5/8 and 1/4, 3/4.
    first = 0.4 * LOG(0.4 / 0.125) + 0.4 * LOG(0.4 / 0.25) + 0.2 * LOG(0.2 / 0.625)
    second = 0.5 * LOG(0.5 / 0.25) + 0.5 * LOG(0.5 / 0.75)
    np.testing.assert_allclose(distillation(STUDENT, TEACHER, COUNTED, 1.0), [first, second], rtol=1e-5)


def test_distillation_at_a_temperature_softens_both_and_keeps_the_gradients_size():
    # At temperature 2 the roots: the student's 1 : sqrt 3, the teacher's 1 : 1.
    share = 1 / (1 + math.sqrt(3))
    expected = 4 * (0.5 * LOG(0.5 / share) + 0.5 * LOG(0.5 / (1 - share)))
    assert distillation(STUDENT, TEACHER, COUNTED, 2.0)[1].numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_distillation_is_nothing_where_the_student_says_what_the_teacher_does_but_for_a_constant(temperature):
    np.testing.assert_allclose(distillation(TEACHER + 5.0, TEACHER, COUNTED, temperature), [0, 0], atol=1e-5)


def test_margin_mse_is_of_how_far_the_positive_is_above_each():
    student = tf.constant([[1.0, 2.0, 0.0], [4.0, 3.0, 99.0]])
    teacher = tf.constant([[0.0, 0.0, 5.0], [1.0, 1.0, -99.0]])
    found = margin_mse(student, teacher, tf.constant([3.0, 3.0]), tf.constant([1.0, 2.0]), COUNTED)
    # Margins 2, 1, 3 against 1, 1, -4; and -1, 0 against 1, 1.
    np.testing.assert_allclose(found, [(1 + 0 + 49) / 3, (4 + 1) / 2], rtol=1e-6)


def test_policy_gradient_of_one_is_minus_the_expected_reward():
    rewards = tf.constant([[8.0, 4.0, 1.6], [2.0, 6.0, 1e6]])
    found = policy_gradient(STUDENT, rewards, COUNTED, 1)
    np.testing.assert_allclose(found, [-(1 + 1 + 1), -(0.5 + 4.5)], rtol=1e-5)


@pytest.mark.parametrize("size", [1, 4])
def test_policy_gradient_is_reinforce_with_a_baseline_and_the_top_k_multiplier(size):
    scores, rewards = tf.Variable(STUDENT[:1]), tf.constant([[8.0, 4.0, 1.6]])
    with tf.GradientTape() as tape:
        loss = policy_gradient(scores, rewards, COUNTED[:1], size)
    policy = np.array([1, 2, 5]) / 8
    # E over c of K (1 - pi)^(K-1) (r - b) / K d log pi(c) / d s(d), the latter being [c = d] - pi(d).
    weights = policy * (1 - policy) ** (size - 1) * (rewards.numpy()[0] - 3.0)
    expected = weights - policy * weights.sum()
    np.testing.assert_allclose(tape.gradient(loss, scores)[0], -expected, rtol=1e-4)


def test_policy_gradient_of_a_list_is_minus_the_reward_of_its_mean_place_above_the_baseline():
    rewards = tf.constant([[8.0, 4.0, 1.6], [2.0, 6.0, 1e6]])
    shown = 1 - np.array([7 / 8, 6 / 8, 3 / 8]) ** 2, 1 - np.array([3 / 4, 1 / 4]) ** 2
    expected = [3 + shown[0] @ [5, 1, -1.4] / 2, 5 + shown[1] @ [-3, 1] / 2]
    np.testing.assert_allclose(
        policy_gradient(STUDENT, rewards, COUNTED, 2), np.negative(expected), rtol=1e-5
    )


def test_preference_is_the_expected_loss_of_dpo_over_pairs():
    reference = tf.constant([[0.0, LOG(2), 0.0], [0.0, 0.0, 0.0]])
    rewards = tf.constant([[LOG(3), 0.0, 0.0], [0.0, 0.0, 5.0]])
    found = preference(STUDENT, reference, rewards, COUNTED, 0.5)

    def of_pair(preferred, moved):
        # The one is preferred with this probability, and has moved ahead by so much.
        ahead = 1 / (1 + math.exp(-0.5 * moved))
        return -preferred * LOG(ahead) - (1 - preferred) * LOG(1 - ahead)

    # Moved by 0, 0 and log 5; rewards say 3/4 for the first against each other, 1/2 of those two.
    first = (of_pair(0.75, 0.0) + of_pair(0.75, -LOG(5)) + of_pair(0.5, -LOG(5))) / 3
    np.testing.assert_allclose(found, [first, of_pair(0.5, LOG(1 / 3))], rtol=1e-5)


def test_a_certain_preference_costs_what_the_paper_says():
    student, reference = tf.constant([[2.0, 1.0]]), tf.constant([[0.5, 0.0]])
    found = preference(student, reference, tf.constant([[50.0, -50.0]]), tf.ones([1, 2], tf.bool), 0.3)
    assert found.numpy()[0] == pytest.approx(-LOG(1 / (1 + math.exp(-0.3 * ((2 - 0.5) - (1 - 0))))))


def test_preference_is_least_where_the_towers_moved_by_reward_over_beta():
    rewards, reference = tf.constant([[1.0, -0.5, 2.0]]), tf.constant([[0.3, 0.0, -1.0]])
    scores = tf.Variable(reference + rewards / 0.5 + 7.0)
    with tf.GradientTape() as tape:
        loss = preference(scores, reference, rewards, COUNTED[:1], 0.5)
    np.testing.assert_allclose(tape.gradient(loss, scores), np.zeros((1, 3)), atol=1e-6)


def test_divergence_is_from_the_towers_as_they_were_seen_from_those_they_are():
    first = (LOG(0.125 / 0.4) + 2 * LOG(0.25 / 0.4) + 5 * LOG(0.625 / 0.2)) / 8
    second = 0.25 * LOG(0.25 / 0.5) + 0.75 * LOG(0.75 / 0.5)
    found = divergence_from_reference(STUDENT, TEACHER, COUNTED)
    np.testing.assert_allclose(found, [first, second], rtol=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        lambda counted: distillation(STUDENT, TEACHER, counted, 1.0),
        lambda counted: margin_mse(STUDENT, TEACHER, STUDENT[:, 0], TEACHER[:, 0], counted),
        lambda counted: policy_gradient(STUDENT, TEACHER, counted, 3),
        lambda counted: preference(STUDENT, TEACHER, TEACHER, counted, 1.0),
        lambda counted: divergence_from_reference(STUDENT, TEACHER, counted),
    ],
    ids=["distillation", "margin_mse", "policy_gradient", "preference", "divergence"],
)
def test_a_query_without_candidates_costs_nothing(loss):
    np.testing.assert_array_equal(loss(tf.zeros([2, 3], tf.bool)), [0, 0])
