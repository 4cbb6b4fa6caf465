"""Passages to train on: our own, labelled files, and a reader's labels by hash of the text."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

TOPICS = ("ceasefire", "territory", "sanctions", "nato")
LANGUAGE = "en"
WRITTEN = Path(__file__).parents[1] / "passages.jsonl"
READER_LABELS = Path(__file__).parents[1] / "reader_labels.jsonl"


class TrainingError(ValueError):
    """Files that cannot be trained on or written; one line that says which and why."""


@dataclass(frozen=True, slots=True)
class Passage:
    """One passage; `document` and `outlet` are empty where its file does not say."""

    text: str
    topics: tuple[str, ...] = ()
    unsure: bool = False
    document: str = ""
    outlet: str = ""


@dataclass(frozen=True, slots=True)
class Corpus:
    """What a training works on.

    tested: passages that are held back in turn; written: ours, in every training if there are
    labelled files, else empty, since they are the tested ones; unlabelled: teach the first
    stage; reader: those of them that the language model labelled.
    """

    tested: list[Passage]
    written: list[Passage]
    unlabelled: list[Passage]
    reader: list[Passage]

    def digest(self) -> str:
        """SHA-256 of texts and labels in their order."""
        parts = (self.tested, self.written, self.unlabelled, self.reader)
        rows = [
            [[p.text, p.topics, p.unsure, p.document, p.outlet] for p in part] for part in parts
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def read_corpus(labelled: Sequence[Path], unlabelled: Path | None) -> Corpus:
    """Everything in the model's language. Raises TrainingError."""
    rows = [passage for path in labelled for passage in read_passages(path, labels=True)]
    if labelled and not rows:
        raise TrainingError(f"{labelled[0]}: no passages in {LANGUAGE!r}")
    written = list(read_passages(WRITTEN, labels=True))
    texts = list(read_passages(unlabelled, labels=False)) if unlabelled else []
    reader = with_reader_labels(texts)
    if not rows:
        return Corpus(written, [], texts, reader)
    return Corpus(rows, written, texts, reader)


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


def with_reader_labels(passages: Sequence[Passage]) -> list[Passage]:
    """Those of the passages that READER_LABELS knows by the SHA-256 of their text."""
    lines = READER_LABELS.read_text(encoding="utf-8").splitlines()
    known = {row["sha256"]: tuple(row["topics"]) for row in map(json.loads, lines)}
    found = []
    for passage in passages:
        topics = known.get(hashlib.sha256(passage.text.encode()).hexdigest())
        if topics is not None:
            found.append(Passage(passage.text, topics, False, passage.document, passage.outlet))
    return found


def targets(passages: Sequence[Passage]) -> np.ndarray:
    """Labels, bool [passages, topics]."""
    rows = [[topic in passage.topics for topic in TOPICS] for passage in passages]
    return np.array(rows, bool).reshape(len(passages), len(TOPICS))
