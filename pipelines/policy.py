"""From configuration to a topic policy: the model, its thresholds and the custom heads."""

import dataclasses
from pathlib import Path

from configs.settings import Settings, UserError, load_settings
from configs.topics import Topic, load_topics, topics_file
from models import DEFAULT_MODEL
from models.fitted import (
    CUSTOM_THRESHOLD,
    FITTED_FILE,
    FittedHead,
    examples_id,
    find_head,
    read_fitted,
)
from models.info import ModelError, TopicHead
from models.interface import ModelSpec, PassageModel
from models.load import ModelFacts, fingerprint, read_facts, shared_model
from transforms.classify import TopicPolicy

FIT = "run: wirewatch topics fit"


def read_policy(config: Path | None, model: str | None = None) -> tuple[TopicPolicy, Path]:
    """The policy of a configuration file, and that file; ``model`` takes the place of its model.

    Raises UserError.
    """
    settings, path = load_settings(config)
    topics = load_topics(path, settings.topics)
    return topic_policy(settings, path, topics, model), path


def topic_policy(
    settings: Settings, config: Path, topics: tuple[Topic, ...], model: str | None = None
) -> TopicPolicy:
    """The model and the thresholds to use. Raises UserError where they do not match."""
    location = model or model_location(settings, config)
    spec = ModelSpec(location, tuple((topic.name, topic.definition) for topic in topics))
    try:
        facts = read_facts(spec)
        fitted = topics_file(config).with_name(FITTED_FILE)
        custom = custom_heads(topics, facts, location, fitted)
    except ModelError as error:
        raise UserError(f"model: {error}") from error
    own = facts.thresholds | {head.topic: head.threshold for head in custom}
    for topic in topics:
        if topic.name not in own:
            raise UserError(
                f"topics: the model {location} has no topic {topic.name!r}; give it positive "
                f"and negative examples in {topics_file(config)}"
            )
    thresholds = tuple(
        (topic.name, own[topic.name] if topic.threshold is None else topic.threshold)
        for topic in topics
    )
    # The first stage's recall is known for the model's own thresholds only.
    is_lowered = any(least < own[name] for name, least in thresholds)
    spec = dataclasses.replace(spec, custom=custom, first_stage=not is_lowered)
    label = f"{facts.name}+{fingerprint(facts.digest, thresholds, custom, spec.first_stage)}"
    return TopicPolicy(spec, thresholds, label)


def model_location(settings: Settings, config: Path) -> str:
    """The model a configuration names: a folder, counted from its file's, or a hub id."""
    if settings.model is None:
        return str(DEFAULT_MODEL)
    beside = config.parent / settings.model
    return str(beside) if beside.is_dir() else settings.model


def custom_heads(
    topics: tuple[Topic, ...], facts: ModelFacts, location: str, path: Path
) -> tuple[TopicHead, ...]:
    """The fitted heads of the custom topics. Raises UserError for one that is not fitted."""
    custom = [topic for topic in topics if topic.is_custom]
    if facts.encoder_id is None:
        return ()  # A Hugging Face model answers for every topic by itself.
    fitted = read_fitted(path) if custom else ()
    heads = []
    for topic in custom:
        if topic.name in facts.thresholds:
            raise UserError(
                f"topics: {topic.name!r} has examples, but the model {location} has a head of "
                "its own for it; take the examples out or rename the topic"
            )
        examples = examples_id(topic.positive, topic.negative)
        head = find_head(fitted, examples, facts.encoder_id, topic.name, CUSTOM_THRESHOLD)
        if head is None:
            raise UserError(f"topics: {topic.name!r} {why_unfitted(topic, fitted)}; {FIT}")
        heads.append(head)
    return tuple(heads)


def why_unfitted(topic: Topic, fitted: tuple[FittedHead, ...]) -> str:
    """Why there is no head for a custom topic."""
    examples = examples_id(topic.positive, topic.negative)
    if any(head.examples == examples for head in fitted):
        return "was fitted on another model"
    if any(head.topic == topic.name for head in fitted):
        return "was fitted on other examples"
    return "is not fitted yet"


def open_model(policy: TopicPolicy) -> PassageModel:
    """The loaded model of a policy. Raises UserError where it cannot be used."""
    try:
        return shared_model(policy.model, policy.label)
    except ModelError as error:
        raise UserError(f"model: {error}") from error
