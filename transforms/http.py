"""HTTP requests: polite to hosts, safe from them, and tried again where that may help.

The parts: exchange.py makes one request; guard.py decides where it may connect to, network.py
connects and keeps the limits, decompress.py reads bodies, hosts.py gives turns; answer.py,
robots.py and retry.py read what a site asks for.
"""

import dataclasses
import socket
import threading
from collections.abc import Generator
from datetime import UTC, datetime
from typing import BinaryIO

import httpx2

from transforms.answer import PERMANENT_REDIRECTS, TOO_MANY_REQUESTS, Response, readable
from transforms.deadletter import Unusable
from transforms.exchange import (
    Answer,
    Asked,
    Exchanger,
    check_url,
    has_to_warn,
    host_and_port,
    warn_of_no_contact,
)
from transforms.guard import Guard
from transforms.hosts import Hosts
from transforms.lanes import Turn, wait_through
from transforms.network import Resolver
from transforms.retry import backoff
from transforms.robots import ROBOTS_BYTES, UNREAD, Robots, parse_robots
from transforms.urls import is_web

# What another attempt in the same run cannot change.
FINAL = frozenset({"RobotsUnreachable", "HostDown", "HostQuiet"})
MAX_REDIRECTS = 10
# How soon to look again for what another thread is reading.
LOOK_AGAIN_SECONDS = 0.05


@dataclasses.dataclass(frozen=True, slots=True)
class HttpPolicy:
    """How requests are made. Times in seconds, sizes in bytes.

    ``archive_timeout`` and ``max_archive_bytes`` stand for WARC archives, which go to disk.
    ``total_timeout`` bounds what servers may take for one page or feed, with its redirects
    and tries. ``host_delay`` is the pause between requests to a host, ``local_delay`` the
    same for this machine. ``allow_hosts`` is as transforms.guard.Guard takes it.
    """

    user_agent: str
    connect_timeout: float
    total_timeout: float
    attempts: int
    max_bytes: int
    has_contact: bool = True
    allow_hosts: tuple[str, ...] = ()
    host_delay: float = 0.5
    local_delay: float = 0.0
    robots: bool = True
    max_crawl_delay: float = 10.0
    max_retry_after: float = 5.0
    first_wait: float = 0.5
    archive_timeout: float = 3600.0
    max_archive_bytes: int = 2_000_000_000


class HttpClient:
    """Gets web addresses under a policy; safe to use from threads."""

    def __init__(self, policy: HttpPolicy, resolve: Resolver = socket.getaddrinfo):
        self._policy = policy
        self.hosts = Hosts(policy.host_delay, policy.local_delay)
        guard = Guard(policy.allow_hosts)
        self._exchanger = Exchanger(
            policy.user_agent, guard, self.hosts, policy.connect_timeout, resolve
        )
        # None for a site whose robots.txt is being read.
        self._robots: dict[str, Robots | None] = {}
        self._robots_lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections that are kept."""
        self._exchanger.close()

    def get(
        self,
        url: str,
        etag: str | None = None,
        last_modified: str | None = None,
        robots: bool = False,
    ) -> Response:
        """The answer to a GET, conditional where a validator is given (RFC 9110, section 13).

        Waits for the turns of hosts. Raises Unusable for anything but a whole 2xx answer or
        a 304 that was asked for.
        """
        return wait_through(self.ask(url, etag, last_modified, robots))

    def download(self, url: str, file: BinaryIO) -> Response:
        """As ``get``, with the body in ``file`` and the limits of an archive."""
        asked = Asked(
            seconds=self._policy.archive_timeout,
            max_bytes=self._policy.max_archive_bytes,
            file=file,
        )
        return wait_through(self._try(url, asked))

    def ask(
        self,
        url: str,
        etag: str | None = None,
        last_modified: str | None = None,
        robots: bool = False,
    ) -> Generator[Turn, None, Response]:
        """As ``get``, in steps: yields the turn it needs before each request it makes."""
        conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
        asked = Asked(
            seconds=self._policy.total_timeout,
            max_bytes=self._policy.max_bytes,
            conditions={name: value for name, value in conditions.items() if value is not None},
            obeys_robots=robots and self._policy.robots,
        )
        return self._try(url, asked)

    def _try(self, url: str, asked: Asked) -> Generator[Turn, None, Response]:
        """Attempts until one succeeds or another cannot help."""
        asked.host = host_and_port(url)
        if self.hosts.is_down(asked.host):
            message = f"{asked.host} did not answer a moment ago"
            raise Unusable("HostDown", message, retryable=True, attempt=0)
        wait = 0.0
        while True:
            try:
                return (yield from self._follow(url, asked, wait))
            except Unusable as error:
                # A host that rests was not asked this time.
                error.attempt = asked.attempt - int(error.attempt == 0)
                again = self._wait_before_next(error, asked)
                if again is None:
                    raise
                wait = again
                asked.attempt += 1

    def _wait_before_next(self, error: Unusable, asked: Asked) -> float | None:
        """Seconds until another attempt, None where there is to be none in this run."""
        if not error.retryable or error.error_type in FINAL:
            return None
        wait = backoff(self._policy.first_wait, asked.attempt)
        if error.retry_at is not None:
            wait = max(0.0, (error.retry_at - datetime.now(UTC)).total_seconds())
            if wait > self._policy.max_retry_after:
                if error.status == TOO_MANY_REQUESTS:
                    self.hosts.keep_quiet(asked.host, error.retry_at)
                return None
            self.hosts.hold(asked.host, wait)
        is_last = asked.attempt >= self._policy.attempts or asked.seconds <= 0
        return None if is_last or self.hosts.is_down(asked.host) else wait

    def _follow(self, url: str, asked: Asked, wait: float) -> Generator[Turn, None, Response]:
        """One attempt: the request and those that redirects lead to."""
        target = check_url(url)
        statuses: set[int] = set()
        asked.cookies = httpx2.Cookies()
        for _ in range(MAX_REDIRECTS + 1):
            asked.host = host_and_port(target)
            if asked.obeys_robots:
                yield from self._obey_robots(target, asked.host)
            yield Turn(asked.host, wait)
            wait = 0.0
            answer = self._request(target, asked)
            if answer.body is not None:
                return Response(
                    url=str(target),
                    status=answer.status,
                    body=answer.body,
                    headers=answer.headers,
                    attempts=asked.attempt,
                    moved_to=str(target) if statuses and statuses <= PERMANENT_REDIRECTS else None,
                )
            statuses.add(answer.status)
            target = follow_link(target, readable(answer.headers["location"]))
        raise Unusable("TooManyRedirects", f"more than {MAX_REDIRECTS} redirects")

    def _request(self, target: httpx2.URL, asked: Asked) -> Answer:
        if (quiet := self.hosts.quiet_until(asked.host)) is not None:
            message = f"{asked.host} asked for no request before {quiet:%Y-%m-%d %H:%M:%S} UTC"
            raise Unusable("HostQuiet", message, retryable=True, attempt=0, retry_at=quiet)
        is_refused = False
        try:
            return self._exchanger.exchange(target, asked)
        except Unusable as error:
            is_refused = error.error_type == "Refused"
            raise
        finally:
            # Whoever is refused was not asked.
            if not is_refused and has_to_warn(target, self._policy.has_contact):
                warn_of_no_contact()

    def _obey_robots(self, target: httpx2.URL, host: str) -> Generator[Turn, None, None]:
        """Raises Unusable where robots.txt, read once a site, keeps us from a page."""
        address = str(target.join("/robots.txt"))
        while (robots := self._known_robots(address)) is None:
            yield Turn(host, LOOK_AGAIN_SECONDS)
        if robots.is_stale():
            robots = yield from self._read_robots(address)
        if robots.problem is not None:
            message = f"robots.txt could not be had: {robots.problem}"
            raise Unusable("RobotsUnreachable", message, retryable=True)
        delay = robots.crawl_delay(self._policy.user_agent)
        self.hosts.slow_down(host, min(delay, self._policy.max_crawl_delay))
        if not robots.allows(str(target), self._policy.user_agent):
            raise Unusable("RobotsDisallowed", f"robots.txt of {host} keeps robots from this page")

    def _known_robots(self, address: str) -> Robots | None:
        """What is known of a site's robots.txt; stale for the one thread that is to read it,
        None while it does.
        """
        with self._robots_lock:
            known = self._robots.get(address, UNREAD)
            if known is not None and known.is_stale():
                self._robots[address] = None
            return known

    def _read_robots(self, address: str) -> Generator[Turn, None, Robots]:
        asked = Asked(self._policy.total_timeout, ROBOTS_BYTES, may_cut=True)
        robots = UNREAD
        try:
            answer = yield from self._try(address, asked)
            robots = parse_robots(answer.body)
        except Unusable as error:
            # A site without the file has no rules; one that cannot tell allows nothing.
            robots = Robots(problem=str(error)) if error.retryable else Robots()
        finally:
            self._robots[address] = robots
        return robots


def follow_link(base: httpx2.URL, link: str) -> httpx2.URL:
    """Where a redirect leads. Raises Unusable."""
    try:
        target = base.join(link)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Unusable("InvalidURL", f"redirect to {link[:200]!r}: {error}") from error
    if base.fragment and not target.fragment:
        target = target.copy_with(fragment=base.fragment)
    return check_url(str(target))


def lane_of(location: str) -> str | None:
    """The host whose turn a location needs first; None for a file, or what is no URL."""
    try:
        return host_and_port(location) if is_web(location) else None
    except Unusable:
        return None


_CLIENTS: dict[HttpPolicy, HttpClient] = {}
_OPENING = threading.Lock()


def open_client(policy: HttpPolicy) -> HttpClient:
    """The process's one client for a policy, with its open connections."""
    with _OPENING:
        if policy not in _CLIENTS:
            _CLIENTS[policy] = HttpClient(policy)
        return _CLIENTS[policy]


def close_clients() -> None:
    """Closes the clients of this process; to be called while nothing is asked."""
    with _OPENING:
        for client in _CLIENTS.values():
            client.close()
        _CLIENTS.clear()
