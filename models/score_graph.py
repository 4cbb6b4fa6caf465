"""An ONNX graph that scores each topic of a passage, as the first stage and the judge are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.encoder import open_graph
from models.info import ModelError


class ScoreGraph:
    """int64 input_ids and attention_mask [n, tokens] -> float32 score [n, topics]."""

    def __init__(self, path: Path, topics: int, threads: int) -> None:
        self._topics = topics
        self._session = open_graph(path, threads)
        try:
            probe = self._run(np.array([[101, 102]], np.int64))
        except Exception as error:  # ONNX Runtime has no common base for what a bad graph raises
            raise ModelError(path, error) from error
        if probe.shape != (1, topics):
            raise ModelError(path, f"score is {probe.shape}, not one row of {topics}")

    def scores(self, passages: Sequence[np.ndarray]) -> np.ndarray:
        """The scores of passages given as token ids, float32 [passages, topics].

        Each passage runs alone, so that its neighbours cannot change what becomes of it.
        """
        rows = [self._run(ids[np.newaxis]) for ids in passages]
        return np.concatenate(rows) if rows else np.empty((0, self._topics), np.float32)

    def _run(self, row: np.ndarray) -> np.ndarray:
        feed = {"input_ids": row, "attention_mask": np.ones_like(row)}
        return self._session.run(["score"], feed)[0]
