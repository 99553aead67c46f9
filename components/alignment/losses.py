"""What the towers' scores cost beside those of the ranker.

All take float32 [queries, candidates] scores of the same candidates, and bool ``counted`` of that shape,
which of them there are; all return float32 [queries], 0 for a query without candidates. A softmax is over a
query's own candidates. Teacher and student see the same ones, so that distilling needs no correction for how
they were drawn: the loss is least where the two agree, whichever candidates are looked at.
"""

from __future__ import annotations

import tensorflow as tf

_NONE = -1e9
"""The score of a candidate that is not there: nothing in a softmax."""


def distillation(student: tf.Tensor, teacher: tf.Tensor, counted: tf.Tensor, temperature: float) -> tf.Tensor:
    """Divergence of the student's softmax from the teacher's: T² Σ p log(p / q), p and q at temperature T.

    The soft labels of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv
    1503.02531), section 2, whose T² keeps the gradients' size; of ranked candidates: Tang and Wang, "Ranking
    Distillation", KDD 2018. It is the cross-entropy with the soft labels less their entropy, which is 0 where
    the student says what the teacher does.

    Args:
        student: The towers' scores.
        teacher: Final scores.
        counted: Which candidates there are.
        temperature: T.
    """
    return temperature**2 * _divergence(
        _log_softmax(teacher / temperature, counted), _log_softmax(student / temperature, counted)
    )


def margin_mse(
    student: tf.Tensor,
    teacher: tf.Tensor,
    student_positive: tf.Tensor,
    teacher_positive: tf.Tensor,
    counted: tf.Tensor,
) -> tf.Tensor:
    """Squared error of how far a positive is above each candidate, a mean over candidates.

    Hofstätter et al., "Improving Efficient Neural Ranking Models with Cross-Architecture Knowledge
    Distillation", 2020 (arXiv 2010.02666), section 3.1. Here a row is a positive.

    Args:
        student: The towers' scores.
        teacher: Final scores.
        student_positive: float32 [positives], the positives' scores by the towers.
        teacher_positive: float32 [positives], by final score.
        counted: Which candidates there are.
    """
    margins = student_positive[:, tf.newaxis] - student
    errors = margins - (teacher_positive[:, tf.newaxis] - teacher)
    return _masked_mean(errors**2, counted)


def policy_gradient(student: tf.Tensor, rewards: tf.Tensor, counted: tf.Tensor, list_size: int) -> tf.Tensor:
    """Minus the expected reward of a place of a list of K candidates drawn by the towers.

    With π the towers' softmax, candidate c is among K draws with probability 1 − (1 − π(c))^K, whose gradient
    is that of π(c) times K (1 − π(c))^(K−1): the multiplier of Chen et al., "Top-K Off-Policy Correction for
    a REINFORCE Recommender System", WSDM 2019 (arXiv 1812.02353), section 4.3. The candidates are few enough
    to sum over instead of sampling an action, so there are no importance weights, and no variance but that of
    which candidates there are. The rewards' mean under π is their baseline b, as REINFORCE has one:

        −(b + Σ_c (1 − (1 − π(c))^K) (r(c) − b) / K),

    for K = 1 minus the expected reward itself.

    Args:
        student: The towers' scores.
        rewards: What each candidate is worth to the ranker.
        counted: Which candidates there are.
        list_size: K.
    """
    policy = tf.exp(_log_softmax(student, counted)) * tf.cast(counted, tf.float32)
    baseline = tf.stop_gradient(tf.reduce_sum(policy * rewards, axis=1, keepdims=True))
    shown = (1.0 - (1.0 - policy) ** list_size) / list_size
    return -(baseline[:, 0] + tf.reduce_sum(shown * (rewards - baseline), axis=1))


def preference(
    student: tf.Tensor, reference: tf.Tensor, rewards: tf.Tensor, counted: tf.Tensor, beta: float
) -> tf.Tensor:
    """Direct preference optimisation over all pairs of candidates, a mean over them.

    Rafailov et al., "Direct Preference Optimization", NeurIPS 2023 (arXiv 2305.18290), eq. 7: of a preferred
    candidate w and another l it is −log σ(β ((s(w) − s₀(w)) − (s(l) − s₀(l)))), s₀ being the reference's
    scores; the softmax's denominators cancel. Which of two is preferred follows from their rewards by the
    model of Bradley and Terry that the paper starts from (eq. 1), P(w ≻ l) = σ(r(w) − r(l)), and here that
    probability is known: instead of drawing a label the loss is the expected one. It is least where s − s₀ is
    r / β but for a constant, which is also the policy of the greatest expected reward less β times the
    divergence from the reference (eq. 4).

    Args:
        student: The towers' scores.
        reference: The scores of the towers as they were.
        rewards: What each candidate is worth to the ranker.
        counted: Which candidates there are.
        beta: β.
    """
    moved = beta * (student - reference)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(
        tf.math.sigmoid(_differences(rewards)), _differences(moved)
    )
    pairs = counted[:, :, tf.newaxis] & counted[:, tf.newaxis, :]
    # Of a candidate and itself nothing is to be learnt; of a pair both orders cost the same.
    pairs = tf.linalg.set_diag(pairs, tf.zeros(tf.shape(counted), tf.bool))
    size = tf.shape(counted)[0]
    return _masked_mean(tf.reshape(losses, [size, -1]), tf.reshape(pairs, [size, -1]))


def divergence_from_reference(student: tf.Tensor, reference: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """Σ π log(π / π₀): how far the towers' softmax π is from that of the towers as they were, π₀.

    What Stiennon et al., "Learning to summarize from human feedback", NeurIPS 2020 (arXiv 2009.01325),
    section 3.4, and Ouyang et al., 2022 (arXiv 2203.02155), eq. 2, take off the reward, times a β.

    Args:
        student: The towers' scores.
        reference: The scores of the towers as they were.
        counted: Which candidates there are.
    """
    return _divergence(_log_softmax(student, counted), _log_softmax(reference, counted))


def _log_softmax(scores: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    return tf.nn.log_softmax(tf.where(counted, scores, _NONE), axis=1)


def _divergence(of: tf.Tensor, from_: tf.Tensor) -> tf.Tensor:
    """Kullback-Leibler's, of logarithms of probabilities."""
    return tf.reduce_sum(tf.exp(of) * (of - from_), axis=1)


def _differences(values: tf.Tensor) -> tf.Tensor:
    """float32 [queries, candidates, candidates]: each less each."""
    return values[:, :, tf.newaxis] - values[:, tf.newaxis, :]


def _masked_mean(values: tf.Tensor, counted: tf.Tensor) -> tf.Tensor:
    """float32 [rows], the mean where the mask holds; 0 where it holds nowhere."""
    mask = tf.cast(counted, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(values * mask, axis=1), tf.reduce_sum(mask, axis=1))
