"""Opens any model that a configuration may name, behind one interface.

A folder with heads.json is a topic model of ours (models/topic_model.py); anything else is a
Hugging Face model, in a folder or on the hub (models/hf_model.py).
"""

import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from models.info import read_model_info
from models.interface import ModelSpec, PassageModel


@dataclass(frozen=True)
class ModelFacts:
    """What can be said of a model without running it.

    `thresholds` gives every topic that the model itself has a head for; `encoder_id` is None
    where it has no embeddings to fit a topic on. `digest` changes with the model's files.
    """

    name: str
    digest: str
    languages: tuple[str, ...] | None
    thresholds: dict[str, float]
    encoder_id: str | None


def read_facts(spec: ModelSpec) -> ModelFacts:
    """The facts of a model, its files checked. Raises ModelError."""
    if spec.is_ours:
        info = read_model_info(spec.location)
        thresholds = {head.topic: head.threshold for head in info.heads}
        name = f"{info.name} {info.version}"
        return ModelFacts(name, info.digest, info.languages, thresholds, info.encoder_id)
    from models.hf_info import HF_THRESHOLD, read_hf_info

    found = read_hf_info(spec.location, spec.topics)
    thresholds = {topic: HF_THRESHOLD for topic, _ in spec.topics}
    return ModelFacts(found.name, found.digest, found.languages, thresholds, None)


def load_model(spec: ModelSpec) -> PassageModel:
    """Load the model of a spec. Raises ModelError."""
    if spec.is_ours:
        from models.topic_model import load_topic_model

        return load_topic_model(spec.location, 1, spec.custom, spec.first_stage)
    from models.hf_model import load_hf_model

    return load_hf_model(spec.location, spec.topics)


@functools.lru_cache(maxsize=1)
def shared_model(spec: ModelSpec, label: str) -> PassageModel:
    """As `load_model`, once a process; `label` changes with the model's files."""
    return load_model(spec)


def load_fits(spec: ModelSpec) -> Callable[[str], bool]:
    """Whether the model takes a text whole, found without its weights. Raises ModelError."""
    if spec.is_ours:
        from models.topic_model import load_tokenizer

        return load_tokenizer(spec.location).fits
    from models.hf_info import read_hf_info

    return read_hf_info(spec.location, spec.topics).fits


def fingerprint(*values: object) -> str:
    """Eight hex digits that change with any of the values; equal on every machine."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:8]
