"""``wirewatch topics fit``: fits the heads of the custom topics of topics.yaml."""

import sys
from pathlib import Path

import numpy as np

from configs.settings import UserError, load_settings
from configs.topics import Topic, load_topics, topics_file
from models.custom import CustomFigures, cross_validate, fit_head, other_texts, read_background
from models.encoder import Encoder
from models.fitted import CUSTOM_THRESHOLD, FITTED_FILE, FittedHead, examples_id, write_fitted
from models.info import ModelError, ModelInfo, read_model_info
from models.topic_model import load_features
from pipelines.arguments import Parser
from pipelines.policy import model_location


def fit(arguments: list[str]) -> int:
    """Fits every custom topic and prints its cross-validated figures."""
    parser = Parser("topics fit")
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    flags = parser.parse_args(arguments)
    settings, config = load_settings(flags.config)
    path = topics_file(config)
    topics = [topic for topic in load_topics(config, None) if topic.is_custom]
    if not topics:
        print(f"{path}: no topic has examples; nothing to fit")
        return 0
    try:
        location = model_location(settings, config)
        info, encoder = read_model_info(location), load_features(location)
    except ModelError as error:
        raise UserError(f"model: {error}") from error
    check_fit(path, info, encoder, topics)
    heads = fit_topics(info, encoder, topics)
    target = path.with_name(FITTED_FILE)
    try:
        write_fitted(target, heads)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}") from error
    print(f"\nWritten to {target}")
    return 0


def check_fit(path: Path, info: ModelInfo, encoder: Encoder, topics: list[Topic]) -> None:
    """Raises UserError for a topic that the model has itself, or an example it cannot take."""
    for topic in topics:
        if topic.name in info.topics:
            raise UserError(f"{path}: topic {topic.name!r}: the model has a head of its own for it")
        for key in ("positive", "negative"):
            for number, example in enumerate(getattr(topic, key)):
                if not encoder.tokenizer.fits(example):
                    raise UserError(
                        f"{path}: topic {topic.name!r}: {key}[{number}]: longer than the "
                        f"{info.max_tokens} tokens that the model takes"
                    )


def fit_topics(info: ModelInfo, encoder: Encoder, topics: list[Topic]) -> list[FittedHead]:
    """The heads of the topics; prints their figures."""
    texts = [text for text in read_background() if encoder.tokenizer.fits(text)]
    print(f"reading {len(texts):,} passages of other topics", file=sys.stderr)
    embedded = dict(zip(texts, encoder.embed(texts), strict=True))
    width = max(len(topic.name) for topic in topics)
    print(f"{'topic':<{width}}  examples  precision  recall     F1  other passages hit")
    heads = []
    for topic in topics:
        examples = (*topic.positive, *topic.negative)
        others = np.array([embedded[text] for text in other_texts(texts, examples)])
        positive, negative = encoder.embed(topic.positive), encoder.embed(topic.negative)
        weights, bias = fit_head(positive, negative, others)
        least = CUSTOM_THRESHOLD if topic.threshold is None else topic.threshold
        figures = cross_validate(positive, negative, others, least)
        print(f"{topic.name:<{width}}  {len(examples):8}  {figure_columns(figures)}")
        heads.append(
            FittedHead(
                topic.name,
                examples_id(topic.positive, topic.negative),
                info.encoder_id,
                bias,
                tuple(weights.tolist()),
            )
        )
    return heads


def figure_columns(figures: CustomFigures) -> str:
    """The cross-validated figures of a topic as columns."""
    return (
        f"{figures.precision:9.2f}  {figures.recall:6.2f}  {figures.f1:5.2f}  "
        f"{figures.background_hit:18.2f}"
    )
