"""A newsroom of the test's own, run after run, and what its lake holds then."""

import contextlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest

from pipelines.cli import hold_lake
from pipelines.options import parse_watch
from pipelines.reload import Configuration
from pipelines.report import Report
from pipelines.watch import Watcher
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


FETCH = {
    **{"connect_timeout": 1, "attempts": 1, "max_bytes": 200_000},
    **{"allow_hosts": ["127.0.0.1"], "robots": False},
}


def write_config(path, sources=(), total_timeout=20, revisions=None, **polls) -> None:
    """Writes a configuration with short limits; other keyword arguments are the polls section."""
    kinds = [{"url" if "://" in str(one) else "path": str(one)} for one in sources]
    polls = {"retry_after": 0, **polls}
    fetch = {**FETCH, "total_timeout": total_timeout}
    sections = {"fetch": fetch, "polls": polls, "revisions": revisions or {}, "sources": kinds}
    path.write_text(json.dumps(sections))


class Watched:
    """A watcher whose ticks a test makes one by one, and what it says."""

    def __init__(self, config, lake, caplog, held: contextlib.ExitStack):
        self.config, self._caplog = config, caplog
        flags = parse_watch(["--config", str(config), "--lake", str(lake)])
        configuration = Configuration(flags)
        lock = held.enter_context(hold_lake(configuration.plan.lake, "watch"))
        report = Report(flags, configuration)
        self._watcher = Watcher(configuration, lock, flags.every, report)

    def tick(self) -> list[str]:
        """The events of one tick, in order."""
        self._caplog.clear()
        self._watcher.tick()
        return [event for event, _ in self.said]

    @property
    def said(self) -> list[tuple[str, str]]:
        """The events of the last tick with their lines."""
        found = [record for record in self._caplog.records if record.name == "wirewatch"]
        return [(record.event, record.getMessage()) for record in found]


@pytest.fixture
def watch(tmp_path, lake, caplog) -> Iterator[Callable[..., Watched]]:
    """Starts to watch sources; an earlier watcher of the test has ended by then."""
    caplog.set_level(logging.INFO, "wirewatch")
    held = contextlib.ExitStack()

    def start(*sources: object, lake: object = lake, **polls: object) -> Watched:
        held.close()
        write_config(tmp_path / "monitor.yaml", sources, **polls)
        return Watched(tmp_path / "monitor.yaml", lake, caplog, held)

    yield start
    held.close()


@pytest.fixture(scope="session")
def configure() -> Callable[..., None]:
    """Writes a configuration."""
    return write_config


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
        config = tmp_path / "monitor.yaml"
        write_config(config, revisions=revisions, **polls)
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

    def fill(*numbers, path="/feed.xml", etag='W/"v 1"', **headers):
        newsroom = empty_newsroom
        items = []
        for number in numbers:
            newsroom.replies[f"/news/{number}"] = site.Reply(site.page(number))
            items.append(site.item(f"Story {number}", newsroom.url(f"/news/{number}"), DAY))
        whole = site.rss("Post", *items)
        whole.headers = {"ETag": etag, "Last-Modified": "yesterday, as it were", **headers}

        def answer(headers):
            same = headers["If-None-Match"] == etag
            return site.Reply(status=304) if same else whole

        newsroom.replies[path] = answer
        return newsroom.url(path)

    return fill


@pytest.fixture
def press(empty_newsroom, site):
    """A feed of one article, to be edited; its pages and it answer 304 to their validators."""
    newsroom = empty_newsroom

    class Press:
        url = newsroom.url("/feed.xml")

        def publish(self, paragraphs, updated=None, path="/news/0", stamp="at 10:00", head=""):
            body = "".join(f"<p>{text}</p>" for text in paragraphs)
            page = (
                f"<html lang=en><head><title>Talks</title>{head}</head><body><article>"
                f"<h1>Talks</h1>{body}<p>Last updated {stamp}</p></article></body></html>"
            )
            self.serve(path, page, "text/html")
            moment = f"<updated>{updated.isoformat()}</updated>" if updated else ""
            link = newsroom.url(path)
            feed = (
                "<feed xmlns='http://www.w3.org/2005/Atom'><title>Post</title><entry>"
                f"<title>Talks</title><link href='{link}'/>{moment}</entry></feed>"
            )
            self.serve("/feed.xml", feed, "application/atom+xml")

        def serve(self, path, body, kind):
            etag = f'"{hash(body)}"'

            def answer(headers):
                if headers["If-None-Match"] == etag:
                    return site.Reply(status=304)
                return site.Reply(body, kind, headers={"ETag": etag})

            newsroom.replies[path] = answer

        def withdraw(self, path="/news/0"):
            newsroom.replies[path] = site.Reply(status=404)

    return Press()
