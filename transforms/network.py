"""Connections that lead only where the guard allows, whose reads end at a deadline."""

import contextlib
import dataclasses
import queue
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpcore2

from transforms.deadletter import Unusable
from transforms.guard import Guard, to_address

# As socket.getaddrinfo; tests put one of their own in its place.
Resolver = Callable[..., list[tuple]]
# Scheme, host and port of a server.
Origin = tuple[bytes, bytes, int]
MAX_ADDRESSES = 8
KEEP_ALIVE_SECONDS = 15.0
KEPT_CONNECTIONS = 100


@dataclasses.dataclass
class Limits:
    """What one request may still use: time until ``deadline`` (monotonic) and bytes to read."""

    deadline: float
    room: int
    what: str = "headers"

    def seconds(self, error: type[Exception] = httpcore2.ReadTimeout) -> float:
        """The time that is left; raises ``error`` where none is."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("the time for one page is over")
        return left


_active = threading.local()


@contextlib.contextmanager
def limited(limits: Limits) -> Iterator[None]:
    """Puts what this thread reads and connects to under limits."""
    _active.limits = limits
    try:
        yield
    finally:
        del _active.limits


class LimitedStream(httpcore2.NetworkStream):
    """A connection whose reads and writes keep to the limits of the request under way.

    A connection serves one request after the other, and each on one thread.
    """

    def __init__(self, stream: httpcore2.NetworkStream):
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limits: Limits = _active.limits
        if limits.room <= 0:
            raise Unusable("TooLarge", f"{limits.what} of the answer are over the limit")
        data = self._stream.read(min(max_bytes, limits.room), limits.seconds())
        limits.room -= len(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _active.limits.seconds(httpcore2.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        left = _active.limits.seconds(httpcore2.ConnectTimeout)
        return LimitedStream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class UnknownHost(httpcore2.ConnectError):
    """The name servers do not know a host, or cannot be asked."""


class LookupTimeout(httpcore2.ConnectTimeout):
    """The name servers did not answer in time."""


class GuardedBackend(httpcore2.NetworkBackend):
    """Connects to the very address that was checked: a name is looked up once a connection."""

    def __init__(self, guard: Guard, connect_timeout: float, resolve: Resolver):
        self._guard = guard
        self._connect_timeout = connect_timeout
        self._resolve = resolve
        self._sockets = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        addresses = self._guard.check(host, port, self._look_up(host, port))[:MAX_ADDRESSES]
        until = time.monotonic() + self._seconds()
        for number, address in enumerate(addresses):
            # The time is shared among the addresses that are left, so that a dead one
            # does not use up that of the next.
            share = max(until - time.monotonic(), 0.001) / (len(addresses) - number)
            try:
                return LimitedStream(
                    self._sockets.connect_tcp(address, port, share, local_address, socket_options)
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
                if number == len(addresses) - 1:
                    raise
        raise AssertionError("the guard gives at least one address")

    def _seconds(self) -> float:
        left: float = _active.limits.seconds(httpcore2.ConnectTimeout)
        return min(left, self._connect_timeout)

    def _look_up(self, host: str, port: int) -> list[str]:
        """The addresses of a host. The system's resolver knows no timeout, so it gets a thread."""
        if to_address(host) is not None:
            return [host]
        answers: queue.SimpleQueue[list[tuple] | Exception] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port, type=socket.SOCK_STREAM))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True, name="name lookup").start()
        try:
            found = answers.get(timeout=self._seconds())
        except queue.Empty:
            raise LookupTimeout(f"no answer to where {host} is") from None
        if isinstance(found, Exception):
            raise UnknownHost(f"{host}: {found}") from found
        return list(dict.fromkeys(str(answer[4][0]) for answer in found))


class Connections:
    """Connections that are kept for the next request to their origin; safe to use from threads.

    A connection serves one request at a time, in HTTP/2 too.
    """

    def __init__(self, backend: httpcore2.NetworkBackend, certificates: ssl.SSLContext):
        self._backend = backend
        self._certificates = certificates
        # The one that was used last stands last.
        self._kept: OrderedDict[Origin, httpcore2.HTTPConnection] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, origin: Origin) -> httpcore2.HTTPConnection:
        """A connection for one request: a kept one, or one that is to connect."""
        with self._lock:
            kept = self._kept.pop(origin, None)
        if kept is not None:
            if kept.is_available() and not kept.has_expired():
                return kept
            kept.close()
        scheme, host, port = origin
        return httpcore2.HTTPConnection(
            httpcore2.Origin(scheme, host, port),
            ssl_context=self._certificates,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            http2=True,
            network_backend=self._backend,
        )

    def give_back(self, origin: Origin, connection: httpcore2.HTTPConnection) -> None:
        """Keeps a connection whose last answer was read to its end."""
        with self._lock:
            surplus = self._kept.pop(origin, None)
            self._kept[origin] = connection
            if surplus is None and len(self._kept) > KEPT_CONNECTIONS:
                _, surplus = self._kept.popitem(last=False)
        if surplus is not None:
            surplus.close()

    def close(self) -> None:
        """Closes those that are kept."""
        with self._lock:
            kept = list(self._kept.values())
            self._kept.clear()
        for connection in kept:
            connection.close()
