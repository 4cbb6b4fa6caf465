"""Logistic regression with an L2 penalty, small enough to read, for heads of custom topics.

A head is fitted on tens of examples with a few hundred features: one dense Newton step takes
milliseconds, so that no further library is needed to fit one.
"""

import numpy as np

STEPS = 50
TOLERANCE = 1e-8


def fit_logistic(
    features: np.ndarray, labels: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, float]:
    """Coefficients [width] and intercept that minimise

        sum of weights * log-loss + penalty / 2 * |coefficients|^2

    by Newton's method with step halving; the intercept is not penalised. `features` is
    [n, width], `labels` bool [n] with both kinds present, `weights` positive [n].
    """
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1).astype(np.float64)
    ridge = np.full(rows.shape[1], penalty)
    ridge[-1] = 0.0
    signs = np.where(labels, 1.0, -1.0)

    def loss(point: np.ndarray) -> float:
        margins = signs * (rows @ point)
        return float(weights @ np.logaddexp(0.0, -margins) + 0.5 * ridge @ point**2)

    point = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        wrong = sigmoid(-signs * (rows @ point))
        gradient = ridge * point - rows.T @ (weights * signs * wrong)
        if np.abs(gradient).max() < TOLERANCE * max(1.0, weights.sum()):
            break
        curvature = (rows.T * (weights * wrong * (1.0 - wrong))) @ rows
        curvature[np.diag_indices_from(curvature)] += ridge + 1e-9
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while size > 1e-6 and loss(point - size * step) > loss(point):
            size /= 2
        point = point - size * step
    return point[:-1], float(point[-1])


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
