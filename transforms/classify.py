"""Classifies passages by topic, through Beam's RunInference."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from models.topic_model import TopicModel, load_topic_model
from schemas.records import ClassifiedArticle, SplitArticle, TopicScores
from transforms.count import count

UNSUPPORTED = TopicScores(None, None)


@dataclasses.dataclass(frozen=True)
class TopicPolicy:
    """Which model scores passages, and the threshold from which a topic counts."""

    model_dir: str
    thresholds: tuple[tuple[str, float], ...]


def label_passage(scores: dict[str, float], thresholds: dict[str, float]) -> TopicScores:
    """One passage's scores with the topics that reach their threshold, in the order configured."""
    return TopicScores(
        topics=tuple(topic for topic, least in thresholds.items() if scores[topic] >= least),
        scores=tuple((topic, scores[topic]) for topic in thresholds),
    )


def reads(model: TopicModel, lang: str | None) -> bool:
    """Whether the model reads a language; None is a text too short to tell, and tried."""
    return lang is None or lang in model.info.languages


class TopicModelHandler(ModelHandler[SplitArticle, PredictionResult, TopicModel]):
    """Scores all passages of a batch of articles with one call of the model.

    An element is a whole article, so that its passages stay together. The model's scores
    do not depend on how passages are batched.
    """

    def __init__(self, policy: TopicPolicy):
        super().__init__()
        self._policy = policy

    def load_model(self) -> TopicModel:
        return load_topic_model(self._policy.model_dir)

    def batch_elements_kwargs(self) -> dict[str, int]:
        return {"min_batch_size": 1, "max_batch_size": 8}

    def run_inference(
        self,
        batch: Sequence[SplitArticle],
        model: TopicModel,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterator[PredictionResult]:
        readable = [a for a in batch if reads(model, a.article.lang)]
        rows = iter(model.score([p.text for a in readable for p in a.passages]))
        thresholds = dict(self._policy.thresholds)
        name = f"{model.info.name} {model.info.version}"
        for split in batch:
            if reads(model, split.article.lang):
                scores = [
                    dict(zip(model.info.topics, next(rows).tolist(), strict=True))
                    for _ in split.passages
                ]
                results = tuple(label_passage(one, thresholds) for one in scores)
            else:
                results = (UNSUPPORTED,) * len(split.passages)
            yield PredictionResult(split, ClassifiedArticle(split, results, name))


def classified_article(prediction: PredictionResult) -> ClassifiedArticle:
    """The classified article in a prediction; counts its hits."""
    classified: ClassifiedArticle = prediction.inference
    for result in classified.results:
        count("passages_unsupported", int(result.topics is None))
        count("passages_hit", int(bool(result.topics)))
        for topic in result.topics or ():
            count(f"hits_{topic}")
    return classified


@beam.typehints.with_input_types(SplitArticle)
@beam.typehints.with_output_types(ClassifiedArticle)
class ClassifyPassages(beam.PTransform):
    """Split articles with a score per topic on each passage."""

    def __init__(self, policy: TopicPolicy):
        super().__init__()
        self._handler = TopicModelHandler(policy)

    def expand(self, pcoll):
        return (
            pcoll
            | "Score" >> RunInference(self._handler)
            | "Label" >> beam.Map(classified_article).with_output_types(ClassifiedArticle)
        )
