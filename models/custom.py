"""Fits the head of a custom topic on the embeddings of features.onnx, the base encoder as it was.

The encoder that was fine-tuned for the shipped topics has forgotten much of the rest, in every
layer. With 8 examples of each kind of seven other topics (energy, elections, sport, software,
courts, markets, nuclear; what counts found by words in 3,000 real passages, so the absolute
figures are low), over six draws and unseen documents, the base reaches F1 0.24, its int8 copy
0.23, the fine-tuned embedding 0.13, the means of its layers 0.11 to 0.15; other passages are hit
in 2.8, 2.7 and 8.6 percent (the layers: 9 to 12).

Eight examples of each kind say little of all that a topic is not. So the passages of our own
training set (models/passages.jsonl) join the negatives, together half as heavy as the examples.
Measured by treating each shipped topic as a custom one, on embeddings of the frozen base
encoder, with 8, 16 and 30 examples of each kind, over six draws and unseen documents, without
and with that background: F1 0.36 to 0.45, 0.43 to 0.51, 0.47 to 0.53, and off-topic hits 30 to
5, 23 to 8, 20 to 8 percent. The background held hundreds of passages of the topic in question.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.logistic import fit_logistic, sigmoid

BACKGROUND = Path(__file__).with_name("passages.jsonl")
BACKGROUND_SHARE = 0.5
# Grows with the number of examples, as the sum of their losses does.
PENALTY_PER_EXAMPLE = 0.003
FOLDS = 5
SEED = 7


@dataclass(frozen=True)
class CustomFigures:
    """Cross-validated figures of a custom topic; `background_hit` is a share of other passages."""

    precision: float
    recall: float
    f1: float
    background_hit: float


def read_background() -> list[str]:
    """The texts of our own training set."""
    with BACKGROUND.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


def fit_head(
    positive: np.ndarray, negative: np.ndarray, background: np.ndarray
) -> tuple[np.ndarray, float]:
    """Weights [width] and bias of a head, from the embeddings of its examples."""
    features = np.concatenate([positive, negative, background]).astype(np.float64)
    # One penalty for encoders whose embeddings differ in length.
    length = float(np.sqrt((features**2).sum(axis=1).mean()))
    labels = np.arange(len(features)) < len(positive)
    examples = len(positive) + len(negative)
    share = BACKGROUND_SHARE * examples / max(1, len(background))
    weights = np.where(np.arange(len(features)) < examples, 1.0, share)
    coefficients, bias = fit_logistic(
        features / length, labels, weights, PENALTY_PER_EXAMPLE * examples
    )
    return coefficients / length, bias


def cross_validate(
    positive: np.ndarray, negative: np.ndarray, background: np.ndarray, threshold: float
) -> CustomFigures:
    """Figures of heads that saw neither the examples nor the background they are tried on."""
    kinds = (positive, negative, background)
    folds = [fold_numbers(len(kind)) for kind in kinds]
    hits = [np.zeros(len(kind), bool) for kind in kinds]
    for fold in range(FOLDS):
        seen = [kind[number != fold] for kind, number in zip(kinds, folds, strict=True)]
        weights, bias = fit_head(*seen)
        for kind, number, hit in zip(kinds, folds, hits, strict=True):
            hit[number == fold] = sigmoid(kind[number == fold] @ weights + bias) >= threshold
    right, wrong = int(hits[0].sum()), int(hits[1].sum())
    return CustomFigures(
        precision=right / max(1, right + wrong),
        recall=right / len(positive),
        f1=2 * right / (right + wrong + len(positive)),
        background_hit=float(hits[2].mean()) if len(background) else 0.0,
    )


def fold_numbers(rows: int) -> np.ndarray:
    """The fold of each row: of like size, drawn with a fixed seed."""
    return np.random.default_rng(SEED).permutation(rows) % FOLDS


def other_texts(background: Sequence[str], examples: Sequence[str]) -> list[str]:
    """The background without the topic's own examples."""
    own = set(examples)
    return [text for text in background if text not in own]
