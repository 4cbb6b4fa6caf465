"""What the pipeline asks of any model, and how a model is named."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from models.info import ENCODER_FILE, HEADS_FILE, TopicHead

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ModelSpec:
    """Which model to open, and how; all values, so that it can travel to workers.

    `topics` are name and definition of what is looked for; `custom` holds the fitted heads
    among them. `first_stage` False sends every passage to the encoder.
    """

    location: str
    topics: tuple[tuple[str, str], ...]
    custom: tuple[TopicHead, ...] = ()
    first_stage: bool = True

    @property
    def is_ours(self) -> bool:
        """Whether this is a folder of ours, whole or not, and not a Hugging Face model."""
        folder = Path(self.location)
        is_hf = (folder / "config.json").exists()
        if (folder / HEADS_FILE).exists() or (folder / ENCODER_FILE).exists():
            is_hf = False
        return folder.is_dir() and not is_hf


@dataclass(frozen=True, slots=True)
class Decision:
    """Probabilities of passages, and how each came about.

    `scores` is float32 [n, topics]. `gate` holds the first stage's own scores for the model's
    own topics, None where there is none; `stopped` says which passages it kept from the
    encoder, those whose highest score is below `least`; `judged` says which the judge decided,
    since the encoder was unsure of them.
    """

    scores: "np.ndarray"
    gate: "np.ndarray | None"
    stopped: "np.ndarray"
    judged: "np.ndarray"
    least: float | None


class PassageModel(Protocol):
    """A loaded model: probabilities of topics for passages that it takes whole."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics in the order of a score's columns."""

    @property
    def languages(self) -> tuple[str, ...] | None:
        """ISO 639-1 codes of the languages it reads; None where it does not say."""

    def fits(self, text: str) -> bool:
        """Whether it takes the text whole: it never truncates."""

    def score(self, texts: Sequence[str]) -> "np.ndarray":
        """Probabilities, float32 [texts, topics]. Raises ValueError for one that does not fit."""

    def decide(self, texts: Sequence[str]) -> Decision:
        """As `score`, with how each came about."""
