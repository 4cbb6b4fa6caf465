"""The rows that records become in the tables of the lake, and their partitions."""

import dataclasses
from collections.abc import Iterator
from datetime import date, datetime

from schemas.records import Check, ClassifiedArticle, DeadLetter, Poll
from schemas.tables import PASSAGES, stable_id


def passage_rows(classified: ClassifiedArticle) -> Iterator[dict]:
    """The rows of ``PASSAGES`` for one article, in reading order."""
    article = classified.split.article
    shared = dataclasses.asdict(article)
    del shared["text"], shared["look"]
    signature = shared.pop("signature")
    for passage, result in zip(classified.split.passages, classified.results, strict=True):
        yield {
            **shared,
            **dataclasses.asdict(passage),
            "passage_id": stable_id(article.article_id, article.revision, str(passage.position)),
            "topics": result.topics,
            "scores": result.scores and [{"topic": t, "score": s} for t, s in result.scores],
            "model": classified.model,
            "signature": signature if passage.position == 0 else None,
            "schema_version": PASSAGES.version,
        }


def passages_date(article_published_at: datetime | None, fetched_at: datetime) -> date:
    """The partition of an article's passages: the UTC date of publication, else of fetching."""
    return (article_published_at or fetched_at).date()


def event_date(event: DeadLetter | Poll | Check) -> date:
    """The partition of a dead letter, a poll or a check: the UTC date it happened on."""
    if isinstance(event, Check):
        return event.checked_at.date()
    return (event.occurred_at if isinstance(event, DeadLetter) else event.polled_at).date()
