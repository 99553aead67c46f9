"""Calibration: what is fitted is the truth, and the error is that counted by hand."""

import numpy as np
import pytest
import tensorflow as tf

from components.ranking.calibration import Calibration, Labelled, Line, expected_calibration_error, fit_line


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def data(line, offsets=0.0, n=40_000):
    rng = np.random.default_rng(3)
    z = rng.normal(size=n) * 2
    offsets = np.broadcast_to(offsets, [n]) * rng.uniform(0.5, 1.5, n)
    labels = (rng.random(n) < sigmoid(line.slope * z + line.shift + offsets)).astype(float)
    return Labelled(z, offsets, labels)


@pytest.mark.parametrize("line", [Line(1.0, 0.0), Line(0.4, -1.0), Line(2.5, 3.0)])
@pytest.mark.parametrize("offsets", [0.0, 4.0])
def test_the_line_that_made_the_labels_is_found(line, offsets):
    np.testing.assert_allclose(fit_line(data(line, offsets)), line, rtol=0.1, atol=0.07)


def test_fitted_probabilities_are_no_farther_from_what_comes_true():
    found = data(Line(0.3, -0.7))
    before, after = (
        expected_calibration_error(found.probabilities(line), found.labels)
        for line in (Line(1.0, 0.0), fit_line(found))
    )
    assert after < 0.01 < 0.1 < before


def test_labels_that_say_nothing_or_too_much_leave_a_line_that_is_finite_and_upright():
    z, none = np.array([-1.0, 0.0, 1.0, 2.0]), np.zeros(4)
    assert fit_line(Labelled(z, none, none)) == Line(1.0, 0.0)
    assert fit_line(Labelled(z[:0], none[:0], none[:0])) == Line(1.0, 0.0)
    separable = fit_line(Labelled(z, none, np.array([0.0, 0, 1, 1])))
    assert 0.0 < separable.slope < 10.0 and -10.0 < separable.shift < 0.0
    upside_down = fit_line(Labelled(z, none, np.array([1.0, 1, 0, 0])))
    assert upside_down.slope == 1.0


def test_the_error_is_that_of_bins_counted_by_hand():
    probabilities = np.array([0.01, 0.05, 0.5, 0.52, 1.0])
    labels = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
    # Bins of a fifteenth: two in the first, two in the eighth, one in the last.
    expected = (abs(1 - 0.06) + abs(1 - 1.02) + abs(1 - 1)) / 5
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_each_head_has_a_line_of_its_own_and_others_are_left_out():
    layer = Calibration(["positive", "buy"])
    layer.assign("buy", Line(2.0, -1.0))
    z = tf.constant([[0.0, 1.0]])
    answer = layer({"positive": z, "buy": z, "rating": z})
    assert set(answer) == {"positive", "buy"}
    np.testing.assert_allclose(answer["positive"], sigmoid(z.numpy()), rtol=1e-6)
    np.testing.assert_allclose(answer["buy"], sigmoid(2 * z.numpy() - 1), rtol=1e-6)
    assert not layer.trainable_variables and len(layer.non_trainable_variables) == 2
