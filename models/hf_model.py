"""Runs any Hugging Face sequence-classification or zero-shot model; needs the extra [hf].

A classifier answers with the labels that bear the topics' names: by the sigmoid where it says
that it is multi-label or has one label, else by the softmax, as transformers' own pipeline does.
A model of natural-language inference answers with the probability that the text entails the
topic's hypothesis rather than contradicts it (Yin et al., 2019, multi-label).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.hf_info import HfInfo, quiet_transformers, read_hf_info
from models.info import ModelError
from models.interface import Decision

# On a GPU texts of like length share a batch; on a CPU each runs alone, as that is no slower.
GPU_BATCH = 32


class HfModel:
    """A loaded model; load it once per process."""

    def __init__(self, info: HfInfo, model: Any, device: Any) -> None:
        self._info = info
        self._model = model
        self._device = device
        self._batch = 1 if device.type == "cpu" else GPU_BATCH

    @property
    def topics(self) -> tuple[str, ...]:
        return self._info.topics

    @property
    def languages(self) -> tuple[str, ...] | None:
        return self._info.languages

    def fits(self, text: str) -> bool:
        return self._info.fits(text)

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """Probabilities, float32 [texts, topics], in the order of the texts.

        On a CPU a text's row does not depend on the other texts; on a GPU padding may change
        it by rounding. Raises ValueError for a text that does not fit.
        """
        for position, text in enumerate(texts):
            if not self.fits(text):
                limit = self._info.max_tokens
                raise ValueError(f"text {position} has more tokens than the model takes, {limit}")
        if not self._info.hypotheses:
            return self._activate(self._logits(texts, None))[:, list(self._info.columns)]
        premises = [text for text in texts for _ in self._info.hypotheses]
        logits = self._logits(premises, list(self._info.hypotheses) * len(texts))
        entailed = softmax(logits[:, list(self._info.columns)])[:, 1]
        return entailed.reshape(len(texts), len(self._info.hypotheses))

    def decide(self, texts: Sequence[str]) -> Decision:
        none = np.zeros(len(texts), bool)
        return Decision(self.score(texts), None, none, none, None)

    def _activate(self, logits: np.ndarray) -> np.ndarray:
        config = self._model.config
        if config.problem_type == "multi_label_classification" or config.num_labels == 1:
            return 0.5 * (1.0 + np.tanh(0.5 * logits))
        return softmax(logits)

    def _logits(self, texts: Sequence[str], pairs: list[str] | None) -> np.ndarray:
        """Logits, float32 [texts, labels], computed in batches of like length."""
        import torch

        logits = np.empty((len(texts), self._model.config.num_labels), np.float32)
        order = sorted(range(len(texts)), key=lambda row: len(texts[row]))
        for start in range(0, len(order), self._batch):
            rows = order[start : start + self._batch]
            tokens = self._info.tokenizer(
                [texts[row] for row in rows],
                None if pairs is None else [pairs[row] for row in rows],
                padding=len(rows) > 1,
                truncation=False,
                return_tensors="pt",
            ).to(self._device)
            with torch.inference_mode():
                logits[rows] = self._model(**tokens).logits.float().cpu().numpy()
        return logits


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of each row's labels."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True)) if len(logits) else logits
    return powers / powers.sum(axis=1, keepdims=True)


def load_hf_model(location: str, topics: tuple[tuple[str, str], ...]) -> HfModel:
    """Load a model onto the GPU if there is one. Raises ModelError."""
    info = read_hf_info(location, topics)
    import torch

    transformers = quiet_transformers()
    try:
        model, found = transformers.AutoModelForSequenceClassification.from_pretrained(
            location, trust_remote_code=False, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:  # transformers has no common base for what a bad model raises
        raise ModelError(location, error) from error
    if found["missing_keys"]:
        # transformers would fill them with random numbers and go on.
        raise ModelError(location, f"the weights lack {min(found['missing_keys'])}")
    has_gpu = torch.accelerator.is_available()
    device = torch.accelerator.current_accelerator() if has_gpu else torch.device("cpu")
    loaded = HfModel(info, model.to(device).eval(), device)
    try:
        loaded.score(["probe"])
    except Exception as error:  # torch has no common base for what a bad model raises
        raise ModelError(location, error) from error
    return loaded
