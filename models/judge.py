"""The judge: a larger encoder that decides the few passages of which the encoder is unsure.

    judge.onnx   see models/score_graph.py; it takes the encoder's token ids
    judge.data   its word embeddings, apart since code hosts take no file of 100 MiB
    heads.json   "judge": {"low": 0.1, "high": 0.95,
                           "topics": {topic: {"judge": 0.6, "encoder": 0.4, "bias": 0.1}, ...}}

A passage reaches the judge if the encoder's probability of any topic lies between `low` and
`high`. Each of its topics then has the probability sigmoid(judge * score + encoder * logit + bias),
of the judge's score and the encoder's logit: the two together err less than either.
"""

from pathlib import Path

import numpy as np

from models.info import JUDGE_FILE, JudgeInfo
from models.score_graph import ScoreGraph


class Judge(ScoreGraph):
    """A loaded judge."""

    def __init__(self, directory: Path, info: JudgeInfo, threads: int = 1) -> None:
        super().__init__(directory / JUDGE_FILE, len(info.shares), threads)
        self._low, self._high = info.low, info.high
        self._own, self._encoder, self._bias = np.array(info.shares, np.float32).T

    def is_asked(self, probabilities: np.ndarray) -> np.ndarray:
        """Which passages, given by the encoder's probabilities, it decides; bool."""
        return unsure(probabilities, self._low, self._high)

    def logits(self, scores: np.ndarray, encoder: np.ndarray) -> np.ndarray:
        """Its scores and the encoder's logits to logits, float32 [passages, topics]."""
        return self._own * scores + self._encoder * encoder + self._bias


def unsure(probabilities: np.ndarray, low: float, high: float) -> np.ndarray:
    """Where any topic's probability lies between `low` and `high`; bool [passages]."""
    found: np.ndarray = np.any((probabilities > low) & (probabilities < high), axis=1)
    return found
