"""How well scores agree with labels: precision, recall, F1, calibration, off-topic hits.

Twenty lines of numpy, so that evaluating a model needs no further dependency.
"""

from dataclasses import dataclass

import numpy as np

BINS = 10


@dataclass(frozen=True)
class TopicFigures:
    """One topic's figures; `support` is the number of passages labelled with it.

    A ratio of nothing to nothing is 0, except that F1 is None where a topic neither stands
    in the labels nor is found.
    """

    precision: float
    recall: float
    f1: float | None
    support: int
    ece: float


@dataclass(frozen=True)
class Figures:
    """Figures over a set of passages; `off_topic_hit` is None where every passage has a topic."""

    passages: int
    macro_f1: float | None
    off_topic_hit: float | None
    topics: dict[str, TopicFigures]


def topic_figures(labels: np.ndarray, hits: np.ndarray, scores: np.ndarray) -> TopicFigures:
    """The figures of one topic, from its columns: bool, bool and probabilities."""
    right, found, support = int((labels & hits).sum()), int(hits.sum()), int(labels.sum())
    return TopicFigures(
        precision=right / max(1, found),
        recall=right / max(1, support),
        f1=2 * right / (found + support) if found + support else None,
        support=support,
        ece=calibration_error(labels, scores),
    )


def calibration_error(labels: np.ndarray, scores: np.ndarray, bins: int = BINS) -> float:
    """Expected calibration error of one topic's probabilities.

    As Guo, Pleiss, Sun and Weinberger define it (On Calibration of Modern Neural Networks,
    ICML 2017, equation 3), for the probability of the topic: scores fall into ``bins`` bins of
    equal width, and the error is the mean over bins, weighted by their number of passages, of
    the distance between the share of passages that have the topic and the mean score.
    """
    if not len(scores):
        return 0.0
    numbers = np.minimum((scores * bins).astype(int), bins - 1)
    error = 0.0
    for number in np.unique(numbers):
        inside = numbers == number
        error += inside.mean() * abs(labels[inside].mean() - scores[inside].mean())
    return float(error)


def passage_figures(
    topics: tuple[str, ...], labels: np.ndarray, hits: np.ndarray, scores: np.ndarray
) -> Figures:
    """Figures from labels, hits (bool) and probabilities, all [passages, topics].

    macro_f1 is the mean over the topics that stand in the labels or are found.
    """
    by_topic = {
        topic: topic_figures(labels[:, column], hits[:, column], scores[:, column])
        for column, topic in enumerate(topics)
    }
    defined = [one.f1 for one in by_topic.values() if one.f1 is not None]
    off_topic = hits[~labels.any(axis=1)]
    return Figures(
        passages=len(labels),
        macro_f1=float(np.mean(defined)) if defined else None,
        off_topic_hit=float(off_topic.any(axis=1).mean()) if len(off_topic) else None,
        topics=by_topic,
    )
