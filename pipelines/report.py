"""What a watcher tells of its ticks: in its log, on a terminal's last line, to Prometheus."""

import collections
import contextlib
import dataclasses
import logging
import sys
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from pipelines.endpoint import Endpoint
from pipelines.health import FeedHealth, feed_states
from pipelines.logs import say
from pipelines.options import WatchFlags
from pipelines.reload import Configuration
from pipelines.statusline import StatusLine
from transforms.clean import counted, one_line
from transforms.ledger import Ledger


@dataclasses.dataclass(frozen=True)
class Polled:
    """Whether the last poll of a feed succeeded, and when the last one did that succeeded."""

    is_up: bool
    succeeded_at: datetime | None


@dataclasses.dataclass(frozen=True)
class Feeds:
    """The feeds that are watched: how many are in which state, and those to look at.

    A feed counts once, under the first of its states; ``healthy`` are the others. ``polled``
    are all that have been polled, by address.
    """

    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    unwell: tuple[FeedHealth, ...] = ()
    polled: dict[str, Polled] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Tick:
    """One tick: ``counters`` is None where nothing was due, ``problem`` why it failed."""

    began: datetime
    seconds: float = 0.0
    counters: dict[str, int] | None = None
    feeds: Feeds | None = None
    missing: frozenset[str] = frozenset()
    problem: str | None = None

    def count(self, name: str) -> int:
        """A counter of the pipeline."""
        return (self.counters or {}).get(name, 0)

    @property
    def dead_letters(self) -> dict[str, int]:
        """The dead letters by stage."""
        found = (self.counters or {}).items()
        return {n.removeprefix("errors_"): k for n, k in found if n.startswith("errors_")}


def watched_feeds(ledger: Ledger, watched: set[str], now: datetime) -> Feeds:
    """How the watched feeds are, by their last polls."""
    counts: collections.Counter[str] = collections.Counter(healthy=0)
    unwell: list[FeedHealth] = []
    polled: dict[str, Polled] = {}
    for feed in ledger.feeds.all():
        if feed.feed_url in watched:
            states = feed_states(feed, now)
            counts[states[0].state if states else "healthy"] += 1
            unwell += states
            succeeded_at = ledger.feeds.succeeded_at(feed.feed_url)
            polled[feed.feed_url] = Polled(feed.error is None, succeeded_at)
    return Feeds(dict(counts), tuple(unwell), polled)


class Report(contextlib.AbstractContextManager):
    """Tells of ticks; a problem is named when it comes and when it has gone."""

    def __init__(self, flags: WatchFlags, configuration: Configuration):
        self._lake = configuration.plan.lake
        self._unwell: dict[tuple[str, str], FeedHealth] = {}
        # Those that an earlier process left unwell, until this one has watched them.
        self._left: dict[str, FeedHealth] = {}
        self._missing: frozenset[str] = frozenset()
        self._has_problem = False
        topics = [topic for topic, _ in configuration.plan.topics.thresholds]
        self._endpoint = None
        if flags.metrics_port is not None:
            self._endpoint = Endpoint(flags.metrics_port, topics, flags.every)
        is_shown = flags.log_format == "text" and sys.stderr.isatty()
        self._status = StatusLine(self._lake) if is_shown else None

    def start(self) -> None:
        """To be called when the lake is held: says so, and begins to answer and to show."""
        say("watching", f"watching; the lake is {self._lake}", lake=self._lake)
        if self._endpoint is not None:
            url = self._endpoint.start()
            say("serving", f"metrics at {url}/metrics, health at {url}/healthz", url=url)
        if self._status is not None:
            self._status.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._status is not None:
            self._status.stop()
        if self._endpoint is not None:
            self._endpoint.close()

    def begin(self) -> None:
        """To be called when a tick begins."""
        if self._endpoint is not None:
            self._endpoint.begin()
        if self._status is not None:
            self._status.begin()

    def recall(self, ledger: Ledger) -> None:
        """Takes over from the lake which feeds were not well when an earlier process ended."""
        now = datetime.now(UTC)
        for feed in ledger.feeds.all():
            self._left |= {state.feed_url: state for state in feed_states(feed, now)}

    def note(self, tick: Tick, wait: float) -> None:
        """Tells of a tick that has ended; the next one is in ``wait`` seconds."""
        if tick.problem is not None:
            message = f"{tick.problem}; nothing is lost, next try in {wait:,.3g} s"
            say("problem", message, logging.ERROR, error=tick.problem, lake=self._lake, wait=wait)
        elif self._has_problem:
            say("recovered", f"{self._lake}: all is well again", lake=self._lake)
        self._has_problem = tick.problem is not None
        if tick.counters is not None:
            self._say_tick(tick)
        if tick.feeds is not None:
            self._say_feeds(tick.feeds)
            self._say_missing(tick.missing)
        if self._endpoint is not None:
            self._endpoint.note(tick)
        if self._status is not None:
            self._status.note(tick, wait)

    def _say_tick(self, tick: Tick) -> None:
        changed = tick.count("articles_changed")
        new = counted(tick.count("articles"), "new article")
        message = (
            f"{new}{f' and {changed:,} changed' if changed else ''} with "
            f"{counted(tick.count('passages_written'), 'passage')}, "
            f"{tick.count('passages_hit'):,} of them on a topic; "
            f"{counted(tick.count('feeds'), 'feed')} asked; "
            f"{counted(sum(tick.dead_letters.values()), 'dead letter')}; {tick.seconds:.1f} s"
        )
        feeds = tick.feeds.counts if tick.feeds else None
        seconds = round(tick.seconds, 3)
        counts = tick.counters
        say("tick", message, lake=self._lake, counts=counts, seconds=seconds, feeds=feeds)

    def _say_feeds(self, feeds: Feeds) -> None:
        unwell = {(feed.feed_url, feed.state): feed for feed in feeds.unwell}
        for key, feed in unwell.items():
            if key not in self._unwell:
                message = f"{one_line(feed.source)}: {feed.message}"
                say(f"feed_{feed.state}", message, logging.WARNING, **named(feed))
        were = self._left | {feed.feed_url: feed for feed in self._unwell.values()}
        well = feeds.polled.keys() - {feed.feed_url for feed in feeds.unwell}
        for feed_url, feed in were.items():
            if feed_url in well:
                message = f"{one_line(feed.source)}: is well again"
                say("feed_well", message, feed_url=feed_url, source=feed.source, state="healthy")
        # The others are still to come: what a list names is known once it is read.
        self._left = {url: feed for url, feed in self._left.items() if url not in feeds.polled}
        self._unwell = unwell

    def _say_missing(self, missing: frozenset[str]) -> None:
        for path in sorted(missing - self._missing):
            message = f"{path}: no such file or folder any more; it is read when it is back"
            say("source_missing", message, logging.WARNING, source=path)
        self._missing = missing


def named(feed: FeedHealth) -> dict[str, Any]:
    """The fields of a log record about a feed."""
    error = {"error": feed.message} if feed.state == "failing" else {}
    return {"feed_url": feed.feed_url, "source": feed.source, "state": feed.state, **error}


def feeds_now(ledger: Ledger, watched: set[str]) -> Feeds:
    """How the watched feeds are at this moment."""
    return watched_feeds(ledger, watched, datetime.now(UTC))
