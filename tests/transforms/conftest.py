"""A server whose answers are bytes, sent as they are or as slowly as a test likes; and what comes
while a day of a lake is compacted."""

import dataclasses
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest

from tests.web import DELAY, failure
from transforms import compact
from transforms.http import HttpClient


def plain(body: bytes = b"ok", *headers: str, status: str = "200 OK", length: int = -1) -> bytes:
    """A whole answer; ``length`` is what Content-Length says where it is to be wrong."""
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body


@dataclasses.dataclass(frozen=True)
class Visit:
    """One request, by the server's clock. ``end`` is noted before the last byte is sent."""

    path: str
    begin: float
    end: float
    others: int
    head: str


Reply = bytes | Callable[[socket.socket, threading.Event], None]


class Site:
    """Answers each path by its next reply in turn, the last for ever, and logs every visit."""

    def __init__(self, host: str = "127.0.0.1"):
        self.replies: dict[str, list[Reply]] = defaultdict(list)
        self.visits: list[Visit] = []
        self.connections = 0
        self.ended = threading.Event()
        self._active = 0
        self._lock = threading.Lock()
        self._socket = socket.create_server((host, 0), backlog=64)
        self.host, self.port = host, self._socket.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def url(self, path: str = "/", host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def paths(self) -> list[str]:
        return [visit.path for visit in self.visits]

    def close(self) -> None:
        self.ended.set()
        # Wakes the thread that accepts; close alone would leave it in its call.
        self._socket.shutdown(socket.SHUT_RDWR)
        # Before its descriptor is the next server's, whose visitors that thread would take.
        self._accepting.join()
        self._socket.close()

    def _accept(self) -> None:
        while not self.ended.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while head := read_head(connection):
                    self._answer(connection, head)
            except OSError:
                pass  # The client has seen enough.

    def _answer(self, connection: socket.socket, head: str) -> None:
        begin, path = time.monotonic(), head.split()[1]
        with self._lock:
            self._active += 1
            others = self._active - 1
            replies = self.replies[path] or [plain(b"", status="404 Not Found")]
            reply = replies[0] if len(replies) == 1 else replies.pop(0)
        if isinstance(reply, bytes):
            connection.sendall(reply[:-1])
        with self._lock:
            self._active -= 1
            self.visits.append(Visit(path, begin, time.monotonic(), others, head))
        if isinstance(reply, bytes):
            connection.sendall(reply[-1:])
        else:
            reply(connection, self.ended)
            connection.close()


def read_head(connection: socket.socket) -> str:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            return ""
        head += piece
    return head.decode("latin-1")


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture
def other_site() -> Iterator[Site]:
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def answer() -> Callable[..., bytes]:
    """Makes the bytes of an answer."""
    return plain


@pytest.fixture
def polite(http_policy):
    """Makes a client that leaves hosts on this machine alone for a while, as others."""

    def make(**changed):
        return HttpClient(http_policy(**{"local_delay": DELAY, **changed}))

    return make


@pytest.fixture
def refused(http_policy, site):
    """Asks the site for a page and gives the error that comes of it."""

    def ask(path="/", **policy):
        return failure(HttpClient(http_policy(**policy)), site.url(path))

    return ask


@pytest.fixture
def meanwhile(monkeypatch):
    """Does something after a day's files are merged and before they are put in place."""

    def arrange(*actions):
        waiting, merge = list(actions), compact.merge_files

        def merge_then_act(*arguments):
            merged = merge(*arguments)
            if waiting:
                waiting.pop(0)()
            return merged

        monkeypatch.setattr(compact, "merge_files", merge_then_act)

    return arrange
