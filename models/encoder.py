"""The two heavy parts of a model folder: its tokenizer and its ONNX graph."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.info import ENCODER_FILE, TOKENIZER_FILE, ModelError

if TYPE_CHECKING:
    import numpy as np


class PassageTokenizer:
    """Texts to token ids, and whether a text fits the model."""

    def __init__(self, directory: Path, max_tokens: int) -> None:
        self.max_tokens = max_tokens
        self._tokenizer = _read_tokenizer(directory / TOKENIZER_FILE)

    def ids(self, text: str) -> list[int]:
        """Ids of the text's tokens, special tokens included; never truncated."""
        # A list of one costs less than `encode`, and starts no threads.
        return self._tokenizer.encode_batch_fast([text])[0].ids

    def vocabulary(self) -> dict[str, int]:
        """The id of each token."""
        return self._tokenizer.get_vocab()

    def fits(self, text: str) -> bool:
        """Whether the model takes the text whole."""
        return len(self.ids(text)) <= self.max_tokens


class Encoder:
    """An ONNX graph of a model folder: texts to embeddings, float32 [n, width]."""

    def __init__(
        self,
        directory: Path,
        tokenizer: PassageTokenizer,
        threads: int = 1,
        file: str = ENCODER_FILE,
    ) -> None:
        self.tokenizer = tokenizer
        self._session = open_graph(directory / file, threads)
        try:
            self.width: int = self.embed(["probe"]).shape[1]
        except Exception as error:  # ONNX Runtime has no common base for what a bad graph raises
            raise ModelError(directory / file, error) from error

    def embed(self, texts: Sequence[str]) -> "np.ndarray":
        """Embeddings in the order of the texts. Raises ValueError for a text that does not fit."""
        return self.embed_ids(self.read(texts))

    def read(self, texts: Sequence[str]) -> "list[np.ndarray]":
        """Token ids of each text, int64. Raises ValueError for a text that does not fit."""
        import numpy as np

        passages = [np.array(self.tokenizer.ids(text), dtype=np.int64) for text in texts]
        limit = self.tokenizer.max_tokens
        for position, ids in enumerate(passages):
            if ids.size > limit:
                raise ValueError(f"text {position} has {ids.size} tokens, the model takes {limit}")
        return passages

    def embed_ids(self, passages: "Sequence[np.ndarray]") -> "np.ndarray":
        """Embeddings of passages given as token ids, in their order.

        Each passage runs alone. The encoder's activations are quantised per tensor, so
        neighbours in a batch would change a passage's score; on one thread batching saves
        next to nothing.
        """
        import numpy as np

        rows = []
        for ids in passages:
            row = ids[np.newaxis]
            feed = {"input_ids": row, "attention_mask": np.ones_like(row)}
            rows.append(self._session.run(["embedding"], feed)[0])
        return np.concatenate(rows) if rows else np.empty((0, self.width), np.float32)


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


def open_graph(path: Path, threads: int) -> Any:
    """An ONNX Runtime session on the CPU. Raises ModelError."""
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
