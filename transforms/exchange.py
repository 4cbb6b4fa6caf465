"""One request and its answer, within limits and in its host's turn."""

import dataclasses
import functools
import re
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import h2.exceptions
import httpcore2
import httpx2

from transforms.answer import NOT_MODIFIED, REDIRECTS, check_status, joined
from transforms.deadletter import Unusable
from transforms.decompress import ACCEPTED, Body
from transforms.guard import DEFAULT_PORTS, Guard, is_loopback, to_address
from transforms.hosts import Hosts
from transforms.network import Connections, GuardedBackend, Limits, Resolver, limited

MAX_HEADER_BYTES = 64 * 1024
# What is read of an answer that is not used, so that its connection can be kept.
DRAIN_BYTES, DRAIN_SECONDS = 64 * 1024, 1.0
HOST = re.compile(r"[a-z0-9._-]+")
# Errors that another attempt may not meet, and those that it would.
BROKEN = (
    httpcore2.TimeoutException,
    httpcore2.NetworkError,
    httpcore2.RemoteProtocolError,
    h2.exceptions.H2Error,
)
WRONG = (httpcore2.ProtocolError, httpcore2.UnsupportedProtocol, ValueError)
NO_CONTACT = (
    "wirewatch: publishers cannot tell who is asking: set fetch.contact to an address or a page "
    "of yours"
)


@dataclasses.dataclass
class Asked:
    """A page or feed that is being asked for, across its redirects and attempts.

    ``seconds`` is what is left of the time that servers may take for it; ``file`` takes the
    body, where it may be too large for memory.
    """

    seconds: float
    max_bytes: int
    conditions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    obeys_robots: bool = False
    may_cut: bool = False
    attempt: int = 1
    host: str = ""
    file: BinaryIO | None = None
    cookies: httpx2.Cookies = dataclasses.field(default_factory=httpx2.Cookies)


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """A success with its ``body``, or a redirect without one."""

    status: int
    headers: dict[str, str]
    body: bytes | None


class Exchanger:
    """Makes single requests, over connections that are kept; safe to use from threads."""

    def __init__(
        self,
        user_agent: str,
        guard: Guard,
        hosts: Hosts,
        connect_timeout: float,
        resolve: Resolver,
    ):
        self._user_agent = user_agent
        self._hosts = hosts
        backend = GuardedBackend(guard, connect_timeout, resolve)
        self._connections = Connections(backend, trusted_certificates())

    def close(self) -> None:
        """Closes the connections that are kept."""
        self._connections.close()

    def exchange(self, target: httpx2.URL, asked: Asked) -> Answer:
        """The answer of ``target``, asked in its host's turn. Raises Unusable."""
        with self._hosts.turn(asked.host):
            began = time.monotonic()
            limits = Limits(began + asked.seconds, MAX_HEADER_BYTES)
            try:
                with limited(limits):
                    return self._send(target, asked, limits)
            except (*BROKEN, *WRONG) as error:
                raise self._unusable(error, asked) from error
            finally:
                asked.seconds -= time.monotonic() - began

    def _send(self, target: httpx2.URL, asked: Asked, limits: Limits) -> Answer:
        own = {"User-Agent": self._user_agent, "Accept": "*/*", "Accept-Encoding": ACCEPTED}
        sent = {
            name.encode(): value.encode("latin-1", "replace")
            for name, value in (own | dict(asked.conditions)).items()
        }
        request = httpx2.Request("GET", target, headers=sent, cookies=asked.cookies)
        port = target.port or DEFAULT_PORTS[target.scheme]
        origin = (target.raw_scheme, target.raw_host, port)
        url = httpcore2.URL(
            scheme=target.raw_scheme, host=target.raw_host, port=port, target=target.raw_path
        )
        connection = self._connections.take(origin)
        is_whole = False
        try:
            with connection.stream("GET", url, headers=request.headers.raw) as answer:
                self._hosts.note_answer(asked.host)
                pieces = answer.iter_stream()
                try:
                    return self._use(answer, pieces, request, asked, limits)
                finally:
                    is_whole = drain(pieces, limits)
        finally:
            if is_whole and connection.is_available():
                self._connections.give_back(origin, connection)
            else:
                connection.close()

    @staticmethod
    def _use(
        answer: httpcore2.Response,
        pieces: Iterator[bytes],
        request: httpx2.Request,
        asked: Asked,
        limits: Limits,
    ) -> Answer:
        headers = joined(answer.headers)
        if answer.status in REDIRECTS and "location" in headers:
            asked.cookies.extract_cookies(
                httpx2.Response(answer.status, headers=answer.headers, request=request)
            )
            return Answer(answer.status, headers, None)
        if answer.status == NOT_MODIFIED and asked.conditions:
            return Answer(answer.status, headers, b"")
        check_status(answer.status, headers)
        return Answer(answer.status, headers, read_body(pieces, headers, asked, limits))

    def _unusable(self, error: Exception, asked: Asked) -> Unusable:
        """What an error of the network or of the protocol means."""
        no_connection = isinstance(error, (httpcore2.ConnectError, httpcore2.ConnectTimeout))
        # A page that hangs counts once, however often it is tried: the host may be well.
        hangs = isinstance(error, httpcore2.TimeoutException) and asked.attempt == 1
        if no_connection or hangs:
            self._hosts.note_failure(asked.host)
        # The library names so what a server does wrong in HTTP/2.
        is_h2 = bool(error.args) and isinstance(error.args[0], h2.exceptions.H2Error)
        name = "RemoteProtocolError" if is_h2 else type(error).__name__
        if not is_h2 and not isinstance(error, BROKEN):
            return Unusable(name, str(error))
        message = f"no whole answer from {asked.host}: {error}"
        return Unusable(name, message, retryable=True)


@functools.cache
def trusted_certificates() -> ssl.SSLContext:
    """What servers are known by; the environment has no say. Read once a process."""
    return httpx2.create_ssl_context(trust_env=False)


def read_body(
    pieces: Iterator[bytes], headers: Mapping[str, str], asked: Asked, limits: Limits
) -> bytes:
    """The body of an answer, decompressed. Raises Unusable."""
    if asked.file is not None:
        asked.file.seek(0)
        asked.file.truncate()
    encoding = headers.get("content-encoding", "")
    body = Body(asked.max_bytes, encoding, asked.may_cut, asked.file)
    # Chunks and frames have headers of their own.
    limits.what, limits.room = "bytes", asked.max_bytes * 9 // 8 + MAX_HEADER_BYTES
    for piece in pieces:
        body.add(piece)
        limits.seconds()
        if body.is_full:
            break
    return body.whole()


def drain(pieces: Iterator[bytes], limits: Limits) -> bool:
    """Reads the rest of an answer, where it is short; whether that was all of it.

    A rest that stays would be taken for a part of the next answer.
    """
    limits.room = DRAIN_BYTES
    limits.deadline = min(limits.deadline, time.monotonic() + DRAIN_SECONDS)
    try:
        for _ in pieces:
            pass
    except (*BROKEN, *WRONG, Unusable):
        return False
    return True


def check_url(url: str) -> httpx2.URL:
    """A URL that may be asked for, by its form. Raises Unusable."""
    try:
        parsed = httpx2.URL(url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise Unusable("InvalidURL", str(error)) from error
    if parsed.scheme not in DEFAULT_PORTS:
        raise Unusable("Refused", f"only http and https are fetched, not {parsed.scheme}:")
    if parsed.userinfo:
        raise Unusable("Refused", "an address with a user's name in it is not fetched")
    host = parsed.raw_host.decode("ascii", "replace")
    if not HOST.fullmatch(host) and (to_address(host) is None or "%" in host):
        raise Unusable("InvalidURL", f"{host!r} is no host")
    return parsed


def host_and_port(url: str | httpx2.URL) -> str:
    """The host of a URL, with its port where that is not the usual one. Raises Unusable."""
    parsed = check_url(url) if isinstance(url, str) else url
    return parsed.netloc.decode("ascii")


@functools.cache
def warn_of_no_contact() -> None:
    """Says once that publishers cannot tell who is asking."""
    print(NO_CONTACT, file=sys.stderr)


def has_to_warn(target: httpx2.URL, has_contact: bool) -> bool:
    """Whether a request goes to somebody else without a contact."""
    return not has_contact and not is_loopback(target.host)
