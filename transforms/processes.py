"""Processes that read HTML pages, each of which can be killed in the middle of one.

A parser written in C cannot be interrupted from within, and a page may make it run for
hours or take all memory. So pages are read in other processes: one page at a time each,
over a connection of its own, so that the death of one is no concern of the others. They
hold no state, and end by themselves when this process goes, however it goes.
"""

import atexit
import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import weakref
from multiprocessing.connection import Connection

from transforms.content import Content, from_json
from transforms.deadletter import Unusable
from transforms.page_process import OUT_OF_MEMORY, READY, START_SECONDS

# A library may leak; a process that has read so many pages is replaced.
PAGES_A_PROCESS = 1000
# As multiprocessing starts its own: only the path, since the main module is no concern here.
COMMAND = (
    "import sys, json; sys.path[:] = json.loads(sys.argv[1]); "
    "from transforms.page_process import main; main()"
)


@dataclasses.dataclass(frozen=True)
class ExtractPolicy:
    """Limits of reading one page, in seconds and bytes, and how many are read at once."""

    timeout: float = 20.0
    max_memory: int = 1_000_000_000
    processes: int = max(1, min(4, os.cpu_count() or 1))


# Those that run, to be ended with this process where it does not wait for them.
_RUNNING: "weakref.WeakSet[subprocess.Popen]" = weakref.WeakSet()


class PageProcess:
    """One process that reads pages."""

    def __init__(self, policy: ExtractPolicy):
        self._policy = policy
        self.pages = 0
        self.is_worn = False
        ours, theirs = socket.socketpair()
        arguments = (theirs.fileno(), policy.timeout, policy.max_memory)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", COMMAND, json.dumps(sys.path), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                # What threads reserve and it never uses would count as its memory.
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
                # A Ctrl-C is for the parent to answer; this one goes when its parent does.
                process_group=0,
            )
        _RUNNING.add(self._process)
        self._connection = Connection(ours.detach())
        try:
            started = self._connection.poll(START_SECONDS)
            started = started and self._connection.recv_bytes() == READY
        except (EOFError, OSError):
            started = False
        if not started:
            self.close()
            raise RuntimeError(f"a page process did not start: exit {self._process.returncode}")

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def read(self, body: bytes, url: str | None) -> bytes:
        """The reply to one page, as JSON. Raises Unusable where the process had to be ended."""
        self.pages += 1
        try:
            self._connection.send_bytes(json.dumps(url).encode())
            self._connection.send_bytes(body)
            if not self._connection.poll(self._policy.timeout):
                self.close()
                seconds = f"{self._policy.timeout:g}"
                raise Unusable("ExtractTimeout", f"not read in {seconds} s", retryable=True)
            self.is_worn = self._connection.recv_bytes() == b"worn"
            return self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            # It has died, or is about to: what it says with its last breath is its status.
            raise death(self.close(wait=1.0), self._policy) from error

    def close(self, wait: float = 0.0) -> int:
        """Ends the process, at once or when it had ``wait`` seconds; returns its status."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(wait)
        if self._process.returncode is None:
            self._process.kill()
        self._connection.close()
        return self._process.wait()


def death(status: int, policy: ExtractPolicy) -> Unusable:
    """Why a process ended that had a page to read."""
    if status == OUT_OF_MEMORY:
        limit = f"{policy.max_memory / 1e6:,.0f} MB"
        return Unusable("ExtractMemory", f"took more than {limit} of memory", retryable=True)
    if status == -signal.SIGKILL:
        # Not by us, so by the system, for want of memory.
        return Unusable("ExtractMemory", "ended by the system, out of memory", retryable=True)
    how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
    return Unusable("ExtractCrash", f"the parser crashed: {how}")


class PagePool:
    """Up to ``policy.processes`` page processes, started when first needed; for threads."""

    def __init__(self, policy: ExtractPolicy):
        self._policy = policy
        self._places = threading.BoundedSemaphore(policy.processes)
        self._lock = threading.Lock()
        self._idle: list[PageProcess] = []

    def read(self, body: bytes, url: str | None) -> Content:
        """What an HTML page says, its text first. Raises Unusable where it has no article."""
        with self._places:
            result = from_json(self._reply(body, url))
        if isinstance(result, Content):
            return result
        raise Unusable(result.error_type, result.message, retryable=result.retryable)

    def _reply(self, body: bytes, url: str | None) -> bytes:
        process = self._take()
        try:
            reply = process.read(body, url)
        except Unusable as error:
            if process.pages == 1 or error.error_type == "ExtractTimeout":
                raise
            # An earlier page may be to blame, so this one gets a process of its own.
            process = PageProcess(self._policy)
            reply = process.read(body, url)
        if process.is_worn or process.pages >= PAGES_A_PROCESS:
            process.close()
        else:
            with self._lock:
                self._idle.append(process)
        return reply

    def _take(self) -> PageProcess:
        while True:
            with self._lock:
                process = self._idle.pop() if self._idle else None
            if process is None:
                return PageProcess(self._policy)
            if process.is_alive:
                return process
            process.close()

    def close(self) -> None:
        """Ends the processes that have nothing to do."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()


def kill_page_processes() -> None:
    """Ends every page process, also in the middle of a page; for a process that ends itself."""
    for process in list(_RUNNING):
        process.kill()


_POOLS: dict[ExtractPolicy, PagePool] = {}


def open_pool(policy: ExtractPolicy) -> PagePool:
    """The pool of this process for a policy."""
    with _OPENING:
        if policy not in _POOLS:
            _POOLS[policy] = PagePool(policy)
        return _POOLS[policy]


def close_pools() -> None:
    """Ends the pools of this process; to be called while no page is read."""
    with _OPENING:
        for pool in _POOLS.values():
            pool.close()
        _POOLS.clear()


atexit.register(close_pools)


_OPENING = threading.Lock()
