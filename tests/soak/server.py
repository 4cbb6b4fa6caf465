"""The newsroom on the web: one port on several loopback addresses, and its faults.

What goes wrong with a request depends on the seed, the path and how often it was asked for.
"""

import contextlib
import dataclasses
import errno
import hashlib
import random
import socket
import struct
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.soak import layout
from tests.soak.newsroom import FEEDS, HOSTS, Newsroom

# What share of answers is bad in which way. The last four befall feeds only.
FAULTS = {"500": 0.05, "503": 0.04, "reset": 0.04, "truncated": 0.04, "slow": 0.04}
FEED_FAULTS = {"false 304": 0.04, "new GUIDs": 0.04, "malformed": 0.04, "maintenance": 0.02}
# These go on for a while with a feed where they begin; in seconds.
LASTING = {"false 304": 6.0, "maintenance": 3.0}
OPML, INDEX = "/feeds.opml", "/sitemap-index.xml"


@dataclasses.dataclass
class Answer:
    """An answer and what is wrong with the sending of it."""

    status: int
    body: bytes = b""
    content_type: str = "text/html; charset=utf-8"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)
    fault: str | None = None


def pick(shares: dict[str, float], lot: float) -> str | None:
    """The fault that a lot from 0 to 1 falls on, if any."""
    for fault, share in shares.items():
        if lot < share:
            return fault
        lot -= share
    return None


def etag_of(content: str) -> str:
    """The ETag of a content."""
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:16]}"'


class Desk:
    """Decides on answers; safe to use from threads."""

    def __init__(self, newsroom: Newsroom):
        self.newsroom = newsroom
        self.bases: list[str] = []
        self._asked: Counter[str] = Counter()
        self._lasting: dict[str, tuple[str, float]] = {}

    def feed_urls(self) -> list[str]:
        """The addresses of the forty feeds."""
        hosts = len(self.bases)
        return [self.bases[feed % hosts] + layout.feed_path(feed) for feed in range(FEEDS)]

    def sources(self) -> list[str]:
        """The addresses for a configuration: feeds, a list of feeds, an index of sitemaps."""
        hidden = {*layout.IN_OPML, *layout.IN_INDEX}
        urls = [url for feed, url in enumerate(self.feed_urls()) if feed not in hidden]
        return [*urls, self.bases[0] + OPML, self.bases[1 % len(self.bases)] + INDEX]

    def answer(self, base: str, path: str, known: str | None) -> Answer:
        """The answer to a GET; ``known`` is its If-None-Match."""
        newsroom, path = self.newsroom, path.partition("?")[0]
        with newsroom.lock:
            newsroom.last_asked = time.monotonic()
            self._asked[base + path] += 1
            number = self._asked[base + path]
            is_feed = path.startswith("/feeds/")
            fault = self._fault(base + path, number, is_feed, known)
            answer = self._right(base, path, known, fault)
            if fault in ("500", "503"):
                wait = {"Retry-After": "1"} if fault == "503" else {}
                answer = Answer(int(fault), b"<html><body>Sorry.</body></html>", headers=wait)
            elif fault == "false 304":
                answer = Answer(304, headers={"ETag": known or ""})
            answer.fault = fault
            newsroom.requests["feeds" if is_feed else "pages"] += 1
            if fault is not None:
                newsroom.faults[fault] += 1
            return answer

    def _fault(self, url: str, number: int, is_feed: bool, known: str | None) -> str | None:
        if not self.newsroom.has_faults or url.endswith("/robots.txt"):
            return None
        fault, until = self._lasting.get(url, (None, 0.0))
        if until < time.monotonic():
            faults = FAULTS | (FEED_FAULTS if is_feed else {})
            lot = random.Random(f"{self.newsroom.seed} {url.split('/', 3)[3]} {number}").random()
            fault = pick(faults, lot)
            if fault in LASTING:
                self._lasting[url] = (fault, time.monotonic() + LASTING[fault])
        # To a question without a condition nothing can be unchanged; and where a feed was never
        # read, nobody can tell that a page in its place is not the source's article.
        return None if fault in LASTING and known is None else fault

    def _right(self, base: str, path: str, known: str | None, fault: str | None) -> Answer:
        """The answer, with the faults that lie in its content."""
        if path == "/robots.txt":
            return Answer(200, b"User-agent: *\nDisallow: /private/\n", "text/plain")
        urls = self.feed_urls()
        if path == OPML:
            listed = layout.opml([urls[feed] for feed in layout.IN_OPML])
            return Answer(200, listed.encode(), "text/x-opml")
        if path == INDEX:
            listed = layout.sitemap_index([urls[feed] for feed in layout.IN_INDEX])
            return Answer(200, listed.encode(), "application/xml")
        if base + path in urls:
            return self._feed(urls.index(base + path), known, fault)
        return self._page(base + path, known, fault)

    def _feed(self, feed: int, known: str | None, fault: str | None) -> Answer:
        if fault == "maintenance":
            return Answer(200, layout.maintenance().encode())
        articles, kind = self.newsroom.listed(feed), layout.KINDS[feed]
        state = " ".join(f"{one.serial}:{one.revision}" for one in articles)
        etag = etag_of(state)
        if known == etag:
            return Answer(304, headers={"ETag": etag})
        body = layout.RENDER[kind](feed, articles, fault == "new GUIDs").encode()
        if fault == "malformed":
            body = body[: len(body) * 2 // 3]
        return Answer(200, body, layout.TYPES[kind], {"ETag": etag})

    def _page(self, url: str, known: str | None, fault: str | None) -> Answer:
        article = self.newsroom.find(url)
        if article is None:
            return Answer(404, b"<html><body>There is no such page.</body></html>")
        if article.is_withdrawn:
            return Answer(404 if article.serial % 2 else 410, b"<html><body>Gone.</body></html>")
        # Of the content, as many servers have it: a text that returns has its old one again.
        etag = etag_of(article.texts[-1])
        if known == etag:
            return Answer(304, headers={"ETag": etag})
        if fault in (None, "slow"):
            article.served.add(article.revision)
        body = layout.page(article, self.newsroom.requests["pages"]).encode()
        return Answer(200, body, headers={"ETag": etag})


class Handler(BaseHTTPRequestHandler):
    """Sends what the desk decides, as badly as it is meant to be."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: "Server"

    def do_GET(self) -> None:
        answer = self.server.desk.answer(
            self.server.base, self.path, self.headers.get("If-None-Match")
        )
        # The client may have been killed.
        with contextlib.suppress(OSError):
            self._send(answer)

    def _send(self, answer: Answer) -> None:
        self.close_connection = answer.fault in ("reset", "truncated")
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != 304:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        if answer.fault == "slow":
            threading.Event().wait(0.3)
        self.end_headers()
        half = len(answer.body) // 2
        if self.close_connection:
            self.wfile.write(answer.body[:half])
            if answer.fault == "reset":
                # Closing then sends a reset in place of an end (socket(7), SO_LINGER).
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.connection.close()
            return
        if answer.fault == "slow":
            self.wfile.write(answer.body[:half])
            threading.Event().wait(0.7)
            answer.body = answer.body[half:]
        self.wfile.write(answer.body)

    def log_message(self, *arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """One of the newsroom's hosts."""

    daemon_threads = True
    request_queue_size = 64
    desk: Desk
    base: str

    def handle_error(self, *arguments: object) -> None:
        """A client that was killed breaks its connections: that is no error of ours."""


def serve(desk: Desk) -> list[Server]:
    """Opens the newsroom: 127.0.0.1, 127.0.0.2 and so on, each on the same port.

    Where a system has one loopback address only, the hosts differ in their ports.
    """
    servers = [Server(("127.0.0.1", 0), Handler)]
    port = servers[0].server_port
    for number in range(2, HOSTS + 1):
        try:
            servers.append(Server((f"127.0.0.{number}", port), Handler))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                raise
            servers.append(Server(("127.0.0.1", 0), Handler))
    for server in servers:
        server.desk = desk
        server.base = f"http://{server.server_address[0]}:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
    desk.bases = [server.base for server in servers]
    desk.newsroom.open(desk.bases)
    return servers
