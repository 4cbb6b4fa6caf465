"""Scores passages with a text encoder in ONNX and one logistic head per topic.

A model is a folder:

    model.onnx        int64 input_ids, attention_mask [n, tokens] -> float32 embedding [n, width]
    tokenizer.json    Hugging Face tokenizer
    heads.json        name, version, limits, one head of `width` weights per topic, file checksums
    first_stage.onnx  optional: see models/first_stage.py
    judge.onnx        optional: see models/judge.py
    features.onnx     optional: as model.onnx, for custom topics; without it they use model.onnx

Any encoder with those inputs and that output can take the place of the shipped one.
numpy, onnxruntime and tokenizers are imported only when a model is loaded.
"""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
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
    from models.judge import Judge

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
    "load_features",
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

    `custom` heads come after the model's own; without features.onnx they need the encoder's
    embedding of every passage. `first_stage` False sends every passage to the encoder, as it
    must be where a threshold is lower than the first stage knows of.
    """
    directory = Path(directory)
    info = read_model_info(directory)
    # The judge's weights are most of the model's, so they are read beside the rest.
    with ThreadPoolExecutor(1) as beside:
        opened = beside.submit(_open_judge, directory, info, threads)
        encoder = Encoder(directory, PassageTokenizer(directory, info.max_tokens), threads)
        judge = opened.result()
    if encoder.width != info.width:
        problem = f"heads have {info.width} weights, the embedding has {encoder.width}"
        raise ModelError(directory / HEADS_FILE, problem)
    features = encoder
    if custom and info.features_file != ENCODER_FILE:
        features = Encoder(directory, encoder.tokenizer, threads, info.features_file)
    stage = None
    if info.first_stage is not None and first_stage and (features is not encoder or not custom):
        from models.first_stage import FirstStage

        stage = FirstStage(directory, info.first_stage, threads)
    info = dataclasses.replace(info, heads=info.heads + custom)
    return TopicModel(info, encoder, stage, features, len(custom), judge)


def _open_judge(directory: Path, info: ModelInfo, threads: int) -> "Judge | None":
    if info.judge is None:
        return None
    from models.judge import Judge

    return Judge(directory, info.judge, threads)


def load_features(directory: Path | str, threads: int = 1) -> Encoder:
    """The encoder that a model folder's custom topics are fitted on. Raises ModelError."""
    directory = Path(directory)
    info = read_model_info(directory)
    tokenizer = PassageTokenizer(directory, info.max_tokens)
    return Encoder(directory, tokenizer, threads, info.features_file)


def load_tokenizer(directory: Path | str) -> PassageTokenizer:
    """The tokenizer of a model folder alone, without ONNX Runtime. Raises ModelError."""
    return PassageTokenizer(Path(directory), read_model_info(directory).max_tokens)


class TopicModel:
    """A loaded model. Holds an ONNX Runtime session, so load it once per process; not picklable."""

    def __init__(
        self,
        info: ModelInfo,
        encoder: Encoder,
        first_stage: "FirstStage | None" = None,
        features: Encoder | None = None,
        custom: int = 0,
        judge: "Judge | None" = None,
    ) -> None:
        """The last `custom` of the heads are on the embeddings of `features`."""
        self.info = info
        self._encoder = encoder
        self._first_stage = first_stage
        self._judge = judge
        self._features = features or encoder
        own = len(info.heads) - custom
        self._own, self._custom = Heads(info.heads[:own]), Heads(info.heads[own:])

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics in the order of a score's columns."""
        return self.info.topics

    @property
    def languages(self) -> tuple[str, ...]:
        """ISO 639-1 codes of the languages that the model reads."""
        return self.info.languages

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
        """As `score`, with which stage decided each text."""
        import numpy as np

        from models.logistic import sigmoid

        passages = self._encoder.read(texts)
        stopped, gate = np.zeros(len(passages), bool), None
        if self._first_stage is not None:
            gate = self._first_stage.scores(passages)
            stopped = self._first_stage.stops(gate)
        reached = np.flatnonzero(~stopped)
        embeddings = self._encoder.embed_ids([passages[row] for row in reached])
        own = np.empty((len(passages), len(self._own)), np.float32)
        own[reached] = self._own.logits(embeddings)
        if self._first_stage is not None and gate is not None:
            own[stopped] = self._first_stage.logits(gate[stopped])
        judged = np.zeros(len(passages), bool)
        if self._judge is not None:
            judged = self._judge.is_asked(sigmoid(own)) & ~stopped
            asked = [passages[row] for row in np.flatnonzero(judged)]
            own[judged] = self._judge.logits(self._judge.scores(asked), own[judged])
        logits = [own]
        if len(self._custom):
            if self._features is not self._encoder:
                embeddings = self._features.embed_ids(passages)
            logits.append(self._custom.logits(embeddings))
        scores = sigmoid(np.concatenate(logits, axis=1))
        least = self._first_stage.threshold if self._first_stage else None
        return Decision(scores, gate, stopped, judged, least)


class Heads:
    """Logistic heads on one embedding."""

    def __init__(self, heads: Sequence[TopicHead]) -> None:
        import numpy as np

        self._weights = np.array([head.weights for head in heads], np.float32).T
        self._bias = np.array([head.bias for head in heads], np.float32)

    def __len__(self) -> int:
        return len(self._bias)

    def logits(self, embeddings: "np.ndarray") -> "np.ndarray":
        """Logits, float32 [embeddings, heads]."""
        import numpy as np

        rows = np.empty((len(embeddings), len(self)), np.float32)
        for row, embedding in enumerate(embeddings):
            # Row by row: a product over all rows at once would round by their number.
            rows[row] = embedding @ self._weights + self._bias
        return rows
