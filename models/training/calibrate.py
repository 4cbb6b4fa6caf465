"""Scaling and thresholds from held-back logits, and the figures that they give.

A passage's figures come from scaling and thresholds fitted on the other folds.
"""

from dataclasses import dataclass

import numpy as np

from models.figures import BINS, Figures, passage_figures
from models.logistic import fit_logistic, sigmoid
from models.training.data import TOPICS

# Share of off-topic passages that may get any topic where the thresholds are fitted: a little
# under the 5 percent wanted of unseen ones.
MOST_OFF_TOPIC = 0.0475
# Neighbouring cuts over which F1 is averaged, so that a lucky one does not win.
SMOOTHED = 15
PENALTY = 1e-3
# Share of the passages that the encoder finds rightly which the first stage must let through.
KEPT = 0.995
CAP = 1e-3


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Held-back logits of encoder and first stage, labels and folds, all [passages, ...]."""

    encoder: np.ndarray
    stage: np.ndarray
    labels: np.ndarray
    folds: np.ndarray


@dataclass(frozen=True, slots=True)
class Calibration:
    """What heads.json takes from the held-back logits; `scaling` is a and b of each topic."""

    scaling: np.ndarray
    thresholds: np.ndarray
    best_f1: np.ndarray
    stage_threshold: float


def fit_scaling(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """a and b of each topic, so that sigmoid(a * logit + b) is a probability (Platt, 1999).

    A topic that is in all passages or in none keeps its logits as they are.
    """
    rows, weights = [], np.ones(len(logits))
    for column in range(labels.shape[1]):
        one = labels[:, column].astype(bool)
        if one.all() or not one.any():
            rows.append((1.0, 0.0))
            continue
        slope, intercept = fit_logistic(logits[:, [column]], one, weights, PENALTY)
        # A slope that is not positive would turn the order round: the logits say nothing.
        rows.append((max(float(slope[0]), 1e-3), intercept))
    return np.array(rows)


def probabilities(
    logits: np.ndarray, stage: np.ndarray, scaling: np.ndarray, threshold: float
) -> np.ndarray:
    """As the model gives them: the first stage's own for a passage that it stops."""
    scaled = sigmoid(logits * scaling[:, 0] + scaling[:, 1])
    return np.where(stage.max(1, keepdims=True) >= threshold, scaled, sigmoid(stage))


def cut(scores: np.ndarray, labels: np.ndarray, off: np.ndarray, cost: float) -> float:
    """The cut of the best smoothed F1 less `cost` times the share of off-topic passages hit."""
    order = np.argsort(-scores, kind="stable")
    value = 2 * np.cumsum(labels[order]) / (np.arange(1, len(labels) + 1) + labels.sum())
    value = value - cost * np.cumsum(off[order]) / max(1, off.sum())
    width = min(SMOOTHED, len(value) - (len(value) + 1) % 2)
    smooth = np.convolve(np.pad(value, width // 2, mode="edge"), np.ones(width) / width, "valid")
    best = int(np.argmax(smooth))
    middle = (scores[order][best] + scores[order][min(best + 1, len(order) - 1)]) / 2
    return float(np.clip(middle, 0.01, 0.99))


def fit_thresholds(scores: np.ndarray, labels: np.ndarray, most_off: float) -> np.ndarray:
    """One threshold a topic; at most `most_off` of the off-topic passages get any topic."""
    off: np.ndarray = ~np.any(labels, axis=1)
    for cost in np.linspace(0, 6, 61):
        columns = range(labels.shape[1])
        cuts = np.array([cut(scores[:, k], labels[:, k], off, cost) for k in columns])
        if not off.any() or (scores[off] >= cuts).any(1).mean() <= most_off:
            break
    return cuts


def stage_threshold(data: HeldBack) -> float:
    """The highest threshold that lets KEPT of the encoder's right hits through."""
    hits = ((data.encoder > 0) & data.labels).any(1)
    if not hits.any():
        hits = data.labels.any(1)
    scores = np.sort(data.stage.max(1)[hits])
    return float(scores[int((1 - KEPT) * len(scores))] - 1e-4)


def calibrate(data: HeldBack) -> Calibration:
    """Scaling and thresholds from all held-back logits."""
    scaling, threshold = fit_scaling(data.encoder, data.labels), stage_threshold(data)
    scores = probabilities(data.encoder, data.stage, scaling, threshold)
    strict = fit_thresholds(scores, data.labels, MOST_OFF_TOPIC)
    free = fit_thresholds(scores, data.labels, 1.0)
    # What the first stage stops must be below every threshold by its own probability too.
    limit = float(np.log(strict / (1 - strict)).min()) - CAP
    return Calibration(scaling, strict, free, min(threshold, limit))


def cross_fit(data: HeldBack, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and hits [passages, topics], each fitted on the other folds."""
    scores, hits = np.zeros(data.labels.shape), np.zeros(data.labels.shape, bool)
    for fold in np.unique(data.folds):
        inside = data.folds == fold
        scaling = fit_scaling(data.encoder[~inside], data.labels[~inside])
        every = probabilities(data.encoder, data.stage, scaling, threshold)
        cuts = fit_thresholds(every[~inside], data.labels[~inside], MOST_OFF_TOPIC)
        stopped = data.stage[inside].max(1, keepdims=True) < threshold
        scores[inside] = every[inside]
        hits[inside] = (every[inside] >= cuts) & ~stopped
    return scores, hits


def figures_of(data: HeldBack, scores: np.ndarray, hits: np.ndarray, rows: np.ndarray) -> Figures:
    """Figures over the given passages."""
    return passage_figures(TOPICS, data.labels[rows], hits[rows], scores[rows])


def reliability(scores: np.ndarray, labels: np.ndarray) -> list[tuple[float, int, float, float]]:
    """Lower end of a bin, number, mean score, share found; all topics together."""
    flat, found = scores.ravel(), labels.ravel()
    bins = np.minimum((flat * BINS).astype(int), BINS - 1)
    return [
        (k / BINS, int((bins == k).sum()), flat[bins == k].mean(), found[bins == k].mean())
        for k in np.unique(bins).tolist()
    ]
