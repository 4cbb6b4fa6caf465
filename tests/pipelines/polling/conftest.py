"""A newsroom of the test's own, run after run, and what its lake holds then."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from tests.pipelines.conftest import (
    Newsroom,
    Outcome,
    Reply,
    rss,
    rss_item,
    story,
    story_page,
)

DAY = "Fri, 01 Mar 2024 09:00:00 GMT"


@pytest.fixture
def empty_newsroom() -> Iterator[Newsroom]:
    """A newsroom without anything, to be filled by the test."""
    newsroom = Newsroom()
    yield newsroom
    newsroom.close()


@pytest.fixture(scope="session")
def site() -> SimpleNamespace:
    """What a test fills a newsroom with."""
    return SimpleNamespace(Reply=Reply, page=story_page, rss=rss, item=rss_item, text=story)


@pytest.fixture
def run(empty_newsroom, wirewatch, tmp_path) -> Callable[..., Outcome]:
    """Runs a command on the lake of the test; keyword arguments are the polls section, but for
    ``revisions``, which is its own."""

    def command(*words: object, revisions: dict | None = None, **polls: object) -> Outcome:
        fetch = {"total_timeout": 20, "connect_timeout": 10, "attempts": 1, "max_bytes": 200_000}
        fetch |= {"allow_hosts": ["127.0.0.1"], "robots": False}
        config = tmp_path / "monitor.yaml"
        polls = {"retry_after": 0, **polls}
        sections = {"fetch": fetch, "polls": polls, "revisions": revisions or {}}
        config.write_text(json.dumps(sections))
        outcome = wirewatch(*words, "--config", config, "--lake", tmp_path / "lake")
        assert outcome.code == 0, outcome.err
        return outcome

    return command


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def polls(lake, rows):
    """The polls of the lake, oldest first."""
    return lambda: sorted(rows(lake, "polls"), key=lambda poll: poll["polled_at"])


@pytest.fixture
def found(lake, rows):
    """The paths of the articles in the lake, with how often each is there."""

    def articles():
        if not (lake / "passages").exists():
            return Counter()
        first = [row for row in rows(lake, "passages") if row["position"] == 0]
        return Counter(urlsplit(row["canonical_url"]).path for row in first)

    return articles


@pytest.fixture
def feed(empty_newsroom, site):
    """Fills the newsroom with a feed of stories that answers 304 to its own validators."""

    def fill(*numbers, path="/feed.xml", etag='W/"v 1"'):
        newsroom = empty_newsroom
        items = []
        for number in numbers:
            newsroom.replies[f"/news/{number}"] = site.Reply(site.page(number))
            items.append(site.item(f"Story {number}", newsroom.url(f"/news/{number}"), DAY))
        whole = site.rss("Post", *items)
        whole.headers = {"ETag": etag, "Last-Modified": "yesterday, as it were"}

        def answer(headers):
            same = headers["If-None-Match"] == etag
            return site.Reply(status=304) if same else whole

        newsroom.replies[path] = answer
        return newsroom.url(path)

    return fill
