"""Reads topics.yaml into frozen, validated topics."""

from pathlib import Path

import pydantic

from configs.settings import PACKAGED, Strict, UserError, validate

MIN_EXAMPLES = 8


class Topic(Strict):
    """A topic to look for; ``threshold`` replaces the model's own where given.

    One with examples is a custom topic: ``wirewatch topics fit`` fits a head for it.
    """

    name: str
    definition: str = ""
    threshold: float | None = pydantic.Field(None, ge=0, le=1)
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    @property
    def is_custom(self) -> bool:
        """Whether its head is fitted on its own examples."""
        return bool(self.positive or self.negative)

    @pydantic.field_validator("name")
    @classmethod
    def _plain_name(cls, name: str) -> str:
        if not name or name != name.strip() or not name.isprintable() or "," in name:
            raise ValueError(f"{name!r} is not a name: one line, without commas or outer spaces")
        if name == "none":
            raise ValueError("'none' stands for no topic")
        return name

    @pydantic.model_validator(mode="after")
    def _enough_examples(self) -> "Topic":
        if self.is_custom:
            for key in ("positive", "negative"):
                check_examples(self, key)
            if not self.definition.strip():
                raise ValueError(f"topic {self.name!r}: definition: one line is needed")
            both = set(self.positive) & set(self.negative)
            if both:
                raise ValueError(f"topic {self.name!r}: negative: {excerpt(min(both))} is positive")
        return self


def check_examples(topic: Topic, key: str) -> None:
    """Raises ValueError, naming topic and key, where there are too few examples or bad ones."""
    examples = getattr(topic, key)
    where = f"topic {topic.name!r}: {key}"
    if len(examples) < MIN_EXAMPLES:
        raise ValueError(f"{where}: {len(examples)} examples; {MIN_EXAMPLES} or more are needed")
    seen: set[str] = set()
    for number, example in enumerate(examples):
        if not example.strip():
            raise ValueError(f"{where}[{number}]: the example is empty")
        if example in seen:
            raise ValueError(f"{where}[{number}]: {excerpt(example)} is there twice")
        seen.add(example)


def excerpt(text: str) -> str:
    """The beginning of a text, for a message."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


class TopicFile(Strict):
    """The content of topics.yaml."""

    topics: tuple[Topic, ...] = pydantic.Field(min_length=1)

    @pydantic.field_validator("topics")
    @classmethod
    def _each_once(cls, topics: tuple[Topic, ...]) -> tuple[Topic, ...]:
        names = [topic.name for topic in topics]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"{repeated[0]!r} is defined twice")
        return topics


def topics_file(config: Path) -> Path:
    """The topics.yaml that a configuration uses: the one beside it, else the shipped one."""
    beside, shipped = topics_files(config)
    return beside if beside.exists() else shipped


def topics_files(config: Path) -> tuple[Path, Path]:
    """Where the topics.yaml of a configuration may be: beside it, or with the package."""
    return config.parent / "topics.yaml", PACKAGED / "topics.yaml"


def load_topics(config: Path, chosen: tuple[str, ...] | None) -> tuple[Topic, ...]:
    """The chosen topics (all when None) of the topics.yaml beside ``config``, else the shipped one.

    Raises UserError for an unknown name.
    """
    path = topics_file(config)
    topics = {topic.name: topic for topic in validate(TopicFile, path).topics}
    names = tuple(topics) if chosen is None else tuple(dict.fromkeys(chosen))
    for name in names:
        if name not in topics:
            raise UserError(
                f"{config}: topics: unknown topic {name!r}; {path} has " + ", ".join(topics)
            )
    return tuple(topics[name] for name in names)
