"""Reads labelled passages: .jsonl or .tsv, each mistake one line with its place."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configs.settings import UserError
from transforms.language import primary_language


@dataclass(frozen=True)
class LabelledText:
    """One passage with its topics; ``lang`` is None where the file does not say."""

    text: str
    topics: tuple[str, ...]
    lang: str | None = None


def read_labelled(path: Path, topics: tuple[str, ...]) -> list[LabelledText]:
    """The passages of a file. Raises UserError with file and line for what is malformed.

    In .jsonl each line is an object with text, topics (a list) and optionally lang; in .tsv
    it is the topics joined by commas, or none, then a tab and the text.
    """
    if path.suffix not in READERS:
        raise UserError(f"{path}: expected a .jsonl or a .tsv file")
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path}: cannot be read: {reason}") from error
    found = list(labelled_lines(path, lines, topics))
    if not found:
        raise UserError(f"{path}: no passages in the file")
    return found


def labelled_lines(path: Path, lines: list[str], topics: tuple[str, ...]) -> Iterator[LabelledText]:
    """The passages of a file's lines; empty lines are passed over."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            labelled = READERS[path.suffix](line.rstrip("\r"))
            check_labelled(labelled, topics)
        except ValueError as error:
            raise UserError(f"{path}:{number}: {error}") from error
        yield labelled


def read_json_line(line: str) -> LabelledText:
    """A line of .jsonl. Raises ValueError."""
    try:
        row: Any = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg}, character {error.pos + 1}") from error
    except RecursionError:
        raise ValueError("not JSON: nested too deep") from None
    if not isinstance(row, dict):
        raise ValueError("expected an object with text and topics")
    text, topics, lang = row.get("text"), row.get("topics"), row.get("lang")
    if not isinstance(text, str):
        raise ValueError("text is missing or not a string")
    if not isinstance(topics, list) or not all(isinstance(topic, str) for topic in topics):
        raise ValueError("topics is missing or not a list of strings")
    if lang is not None and not isinstance(lang, str):
        raise ValueError("lang is not a string")
    return LabelledText(text, tuple(topics), primary_language(lang))


def read_tsv_line(line: str) -> LabelledText:
    """A line of .tsv. Raises ValueError."""
    labels, tab, text = line.partition("\t")
    if not tab:
        raise ValueError("expected topics (or none), a tab and the text")
    topics = [] if labels.strip() == "none" else [topic.strip() for topic in labels.split(",")]
    return LabelledText(text, tuple(topics))


READERS = {".jsonl": read_json_line, ".tsv": read_tsv_line}


def check_labelled(labelled: LabelledText, topics: tuple[str, ...]) -> None:
    """Raises ValueError for an empty text or a topic that is not looked for."""
    if not labelled.text.strip():
        raise ValueError("the text is empty")
    for topic in labelled.topics:
        if topic not in topics:
            raise ValueError(f"unknown topic {topic!r}; the topics are {', '.join(topics)}")
