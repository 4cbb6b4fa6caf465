"""topics.fitted.json: the heads of custom topics, beside the topics.yaml they come from.

A head is found by the hash of its topic's examples and by the encoder it was fitted on, so that
a topic may be renamed or removed without fitting again, and a changed one cannot be mistaken.
Loads no numpy.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.info import ModelError, TopicHead, field

FITTED_FILE = "topics.fitted.json"
# The probability from which a custom topic counts where it names no threshold.
CUSTOM_THRESHOLD = 0.5


@dataclass(frozen=True)
class FittedHead:
    """One fitted head; `topic` is the name it had then, for people."""

    topic: str
    examples: str
    encoder: str
    bias: float
    weights: tuple[float, ...]


def examples_id(positive: Sequence[str], negative: Sequence[str]) -> str:
    """A hash of a topic's examples."""
    content = json.dumps([list(positive), list(negative)], ensure_ascii=False)
    return hashlib.sha256(content.encode()).hexdigest()


def read_fitted(path: Path) -> tuple[FittedHead, ...]:
    """The heads of a file, none where there is no file. Raises ModelError."""
    try:
        heads = field(json.loads(path.read_text(encoding="utf-8")), "heads", list)
        return tuple(map(_parse_head, heads))
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(path, error) from error


def _parse_head(data: Any) -> FittedHead:
    topic, examples, encoder = (field(data, key, str) for key in ("topic", "examples", "encoder"))
    weights = tuple(map(float, field(data, "weights", list)))
    return FittedHead(topic, examples, encoder, field(data, "bias", float), weights)


def write_fitted(path: Path, heads: Sequence[FittedHead]) -> None:
    """Writes the file, whole or not at all. Raises OSError."""
    temporary = path.with_name(f".{path.name}.tmp")
    content = {"heads": [asdict(head) for head in heads]}
    try:
        temporary.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def find_head(
    fitted: Sequence[FittedHead], examples: str, encoder: str, topic: str, threshold: float
) -> TopicHead | None:
    """The head fitted on these examples with this encoder, under the topic's name of today."""
    for head in fitted:
        if (head.examples, head.encoder) == (examples, encoder):
            return TopicHead(topic, head.weights, head.bias, threshold)
    return None
