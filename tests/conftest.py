"""What several tests need: records with short defaults, limits, a local pipeline."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from schemas.records import (
    Article,
    ClassifiedArticle,
    Entry,
    Page,
    Passage,
    Source,
    SplitArticle,
    TopicScores,
)
from schemas.tables import stable_id
from transforms.http import HttpPolicy
from transforms.sources import Document
from transforms.urls import address_id

FETCHED = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="session")
def data():
    """The folder of the golden files."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def document():
    """Makes a document as ReadSources would."""

    def make(body, location="/feeds/feed", content_type=None, **source):
        return Document(Source(location, **source), location, body, content_type)

    return make


@pytest.fixture(scope="session")
def page():
    """Makes a page; without a ``url`` it is a local file."""

    def make(body, url=None, content_type=None, **entry):
        entry = {"location": url or "/news/a.txt", "source": "desk", **entry}
        return Page(Entry(**entry), url, body, content_type, FETCHED)

    return make


@pytest.fixture(scope="session")
def classified():
    """Makes a classified article whose passages are the lines of its text."""

    def make(url, text="One line.\nAnother line.", published_at=None, topics=("nato",)):
        article = Article(
            address_id(url) if url else stable_id("text", text), stable_id("text", text),
            url, url, "desk", None, "A title", ("Ada", "Bo"), "en",
            published_at, "feed" if published_at else "none", FETCHED, text,
        )  # fmt: skip
        passages, start = [], 0
        for position, line in enumerate(text.split("\n")):
            end = start + len(line)
            passages.append(Passage(position, start, end, line, text[end : end + 1]))
            start = end + 1
        scores = None if topics is None else (("nato", 0.75),)
        results = (TopicScores(topics, scores),) * len(passages)
        return ClassifiedArticle(SplitArticle(article, tuple(passages)), results, "test 1")

    return make


@pytest.fixture
def http_policy():
    """Makes a policy with short limits that allows servers on this machine."""

    def make(**changed):
        limits = {"connect_timeout": 2.0, "total_timeout": 5.0, "attempts": 1, "max_bytes": 100_000}
        limits |= {"allow_hosts": ("127.0.0.1", "localhost"), "first_wait": 0.0}
        return HttpPolicy(user_agent="wirewatch-test", **{**limits, **changed})

    return make


@pytest.fixture
def pipeline():
    """A pipeline on the local engine; it runs when the test leaves its ``with``."""
    return TestPipeline("FnApiRunner")
