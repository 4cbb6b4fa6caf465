"""Passages to train on: our own, labelled files, and a reader's labels by hash of the text."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

TOPICS = ("ceasefire", "territory", "sanctions", "nato")
LANGUAGE = "en"
MODELS = Path(__file__).parents[1]
# Passages of our own, and what each counts. The senses are a topic's words in another meaning; the
# oblique ones say a topic in other words, and made the model worse at real text with full weight.
WRITTEN = {
    MODELS / "passages.jsonl": 1.0,
    MODELS / "sense_passages.jsonl": 1.0,
    MODELS / "oblique_passages.jsonl": 0.25,
}
READER_LABELS = MODELS / "reader_labels.jsonl"


class TrainingError(ValueError):
    """Files that cannot be trained on or written; one line that says which and why."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage; `document` and `outlet` are empty where its file does not say.

    second: the topics that the language model found in it, where it read it too; weight: how
    much it counts in a training, 1 as any other.
    """

    text: str
    topics: tuple[str, ...] = ()
    unsure: bool = False
    document: str = ""
    outlet: str = ""
    second: tuple[str, ...] | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a training works on.

    tested: passages that are held back in turn; written: ours, in every training if there are
    labelled files, else empty, since they are the tested ones; unlabelled: teach the first
    stage; reader: those of them that the language model labelled. It has read tested passages a
    second time, too.
    """

    tested: list[Passage]
    written: list[Passage]
    unlabelled: list[Passage]
    reader: list[Passage]

    def digest(self) -> str:
        """SHA-256 of texts and labels in their order."""
        parts = (self.tested, self.written, self.unlabelled, self.reader)
        rows = [
            [[p.text, p.topics, p.unsure, p.document, p.outlet, p.second, p.weight] for p in part]
            for part in parts
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def read_corpus(labelled: Sequence[Path], unlabelled: Path | None) -> Corpus:
    """Everything in the model's language. Raises TrainingError."""
    rows = [passage for path in labelled for passage in read_passages(path, labels=True)]
    if labelled and not rows:
        raise TrainingError(f"{labelled[0]}: no passages in {LANGUAGE!r}")
    written = [
        replace(passage, weight=weight)
        for path, weight in WRITTEN.items()
        for passage in read_passages(path, labels=True)
    ]
    texts = list(read_passages(unlabelled, labels=False)) if unlabelled else []
    known = reader_labels()
    reader = [replace(p, topics=known[digest(p.text)]) for p in texts if digest(p.text) in known]
    if not rows:
        return Corpus(written, [], texts, reader)
    read_twice = [replace(passage, second=known.get(digest(passage.text))) for passage in rows]
    return Corpus(read_twice, written, texts, reader)


def read_passages(path: Path, labels: bool) -> Iterator[Passage]:
    """The passages of a .jsonl file in the model's language; no `lang` means that one."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TrainingError(f"{path}: cannot be read: {reason}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            passage = _passage(row, labels)
        except ValueError as error:
            raise TrainingError(f"{path}:{number}: {error}") from error
        if row.get("lang") in (None, LANGUAGE):
            yield passage


def _passage(row: Any, labels: bool) -> Passage:
    if not isinstance(row, dict) or not isinstance(row.get("text"), str) or not row["text"].strip():
        raise ValueError("expected an object with a text")
    topics = row.get("topics") if labels else []
    if not isinstance(topics, list) or not set(map(str, topics)) <= set(TOPICS):
        raise ValueError(f"topics is not a list of {', '.join(TOPICS)}")
    document, outlet = (str(row.get(key) or "") for key in ("document", "outlet_group"))
    return Passage(row["text"], tuple(topics), bool(row.get("unsure")), document, outlet)


def reader_labels() -> dict[str, tuple[str, ...]]:
    """READER_LABELS: topics by the SHA-256 of a text."""
    lines = READER_LABELS.read_text(encoding="utf-8").splitlines()
    return {row["sha256"]: tuple(row["topics"]) for row in map(json.loads, lines)}


def digest(text: str) -> str:
    """The text's SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def targets(passages: Sequence[Passage]) -> np.ndarray:
    """Labels, bool [passages, topics]."""
    rows = [[topic in passage.topics for topic in TOPICS] for passage in passages]
    return np.array(rows, bool).reshape(len(passages), len(TOPICS))


def taught(passages: Sequence[Passage]) -> np.ndarray:
    """What a training aims at, float32 [passages, topics]: the mean of label and second reading."""
    second = [Passage(p.text, p.topics if p.second is None else p.second) for p in passages]
    return ((targets(passages) + targets(second).astype(np.float32)) / 2).astype(np.float32)
