"""Scores passages with a text encoder in ONNX and one logistic head per topic.

A model is a folder:

    model.onnx        int64 input_ids, attention_mask [n, tokens] -> float32 embedding [n, width]
    tokenizer.json    Hugging Face tokenizer
    heads.json        name, version, limits, one head of `width` weights per topic, file checksums
    first_stage.onnx  optional: see models/first_stage.py

Any encoder with those inputs and that output can take the place of the shipped one.
numpy, onnxruntime and tokenizers are imported only when a model is loaded.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.encoder import Encoder, PassageTokenizer
from models.info import (
    ENCODER_FILE,
    FIRST_STAGE_FILE,
    HEADS_FILE,
    TOKENIZER_FILE,
    ModelError,
    ModelInfo,
    TopicHead,
    read_model_info,
)
from models.interface import Decision

if TYPE_CHECKING:
    import numpy as np

    from models.first_stage import FirstStage

__all__ = [
    "ENCODER_FILE",
    "FIRST_STAGE_FILE",
    "HEADS_FILE",
    "TOKENIZER_FILE",
    "Decision",
    "Encoder",
    "ModelError",
    "ModelInfo",
    "PassageTokenizer",
    "TopicHead",
    "TopicModel",
    "load_tokenizer",
    "load_topic_model",
    "read_model_info",
]


def load_topic_model(
    directory: Path | str,
    threads: int = 1,
    custom: tuple[TopicHead, ...] = (),
    first_stage: bool = True,
) -> "TopicModel":
    """Load a model folder; `threads` is what ONNX Runtime may use. Raises ModelError.

    `custom` heads come after the model's own. `first_stage` False sends every passage to
    the encoder, as it must be where a head is in use that the first stage knows nothing of.
    """
    directory = Path(directory)
    info = read_model_info(directory)
    encoder = Encoder(directory, PassageTokenizer(directory, info.max_tokens), threads)
    if encoder.width != info.width:
        problem = f"heads have {info.width} weights, the embedding has {encoder.width}"
        raise ModelError(directory / HEADS_FILE, problem)
    stage = None
    if info.first_stage is not None:
        from models.first_stage import FirstStage

        stage = FirstStage(directory, info.first_stage, threads)
    info = dataclasses.replace(info, heads=info.heads + custom)
    return TopicModel(info, encoder, stage if first_stage and not custom else None)


def load_tokenizer(directory: Path | str) -> PassageTokenizer:
    """The tokenizer of a model folder alone, without ONNX Runtime. Raises ModelError."""
    return PassageTokenizer(Path(directory), read_model_info(directory).max_tokens)


class TopicModel:
    """A loaded model. Holds an ONNX Runtime session, so load it once per process; not picklable."""

    def __init__(
        self, info: ModelInfo, encoder: Encoder, first_stage: "FirstStage | None" = None
    ) -> None:
        import numpy as np

        self.info = info
        self._encoder = encoder
        self._first_stage = first_stage
        self._weights = np.array([head.weights for head in info.heads], np.float32).T
        self._bias = np.array([head.bias for head in info.heads], np.float32)

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics in the order of a score's columns."""
        return self.info.topics

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the languages that the model reads."""
        return self.info.languages

    def count_tokens(self, text: str) -> int:
        """Number of tokens of the text, special tokens included."""
        return len(self._encoder.tokenizer.ids(text))

    def fits(self, text: str) -> bool:
        """Whether `score` takes the text: it never truncates."""
        return self._encoder.tokenizer.fits(text)

    def score(self, texts: Sequence[str]) -> "np.ndarray":
        """Probabilities, float32 [len(texts), len(topics)], in the order of the texts.

        A text's row does not depend on the other texts. Raises ValueError for one that does
        not fit.
        """
        return self.decide(texts).scores

    def decide(self, texts: Sequence[str]) -> Decision:
        """As `score`, with what the first stage made of each text."""
        import numpy as np

        passages = self._encoder.read(texts)
        logits = np.empty((len(passages), len(self._bias)), np.float32)
        stopped = np.zeros(len(passages), bool)
        gate = None
        if self._first_stage is not None:
            gate = self._first_stage.scores(passages)
            stopped = self._first_stage.stops(gate)
            logits[stopped] = self._first_stage.logits(gate[stopped])
        reached = np.flatnonzero(~stopped)
        embeddings = self._encoder.embed_ids([passages[row] for row in reached])
        for row, embedding in zip(reached, embeddings, strict=True):
            # Row by row: a product over all rows at once would round by their number.
            logits[row] = embedding @ self._weights + self._bias
        scores = 0.5 * (1.0 + np.tanh(0.5 * logits))  # the sigmoid, without overflow
        least = self._first_stage.threshold if self._first_stage else None
        return Decision(scores, gate, stopped, least)

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """Embeddings, float32 [len(texts), width]. Raises ValueError for one that does not fit."""
        return self._encoder.embed(texts)
