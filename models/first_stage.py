"""The first stage: a small graph that spares the encoder passages that are plainly off topic.

    first_stage.onnx  int64 input_ids and attention_mask [n, tokens] -> float32 score [n, topics]
    heads.json        "first_stage": {"threshold": -1.3, "platt": {topic: {"a", "b"}, ...}}

A passage reaches the encoder if its highest score is at least `threshold`. One that is stopped
gets the first stage's own probabilities, sigmoid(a * score + b) with each topic's a and b (1 and
0 where there are none), all of which are below the topics' thresholds.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.encoder import open_graph
from models.info import FIRST_STAGE_FILE, ModelError, StageInfo


class FirstStage:
    """A loaded first stage."""

    def __init__(self, directory: Path, info: StageInfo, threads: int = 1) -> None:
        path = directory / FIRST_STAGE_FILE
        self.threshold = info.threshold
        self._slopes, self._intercepts = np.array(info.curves, np.float32).T
        self._session = open_graph(path, threads)
        try:
            probe = self._run(np.array([[101, 102]], np.int64))
        except Exception as error:  # ONNX Runtime has no common base for what a bad graph raises
            raise ModelError(path, error) from error
        if probe.shape != (1, len(info.curves)):
            raise ModelError(path, f"score is {probe.shape}, not one row of {len(info.curves)}")

    def scores(self, passages: Sequence[np.ndarray]) -> np.ndarray:
        """The scores of passages given as token ids, float32 [passages, topics].

        Each passage runs alone, so that its neighbours cannot change what becomes of it.
        """
        rows = [self._run(ids[np.newaxis]) for ids in passages]
        return np.concatenate(rows) if rows else np.empty((0, len(self._slopes)), np.float32)

    def stops(self, scores: np.ndarray) -> np.ndarray:
        """Which passages, given by their scores, do not reach the encoder; bool."""
        return scores.max(axis=1) < self.threshold

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """The logits that stopped passages get, float32 [passages, topics]."""
        return scores * self._slopes + self._intercepts

    def _run(self, row: np.ndarray) -> np.ndarray:
        feed = {"input_ids": row, "attention_mask": np.ones_like(row)}
        return self._session.run(["score"], feed)[0]
