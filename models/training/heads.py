"""heads.json, from a trained encoder's heads and what was found on held-back passages."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from models.info import HEADS_FILE
from models.training.base import Base
from models.training.calibrate import HIGH, LOW, Calibration
from models.training.data import LANGUAGE, TOPICS

SHARES = ("judge", "encoder", "bias")


def head_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights [topics, topics * width], nought outside a topic's own embedding; biases."""
    own, bias = model.head.weight.detach().numpy(), model.head.bias.detach().numpy()
    topics, width = own.shape
    weights = np.zeros((topics, topics, width), own.dtype)
    weights[np.arange(topics), np.arange(topics)] = own
    return weights.reshape(topics, -1), bias


def write_heads(
    output: Path,
    found: Calibration,
    head: tuple[np.ndarray, np.ndarray],
    base: Base,
    version: str,
    max_tokens: int,
    sums: dict[str, str],
) -> None:
    """The last of the model's files, of which `sums` has the SHA-256; scaling is in the weights."""
    weights, bias = head
    topics = {}
    for k, topic in enumerate(TOPICS):
        a, b = found.scaling.encoder[k]
        topics[topic] = {
            "threshold": float(found.thresholds[k]),
            "bias": float(a * bias[k] + b),
            "weights": [round(float(a * weight), 6) for weight in weights[k]],
        }
    free = zip(TOPICS, found.best_f1, strict=True)
    heads: dict[str, Any] = {
        "name": "wirewatch-topics",
        "version": version,
        "base": base.name,
        "licence": base.licence,
        "languages": [LANGUAGE],
        "max_tokens": max_tokens,
        "topics": topics,
        "thresholds_best_f1": {topic: float(cut) for topic, cut in free},
        "first_stage": {"threshold": round(found.stage_threshold, 4)},
        "sha256": sums,
    }
    if found.scaling.judge is not None:
        shares = zip(TOPICS, found.scaling.judge.tolist(), strict=True)
        named = {topic: dict(zip(SHARES, share, strict=True)) for topic, share in shares}
        heads["judge"] = {"low": LOW, "high": HIGH, "topics": named}
    fresh = output / (HEADS_FILE + ".new")
    fresh.write_text(json.dumps(heads) + "\n", encoding="utf-8")
    fresh.replace(output / HEADS_FILE)
