"""The logistic regression, by what a minimum must satisfy."""

import numpy as np
import pytest

from models.logistic import fit_logistic, sigmoid


def problem(rows, width, seed=3):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(rows, width))
    labels = sigmoid(features @ rng.normal(size=width)) > rng.random(rows)
    return features, labels, rng.uniform(0.1, 2.0, rows)


@pytest.mark.parametrize("rows, width", [(200, 5), (40, 100)])
@pytest.mark.parametrize("penalty", [0.01, 1.0, 100.0])
def test_the_gradient_vanishes_at_the_solution(rows, width, penalty):
    features, labels, weights = problem(rows, width)
    coefficients, bias = fit_logistic(features, labels, weights, penalty)
    errors = weights * (sigmoid(features @ coefficients + bias) - labels)
    np.testing.assert_allclose(features.T @ errors + penalty * coefficients, 0, atol=1e-4)
    assert errors.sum() == pytest.approx(0, abs=1e-4)


def test_separable_classes_have_a_finite_solution():
    features = np.array([[-1.0], [-2.0], [1.0], [2.0]]) * 1000
    labels = np.array([False, False, True, True])
    coefficients, bias = fit_logistic(features, labels, np.ones(4), 1e-3)
    assert np.isfinite(coefficients).all()
    assert ((sigmoid(features @ coefficients + bias) > 0.5) == labels).all()


def test_a_row_twice_is_a_row_of_double_weight():
    features, labels, _ = problem(60, 4)
    twice = np.concatenate([features, features[:20]])
    heavy = np.where(np.arange(60) < 20, 2.0, 1.0)
    one = fit_logistic(features, labels, heavy, 0.5)
    two = fit_logistic(twice, np.concatenate([labels, labels[:20]]), np.ones(80), 0.5)
    np.testing.assert_allclose(one[0], two[0], atol=1e-6)
    assert one[1] == pytest.approx(two[1], abs=1e-6)
