"""The first stage: a small graph that spares the encoder passages that are plainly off topic.

    first_stage.onnx  see models/score_graph.py
    heads.json        "first_stage": {"threshold": -1.3, "platt": {topic: {"a", "b"}, ...}}

A passage reaches the encoder if its highest score is at least `threshold`. One that is stopped
gets the first stage's own probabilities, sigmoid(a * score + b) with each topic's a and b (1 and
0 where there are none), all of which are below the topics' thresholds.
"""

from pathlib import Path

import numpy as np

from models.info import FIRST_STAGE_FILE, StageInfo
from models.score_graph import ScoreGraph


class FirstStage(ScoreGraph):
    """A loaded first stage."""

    def __init__(self, directory: Path, info: StageInfo, threads: int = 1) -> None:
        super().__init__(directory / FIRST_STAGE_FILE, len(info.curves), threads)
        self.threshold = info.threshold
        self._slopes, self._intercepts = np.array(info.curves, np.float32).T

    def stops(self, scores: np.ndarray) -> np.ndarray:
        """Which passages, given by their scores, do not reach the encoder; bool."""
        return scores.max(axis=1) < self.threshold

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The logits that stopped passages get, float32 [passages, topics]."""
        return scores * self._slopes + self._intercepts
