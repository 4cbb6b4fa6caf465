"""What runs inside a page process: reads pages from a connection until it closes.

Free of Beam, so that a process starts in a fraction of a second. Messages are JSON and
bytes, never pickles: what is read here comes from strangers.
"""

import contextlib
import json
import logging
import math
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.connection import Connection

from transforms.content import Content, Refusal, to_json

READY = b"ready"
# Exit status of a process that ran out of memory where it could not say so.
OUT_OF_MEMORY = 75
# Loading the libraries takes a second; a machine under load may need many.
START_SECONDS = 60


def main() -> None:
    """Serves pages; the arguments are the connection's number, seconds and bytes."""
    number, seconds, max_memory = int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    die_after(START_SECONDS)
    threading.Thread(target=end_with_parent, args=(number,), daemon=True).start()
    limit_memory(max_memory)
    from transforms.html import html_content

    silence()
    # A process that has come half way to its limit starts afresh, so that what one page took
    # is not held against the next.
    enough = (peak_memory() + max_memory) / 2
    with Connection(number) as connection:
        die_after(0)
        connection.send_bytes(READY)
        with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
            while True:
                reply, peak = read_page(connection, html_content, seconds, max_memory)
                connection.send_bytes(b"worn" if peak > enough else b"fit")
                connection.send_bytes(reply)


def read_page(
    connection: Connection,
    html_content: Callable[[bytes, str | None], Content | Refusal],
    seconds: float,
    max_memory: int,
) -> tuple[bytes, int]:
    """The reply to the next page, and the most memory the process has had by then."""
    try:
        url = json.loads(connection.recv_bytes())
        body = connection.recv_bytes()
        # The parent is the first to lose patience; this is for when it cannot act on it.
        die_after(math.ceil(seconds) + 1)
        try:
            result = html_content(body, url)
        except MemoryError:
            raise
        except Exception as error:  # An extractor may fail in any way on hostile bytes.
            result = Refusal(type(error).__name__, " ".join(str(error).split())[:500])
        peak = peak_memory()
        if isinstance(result, Refusal) and peak > 0.9 * max_memory:
            raise MemoryError  # The parser, or the library, made something else of it.
        reply = to_json(result)
        die_after(0)
        return reply, peak
    except MemoryError:
        os._exit(OUT_OF_MEMORY)


def die_after(seconds: int) -> None:
    """Has the system end this process in so many seconds, whatever it does; 0 is never."""
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(seconds)


def limit_memory(max_memory: int) -> None:
    """Bounds the process's address space, where the system knows such a limit."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (max_memory, max_memory))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def peak_memory() -> int:
    """The most address space the process has had, in bytes; 0 where the system does not tell."""
    with contextlib.suppress(OSError), open("/proc/self/status", "rb") as file:
        for line in file:
            if line.startswith(b"VmPeak:"):
                return int(line.split()[1]) * 1024
    return 0


def end_with_parent(number: int) -> None:
    """Ends this process as soon as the other end of its connection is gone.

    From a thread of its own, which runs while the parser does; what holds the interpreter's
    lock for ever is ended by ``die_after``.
    """
    hangup = select.poll()
    hangup.register(number, 0)
    hangup.poll()
    os._exit(0)


def silence() -> None:
    """Sends what libraries print about a page to nowhere: pages must not write to a terminal."""
    logging.disable(logging.CRITICAL)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
