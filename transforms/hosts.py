"""What is remembered of each host: whose turn it is, how long to leave it alone, if it is down."""

import contextlib
import dataclasses
import random
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from transforms.guard import is_loopback, split_host

# A host that did not answer this many requests in a row is left alone for a while.
FAILURES = 2
REST_SECONDS = 300.0
# A pause is up to this much longer than it must be, so that machines do not fall into step.
JITTER = 0.5


@dataclasses.dataclass
class _Host:
    delay: float
    is_busy: bool = False
    # When the next request may begin (monotonic), and until when the host asked for quiet.
    ready_at: float = 0.0
    quiet_until: datetime | None = None
    failures: int = 0
    failed_at: float = 0.0


class Hosts:
    """Gives turns: one request at a time a host, and a pause after each. Safe with threads."""

    def __init__(self, delay: float, local_delay: float):
        self._delay = delay
        self._local_delay = local_delay
        self._hosts: dict[str, _Host] = {}
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def turn(self, name: str) -> Iterator[None]:
        """Waits for a host to be free and its pause to be over, and holds it."""
        with self._changed:
            host = self._host(name)
            while host.is_busy or host.ready_at > time.monotonic():
                pause = host.ready_at - time.monotonic()
                self._changed.wait(None if host.is_busy else max(pause, 0.0))
            host.is_busy = True
        try:
            yield
        finally:
            with self._changed:
                host.is_busy = False
                pause = host.delay * random.uniform(1, 1 + JITTER)
                host.ready_at = max(host.ready_at, time.monotonic() + pause)
                self._changed.notify_all()

    def pause(self, name: str) -> float:
        """Seconds until a host may be asked again; 0 where it may be now."""
        with self._changed:
            host = self._hosts.get(name)
            return max(0.0, host.ready_at - time.monotonic()) if host else 0.0

    def hold(self, name: str, seconds: float) -> None:
        """Leaves a host alone for so long from now."""
        with self._changed:
            host = self._host(name)
            host.ready_at = max(host.ready_at, time.monotonic() + seconds)

    def slow_down(self, name: str, delay: float) -> None:
        """Lengthens the pause between requests to a host."""
        with self._changed:
            host = self._host(name)
            host.delay = max(host.delay, delay)

    def keep_quiet(self, name: str, until: datetime) -> None:
        """Remembers that a host wants no request before a moment."""
        with self._changed:
            self._host(name).quiet_until = until

    def quiet_until(self, name: str) -> datetime | None:
        """The moment before which a host wants no request, None where there is none."""
        with self._changed:
            until = self._host(name).quiet_until
        return until if until is not None and until > datetime.now(UTC) else None

    def note_answer(self, name: str) -> None:
        """Remembers that a host answered."""
        with self._changed:
            self._host(name).failures = 0

    def note_failure(self, name: str) -> None:
        """Remembers that a host did not answer."""
        with self._changed:
            host = self._host(name)
            host.failures += 1
            host.failed_at = time.monotonic()

    def is_down(self, name: str) -> bool:
        """Whether a host did not answer of late and is left alone."""
        with self._changed:
            host = self._host(name)
            is_recent = time.monotonic() < host.failed_at + REST_SECONDS
            return host.failures >= FAILURES and is_recent

    def _host(self, name: str) -> _Host:
        if name not in self._hosts:
            here = is_loopback(split_host(name)[0])
            self._hosts[name] = _Host(self._local_delay if here else self._delay)
        return self._hosts[name]
