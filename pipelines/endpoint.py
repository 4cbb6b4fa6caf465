"""Metrics for Prometheus and a health check, over HTTP, on this machine only."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    make_wsgi_app,
)

from configs.settings import UserError

if TYPE_CHECKING:
    from pipelines.report import Polled, Tick

LOOPBACK = "127.0.0.1"
# The first tick over many feeds or files may take long; one that takes longer hangs.
LONGEST_TICK_SECONDS = 6 * 3600.0
STAGES = ("read", "fetch", "extract")
STATES = ("healthy", "failing", "waiting", "quiet", "moved", "gone")
BUCKETS = (0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)


class Server(ThreadingMixIn, WSGIServer):
    """Answers each request on a thread of its own."""

    daemon_threads = True


class SilentHandler(WSGIRequestHandler):
    """Logs no requests."""

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Metrics:
    """The figures of a watcher, in a registry of their own."""

    def __init__(self, topics: Iterable[str]):
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.ticks = Counter("wirewatch_ticks", "Ticks by outcome", ["outcome"], registry=registry)
        self.seconds = Histogram(
            "wirewatch_tick_seconds", "Seconds a tick took", buckets=BUCKETS, registry=registry
        )
        self.articles = Counter("wirewatch_articles", "New articles", registry=registry)
        self.passages = Counter("wirewatch_passages", "Passages written", registry=registry)
        self.hits = Counter("wirewatch_hits", "Passages on a topic", ["topic"], registry=registry)
        self.letters = Counter(
            "wirewatch_dead_letters", "Dead letters by stage", ["stage"], registry=registry
        )
        self.feeds = Gauge("wirewatch_feeds", "Feeds by state", ["state"], registry=registry)
        name = "wirewatch_last_success_timestamp_seconds"
        self.success = Gauge(
            name, "When the last tick that succeeded ended, Unix time", registry=registry
        )
        self.feed_up = Gauge(
            "wirewatch_feed_up",
            "Whether the last poll of a feed succeeded",
            ["feed"],
            registry=registry,
        )
        self.feed_success = Gauge(
            "wirewatch_feed_last_success_timestamp_seconds",
            "When the last poll of a feed that succeeded began, Unix time; 0 where none has",
            ["feed"],
            registry=registry,
        )
        self._named: set[str] = set()
        for outcome in ("done", "idle", "failed"):
            self.ticks.labels(outcome)
        for topic in topics:
            self.hits.labels(topic)
        for stage in STAGES:
            self.letters.labels(stage)

    def note(self, tick: "Tick") -> None:
        """Adds a tick."""
        idle = "idle" if tick.counters is None else "done"
        self.ticks.labels("failed" if tick.problem else idle).inc()
        self.seconds.observe(tick.seconds)
        self.articles.inc(tick.count("articles"))
        self.passages.inc(tick.count("passages_written"))
        for name, number in (tick.counters or {}).items():
            if name.startswith("hits_"):
                self.hits.labels(name.removeprefix("hits_")).inc(number)
        for stage, number in tick.dead_letters.items():
            self.letters.labels(stage).inc(number)
        if tick.feeds is not None:
            for state in STATES:
                self.feeds.labels(state).set(tick.feeds.counts.get(state, 0))
            self._note_feeds(tick.feeds.polled)
        if tick.problem is None:
            self.success.set_to_current_time()

    def _note_feeds(self, polled: "dict[str, Polled]") -> None:
        """Sets what is known of each feed; those that are watched no more leave."""
        for feed_url, feed in polled.items():
            self.feed_up.labels(feed_url).set(feed.is_up)
            moment = feed.succeeded_at
            self.feed_success.labels(feed_url).set(moment.timestamp() if moment else 0)
        for feed_url in self._named - polled.keys():
            self.feed_up.remove(feed_url)
            self.feed_success.remove(feed_url)
        self._named = set(polled)


class Health:
    """Whether the ticks go on: the last one succeeded, and not too long ago."""

    def __init__(self, every: float):
        # A late tick is no concern, a missing one is.
        self._patience = 2 * every + 60.0
        self._running_since: float | None = time.monotonic()
        self._ended: float | None = None
        self._problem: str | None = None

    def begin(self) -> None:
        """A tick begins."""
        self._running_since = time.monotonic()

    def note(self, problem: str | None) -> None:
        """A tick has ended."""
        self._running_since, self._ended, self._problem = None, time.monotonic(), problem

    def state(self) -> tuple[bool, dict[str, Any]]:
        """Whether all is well, and what to say of it."""
        now, running, ended = time.monotonic(), self._running_since, self._ended
        reason = self._problem
        if reason is None and running is not None and now > running + LONGEST_TICK_SECONDS:
            reason = f"a tick has taken {now - running:.0f} s so far"
        if reason is None and running is None and ended is not None:
            late = now - ended
            reason = f"no tick for {late:.0f} s" if late > self._patience else None
        since = None if ended is None else round(now - ended, 1)
        said = {"ok": reason is None, "reason": reason, "seconds_since_last_tick": since}
        return reason is None, said


class Endpoint:
    """Serves ``/metrics`` and ``/healthz`` on the loopback interface."""

    def __init__(self, port: int, topics: Iterable[str], every: float):
        """Opens the port, 0 for a free one. Raises UserError where it is taken."""
        self._metrics, self._health = Metrics(topics), Health(every)
        self._thread: threading.Thread | None = None
        self._page = make_wsgi_app(self._metrics.registry)
        try:
            self._server = make_server(LOOPBACK, port, self._answer, Server, SilentHandler)
        except OSError as error:
            raise UserError(f"--metrics-port {port}: {error.strerror}") from error

    def start(self) -> str:
        """Begins to answer; the address."""
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, daemon=True, name="metrics")
        self._thread.start()
        return f"http://{LOOPBACK}:{self._server.server_port}"

    def close(self) -> None:
        """Ends the server, whether it has begun to answer or not."""
        if self._thread is not None:
            self._server.shutdown()
        self._server.server_close()

    def begin(self) -> None:
        """A tick begins."""
        self._health.begin()

    def note(self, tick: "Tick") -> None:
        """A tick has ended."""
        self._metrics.note(tick)
        self._health.note(tick.problem)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO")
        if path == "/metrics":
            found: Iterable[bytes] = self._page(environ, start)
            return found
        if path != "/healthz":
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"/metrics or /healthz\n"]
        is_well, said = self._health.state()
        status = "200 OK" if is_well else "503 Service Unavailable"
        start(status, [("Content-Type", "application/json")])
        return [json.dumps(said).encode() + b"\n"]
