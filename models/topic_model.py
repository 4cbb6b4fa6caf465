"""Scores passages with a text encoder in ONNX and one logistic head per topic.

A model is a folder:

    model.onnx      int64 input_ids and attention_mask [n, tokens] -> float32 embedding [n, width]
    tokenizer.json  Hugging Face tokenizer
    heads.json      name, version, limits, one head of `width` weights per topic, file checksums

Any encoder with those inputs and that output can take the place of the shipped one.
numpy, onnxruntime and tokenizers are imported only when a model is loaded.
"""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

ENCODER_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
HEADS_FILE = "heads.json"


class ModelError(ValueError):
    """A model folder cannot be used; the one-line message names the file and what is wrong."""

    def __init__(self, path: Path, problem: object) -> None:
        super().__init__(" ".join(f"{path}: {problem}".split()))


@dataclass(frozen=True, slots=True)
class TopicHead:
    """One topic's head: sigmoid(embedding . weights + bias), a hit from `threshold` up."""

    topic: str
    weights: tuple[float, ...]
    bias: float
    threshold: float


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What heads.json says of a model; `heads` gives the order of the columns of a score."""

    name: str
    version: str
    base: str
    licence: str
    languages: tuple[str, ...]
    max_tokens: int
    heads: tuple[TopicHead, ...]
    sha256: dict[str, str]

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(head.topic for head in self.heads)

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple(head.threshold for head in self.heads)

    @property
    def width(self) -> int:
        return len(self.heads[0].weights)


def read_model_info(directory: Path | str, check_files: bool = True) -> ModelInfo:
    """Read and validate heads.json and, unless told not to, the checksums of the other files.

    Loads neither numpy nor onnxruntime. Raises ModelError.
    """
    directory = Path(directory)
    path = directory / HEADS_FILE
    try:
        info = _parse_info(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise ModelError(path, "file is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(path, error) from error
    if check_files:
        for name in (ENCODER_FILE, TOKENIZER_FILE):
            _check_file(directory / name, info.sha256[name])
    return info


def load_topic_model(directory: Path | str, threads: int = 1) -> "TopicModel":
    """Load a model folder; `threads` is what ONNX Runtime may use. Raises ModelError."""
    directory = Path(directory)
    info = read_model_info(directory)
    encoder = Encoder(directory, PassageTokenizer(directory, info.max_tokens), threads)
    if encoder.width != info.width:
        problem = f"heads have {info.width} weights, the embedding has {encoder.width}"
        raise ModelError(directory / HEADS_FILE, problem)
    return TopicModel(info, encoder)


def load_tokenizer(directory: Path | str) -> "PassageTokenizer":
    """The tokenizer of a model folder alone, without ONNX Runtime. Raises ModelError."""
    return PassageTokenizer(Path(directory), read_model_info(directory).max_tokens)


class PassageTokenizer:
    """Texts to token ids, and whether a text fits the model."""

    def __init__(self, directory: Path, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = _read_tokenizer(directory / TOKENIZER_FILE)

    def ids(self, text: str) -> list[int]:
        """Ids of the text's tokens, special tokens included; never truncated."""
        # A list of one costs less than `encode`, and starts no threads.
        return self._tokenizer.encode_batch_fast([text])[0].ids

    def fits(self, text: str) -> bool:
        """Whether the model takes the text whole."""
        return len(self.ids(text)) <= self.max_tokens


class Encoder:
    """The ONNX graph of a model folder: texts to embeddings, float32 [n, width]."""

    def __init__(self, directory: Path, tokenizer: PassageTokenizer, threads: int = 1) -> None:
        self.tokenizer = tokenizer
        self._session = _load_session(directory / ENCODER_FILE, threads)
        try:
            self.width: int = self.embed(["probe"]).shape[1]
        except Exception as error:  # ONNX Runtime has no common base for what a bad graph raises
            raise ModelError(directory / ENCODER_FILE, error) from error

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """Embeddings, float32 [len(texts), width], in the order of the texts.

        Each text runs alone. The encoder's activations are quantised per tensor, so neighbours
        in a batch would change a text's score; on one thread batching saves next to nothing.
        Raises ValueError for a text that does not fit.
        """
        import numpy as np

        rows = []
        limit = self.tokenizer.max_tokens
        for position, text in enumerate(texts):
            ids = np.array([self.tokenizer.ids(text)], dtype=np.int64)
            if ids.size > limit:
                raise ValueError(f"text {position} has {ids.size} tokens, the model takes {limit}")
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            rows.append(self._session.run(["embedding"], feed)[0])
        return np.concatenate(rows) if rows else np.empty((0, self.width), np.float32)


class TopicModel:
    """A loaded model. Holds an ONNX Runtime session, so load it once per process; not picklable."""

    def __init__(self, info: ModelInfo, encoder: Encoder) -> None:
        import numpy as np

        self.info = info
        self._encoder = encoder
        self._weights = np.array([head.weights for head in info.heads], np.float32).T
        self._bias = np.array([head.bias for head in info.heads], np.float32)

    def count_tokens(self, text: str) -> int:
        """Number of tokens of the text, special tokens included."""
        return len(self._encoder.tokenizer.ids(text))

    def fits(self, text: str) -> bool:
        """Whether `score` takes the text: it never truncates."""
        return self._encoder.tokenizer.fits(text)

    def score(self, texts: Sequence[str]) -> "np.ndarray":
        """Probabilities, float32 [len(texts), len(info.topics)], in the order of the texts.

        A text's row does not depend on the other texts. Raises ValueError for one that does
        not fit.
        """
        import numpy as np

        logits = self._encoder.embed(texts) @ self._weights + self._bias
        return 0.5 * (1.0 + np.tanh(0.5 * logits))  # the sigmoid, without overflow


def _read_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ModelError(path, "file is missing")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the binding raises bare Exception
        raise ModelError(path, error) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    # '[SEP]' in an article is text, not a control token.
    tokenizer.encode_special_tokens = True
    return tokenizer


def _load_session(path: Path, threads: int) -> Any:
    # Its wheels for Linux keep a device id and usage data for their maker unless told not to
    # before the import.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    if not path.is_file():
        raise ModelError(path, "file is missing")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions; do not print them as well
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no common base for what a bad file raises
        raise ModelError(path, error) from error


def _check_file(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise ModelError(path, "file is missing") from None
    except OSError as error:
        raise ModelError(path, error) from error
    if actual != expected:
        raise ModelError(path, f"sha256 is {actual}, {HEADS_FILE} says {expected}")


def _parse_info(data: Any) -> ModelInfo:
    """Check the content of heads.json; raises ValueError or TypeError that says what is wrong."""
    topics = _field(data, "topics", dict)
    heads = tuple(_parse_head(topic, topics[topic]) for topic in topics)
    if not heads:
        raise ValueError("'topics' is empty")
    if len({len(head.weights) for head in heads}) != 1:
        raise ValueError("topics differ in their number of weights")
    sha256 = _field(data, "sha256", dict)
    for name in (ENCODER_FILE, TOKENIZER_FILE):
        _field(sha256, name, str)
    languages = _field(data, "languages", list)
    if not all(isinstance(language, str) for language in languages):
        raise TypeError("'languages' is not a list of strings")
    max_tokens = _field(data, "max_tokens", int)
    if max_tokens < 3:
        raise ValueError(f"'max_tokens' is {max_tokens}, which leaves no room for text")
    name, version, base, licence = (
        _field(data, key, str) for key in ("name", "version", "base", "licence")
    )
    return ModelInfo(name, version, base, licence, tuple(languages), max_tokens, heads, sha256)


def _parse_head(topic: str, data: Any) -> TopicHead:
    weights = _field(data, "weights", list)
    bias, threshold = (_field(data, key, float) for key in ("bias", "threshold"))
    if not weights or not all(isinstance(n, float) and math.isfinite(n) for n in (*weights, bias)):
        raise ValueError(f"topic {topic!r}: weights and bias must be finite numbers")
    if not 0 < threshold < 1:
        raise ValueError(f"topic {topic!r}: threshold {threshold} is not between 0 and 1")
    return TopicHead(topic, tuple(weights), bias, threshold)


def _field(data: Any, key: str, kind: type) -> Any:
    if not isinstance(data, dict):
        raise TypeError(f"expected an object with {key!r}")
    if not isinstance(data.get(key), kind):
        raise TypeError(f"{key!r} is missing or not of type {kind.__name__}")
    return data[key]
