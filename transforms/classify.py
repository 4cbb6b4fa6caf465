"""Classifies passages by topic, through Beam's RunInference."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from models.interface import ModelSpec, PassageModel
from models.load import shared_model
from schemas.records import ClassifiedArticle, SplitArticle, TopicScores
from transforms.count import count
from transforms.language import passage_language
from transforms.split import split_text

UNSUPPORTED = TopicScores(None, None)
# The length of passages by default, and of the windows of a text that the model cannot take.
WINDOW_CHARS = 700
# A passage and the language of its article.
Passages = Sequence[tuple[str, str | None]]


@dataclasses.dataclass(frozen=True)
class TopicPolicy:
    """Which model scores passages, and the threshold from which a topic counts.

    ``label`` stands in the table: the model's name and version, and after a ``+`` a hash
    of everything that decides the scores and topics.
    """

    model: ModelSpec
    thresholds: tuple[tuple[str, float], ...]
    label: str


def label_passage(scores: dict[str, float], thresholds: dict[str, float]) -> TopicScores:
    """One passage's scores with the topics that reach their threshold, in the order configured."""
    return TopicScores(
        topics=tuple(topic for topic, least in thresholds.items() if scores[topic] >= least),
        scores=tuple((topic, scores[topic]) for topic in thresholds),
    )


def reads(model: PassageModel, lang: str | None) -> bool:
    """Whether the model reads a language; None is a text too short to tell, and tried."""
    return lang is None or model.languages is None or lang in model.languages


def text_windows(text: str, fits: Callable[[str], bool]) -> list[str]:
    """The text, or the parts of a longer one that the model takes whole, cut as passages are."""
    if fits(text):
        return [text]
    return [passage.text for passage in split_text(text.strip(), 1, WINDOW_CHARS, fits)]


def score_windows(model: PassageModel, texts: Sequence[str]) -> np.ndarray:
    """As ``model.score``, for texts of any length: the best of a long text's windows counts."""
    windows = [text_windows(text, model.fits) for text in texts]
    scores = model.score([window for parts in windows for window in parts])
    ends = np.cumsum([len(parts) for parts in windows])
    parts = np.split(scores, ends[:-1]) if texts else []
    return np.array([part.max(axis=0) for part in parts], np.float32)


def label_passages(
    model: PassageModel, policy: TopicPolicy, passages: Passages, whole: bool = True
) -> list[TopicScores]:
    """The scores and topics of passages; ``whole`` says that each is known to fit the model."""
    languages = [passage_language(text, lang) for text, lang in passages]
    readable = [
        text for (text, _), lang in zip(passages, languages, strict=True) if reads(model, lang)
    ]
    rows = iter(model.score(readable) if whole else score_windows(model, readable))
    thresholds = dict(policy.thresholds)
    return [
        label_passage(dict(zip(model.topics, next(rows).tolist(), strict=True)), thresholds)
        if reads(model, lang)
        else UNSUPPORTED
        for lang in languages
    ]


class TopicModelHandler(ModelHandler[Any, PredictionResult, PassageModel]):
    """Scores all passages of an element; ``passages_of`` takes them out of it.

    An element is a whole article or file, so that its passages stay together. The model's
    scores do not depend on how passages are batched.
    """

    def __init__(
        self, policy: TopicPolicy, passages_of: Callable[[Any], Passages], whole: bool = True
    ):
        super().__init__()
        self._policy = policy
        self._passages_of = passages_of
        self._whole = whole

    def load_model(self) -> PassageModel:
        return shared_model(self._policy.model, self._policy.label)

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": 1, "max_batch_size": 8 if self._whole else 1}

    def run_inference(
        self,
        batch: Sequence[Any],
        model: PassageModel,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        for element in batch:
            passages = self._passages_of(element)
            results = label_passages(model, self._policy, passages, self._whole)
            yield PredictionResult(element, tuple(results))


def article_passages(split: SplitArticle) -> Passages:
    """The passages of a split article, with its language."""
    return [(passage.text, split.article.lang) for passage in split.passages]


def count_results(results: Sequence[TopicScores]) -> None:
    """Adds results to the run's counters."""
    for result in results:
        count("passages_unsupported", int(result.topics is None))
        count("passages_hit", int(bool(result.topics)))
        for topic in result.topics or ():
            count(f"hits_{topic}")


def classified_article(prediction: PredictionResult, model: str) -> ClassifiedArticle:
    """The classified article in a prediction; counts its hits."""
    count_results(prediction.inference)
    return ClassifiedArticle(prediction.example, prediction.inference, model)


@beam.typehints.with_input_types(SplitArticle)
@beam.typehints.with_output_types(ClassifiedArticle)
class ClassifyPassages(beam.PTransform):
    """Split articles with a score per topic on each passage."""

    def __init__(self, policy: TopicPolicy):
        super().__init__()
        self._policy = policy

    def expand(self, pcoll):
        label = beam.Map(classified_article, self._policy.label)
        return (
            pcoll
            | "Score" >> RunInference(TopicModelHandler(self._policy, article_passages))
            | "Label" >> label.with_output_types(ClassifiedArticle)
        )
