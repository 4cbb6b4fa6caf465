"""What is known of a Hugging Face model before its weights are loaded.

Needs the extra [hf]. Nothing of a text is ever cut: a passage that does not fit is for the
caller to split.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import frontmatter
import yaml

from models.info import ModelError

HF_THRESHOLD = 0.5
# Positions of these count from the padding id: 514 rows hold 512 tokens.
OFFSET_POSITIONS = ("roberta", "camembert", "mpnet", "longformer", "xmod", "data2vec", "ibert")
FALLBACK_TOKENS = 512


@dataclass(frozen=True)
class HfInfo:
    """A model's configuration and tokenizer, and how its labels answer for the topics.

    `hypotheses` holds one sentence a topic for a model of natural-language inference, and is
    empty for one that has the topics among its labels; `columns` then gives theirs.
    """

    name: str
    digest: str
    languages: tuple[str, ...] | None
    max_tokens: int
    topics: tuple[str, ...]
    columns: tuple[int, ...]
    hypotheses: tuple[str, ...]
    config: Any
    tokenizer: Any

    def fits(self, text: str) -> bool:
        """Whether the model takes the text whole, with the longest hypothesis beside it."""
        longest = max(self.hypotheses, key=len, default=None)
        return len(self.tokenizer(text, longest, truncation=False)["input_ids"]) <= self.max_tokens


def read_hf_info(location: str, topics: tuple[tuple[str, str], ...]) -> HfInfo:
    """Read a model's configuration and tokenizer, from disk or from the hub. Raises ModelError."""
    check_location(location)
    transformers = quiet_transformers()
    try:
        config = transformers.AutoConfig.from_pretrained(location, trust_remote_code=False)
        tokenizer = transformers.AutoTokenizer.from_pretrained(location, trust_remote_code=False)
        card = transformers.utils.cached_file(
            location,
            "README.md",
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except Exception as error:  # transformers has no common base for what a bad model raises
        raise ModelError(location, error) from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        # Without its files transformers makes an empty tokenizer and goes on.
        raise ModelError(location, "the tokenizer has no vocabulary; its files are missing")
    columns, hypotheses = match_labels(location, config.id2label, topics)
    commit = getattr(config, "_commit_hash", None)
    digest = commit or folder_digest(Path(location))
    return HfInfo(
        name=f"{Path(location).name if Path(location).is_dir() else location} {digest[:12]}",
        digest=digest,
        languages=card_languages(card),
        max_tokens=token_limit(config, tokenizer),
        topics=tuple(name for name, _ in topics),
        columns=columns,
        hypotheses=hypotheses,
        config=config,
        tokenizer=tokenizer,
    )


def check_location(location: str) -> None:
    """Raises ModelError where there is no such folder, or the extra is not installed."""
    looks_like_path = location.startswith((".", "/", "~")) or location.count("/") > 1
    if looks_like_path and not Path(location).is_dir():
        raise ModelError(location, "no such folder")
    missing = [name for name in ("torch", "transformers") if not importlib.util.find_spec(name)]
    if missing:
        kind = "a Hugging Face model" if Path(location).is_dir() else "no such folder; a hub model"
        raise ModelError(location, f"{kind} needs the extra [hf]: pip install 'wirewatch[hf]'")


def quiet_transformers() -> Any:
    """The library, without its progress bars and warnings."""
    import huggingface_hub
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    huggingface_hub.utils.logging.set_verbosity_error()
    return transformers


def match_labels(
    location: str, labels: dict[int, str], topics: tuple[tuple[str, str], ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The column of each topic, or else a hypothesis for each; by name, whatever its case.

    For a model of inference the columns are those of contradiction and entailment.
    Raises ModelError where the labels answer for neither.
    """
    by_name = {label.casefold().strip(): column for column, label in labels.items()}
    missing = [name for name, _ in topics if name.casefold() not in by_name]
    if not missing:
        return tuple(by_name[name.casefold()] for name, _ in topics), ()
    entails = [column for name, column in by_name.items() if name.startswith("entail")]
    denies = [column for name, column in by_name.items() if name.startswith(("contra", "not_ent"))]
    if entails and denies:
        return (denies[0], entails[0]), tuple(hypothesis(*topic) for topic in topics)
    shown = ", ".join(list(labels.values())[:8])
    raise ModelError(location, f"topic {missing[0]!r} is not among its labels: {shown}")


def hypothesis(name: str, definition: str) -> str:
    """The sentence whose entailment says that a text is on a topic."""
    about = definition.strip().rstrip(".") or name
    return (
        f"This text is about {name}: {about}." if about != name else f"This text is about {name}."
    )


def token_limit(config: Any, tokenizer: Any) -> int:
    """How many tokens the model takes, special tokens included, by its own account."""
    positions = getattr(config, "max_position_embeddings", None) or FALLBACK_TOKENS
    if any(kind in config.model_type for kind in OFFSET_POSITIONS):
        positions -= config.pad_token_id + 1
    return int(min(positions, tokenizer.model_max_length))


def card_languages(card: str | None) -> tuple[str, ...] | None:
    """The languages that a model card states; None where it names none, or not by code."""
    if card is None:
        return None
    try:
        stated = frontmatter.load(card).get("language")
    except (OSError, ValueError, yaml.YAMLError):  # a card that is not UTF-8 or not YAML
        return None
    languages = [stated] if isinstance(stated, str) else stated or []
    is_code = all(isinstance(code, str) and len(code) == 2 for code in languages)
    return tuple(languages) if languages and is_code else None


def folder_digest(folder: Path) -> str:
    """SHA-256 over the files of a model folder that decide its scores."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.suffix in (".json", ".safetensors", ".bin", ".model", ".txt"):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()
