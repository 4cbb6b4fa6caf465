"""Scaling and thresholds from held-back logits, and the figures that they give.

A passage's figures come from scaling and thresholds fitted on the other folds.
"""

from dataclasses import dataclass

import numpy as np

from models.figures import BINS, Figures, passage_figures
from models.judge import unsure
from models.logistic import fit_logistic, sigmoid
from models.training.data import TOPICS

# Share of off-topic passages that may get any topic where the thresholds are fitted: less than the
# 5 percent wanted, for it is more on unseen ones, and an analyst reads what is found.
MOST_OFF_TOPIC = 0.03
# Neighbouring cuts over which F1 is averaged, so that a lucky one does not win.
SMOOTHED = 15
# How far a topic's threshold goes to the mean of all: with some hundred passages on a topic, half
# of what parts its best cut from the others' is chance.
SHRUNK = 0.5
PENALTY = 1e-3
# Decimals of a threshold.
DIGITS = 4
# Share of the passages that the encoder finds rightly which the first stage must let through.
KEPT = 0.995
CAP = 1e-3
# Encoder probabilities between which the judge decides: few passages, and most of its gain.
LOW, HIGH = 0.1, 0.95
# What the judge counts beside the encoder: alone it is better on news and worse on hard cases.
JUDGE_SHARE = 0.7


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Held-back logits of encoder, first stage and judge, labels and folds, all [passages, ...]."""

    encoder: np.ndarray
    stage: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    judge: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Scaling:
    """a and b of each topic for the encoder, [topics, 2]; for what the judge decides, weights of
    judge and scaled encoder and a bias, [topics, 3]."""

    encoder: np.ndarray
    judge: np.ndarray | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """What heads.json takes from the held-back logits."""

    scaling: Scaling
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


def fit_scalings(data: HeldBack, rows: np.ndarray, threshold: float) -> Scaling:
    """The scaling that suits the given passages; the judge's, those of them that it decides."""
    encoder, judge = fit_scaling(data.encoder[rows], data.labels[rows]), None
    if data.judge is not None:
        asked = rows & is_judged(data, encoder, threshold)
        logits = scaled(data.encoder[asked], encoder)
        judge = fit_shares(data.judge[asked], logits, data.labels[asked])
    return Scaling(encoder, judge)


def fit_shares(judge: np.ndarray, encoder: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights of judge and encoder and a bias, float64 [topics, 3], scaled together."""
    together = JUDGE_SHARE * judge + (1 - JUDGE_SHARE) * encoder
    slope, bias = fit_scaling(together, labels).T
    return np.stack([slope * JUDGE_SHARE, slope * (1 - JUDGE_SHARE), bias], axis=1)


def scaled(logits: np.ndarray, scaling: np.ndarray) -> np.ndarray:
    """Logits with each topic's a and b."""
    return logits * scaling[:, 0] + scaling[:, 1]


def is_judged(data: HeldBack, encoder: np.ndarray, threshold: float) -> np.ndarray:
    """Which passages the judge decides, given the encoder's scaling; bool [passages]."""
    found = sigmoid(scaled(data.encoder, encoder))
    return unsure(found, LOW, HIGH) & (data.stage.max(1) >= threshold)


def probabilities(data: HeldBack, scaling: Scaling, threshold: float) -> np.ndarray:
    """As the model gives them: the first stage's own for a passage that it stops."""
    logits = scaled(data.encoder, scaling.encoder)
    if data.judge is not None and scaling.judge is not None:
        asked = is_judged(data, scaling.encoder, threshold)
        own, encoder, bias = scaling.judge.T
        logits[asked] = own * data.judge[asked] + encoder * logits[asked] + bias
    passed = data.stage.max(1, keepdims=True) >= threshold
    return sigmoid(np.where(passed, logits, data.stage))


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
        cuts += SHRUNK * (cuts.mean() - cuts)
        if not off.any() or (scores[off] >= cuts).any(1).mean() <= most_off:
            break
    # As heads.json states them, for the first stage may not stop what reaches them.
    rounded: np.ndarray = np.round(cuts, DIGITS)
    return rounded


def stage_threshold(data: HeldBack) -> float:
    """The highest threshold that lets KEPT of the encoder's right hits through."""
    hits = ((data.encoder > 0) & data.labels).any(1)
    if not hits.any():
        hits = data.labels.any(1)
    scores = np.sort(data.stage.max(1)[hits])
    return float(scores[int((1 - KEPT) * len(scores))] - 1e-4)


def calibrate(data: HeldBack) -> Calibration:
    """Scaling and thresholds from all held-back logits."""
    threshold = stage_threshold(data)
    scaling = fit_scalings(data, np.ones(len(data.labels), bool), threshold)
    scores = probabilities(data, scaling, threshold)
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
        every = probabilities(data, fit_scalings(data, ~inside, threshold), threshold)
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
