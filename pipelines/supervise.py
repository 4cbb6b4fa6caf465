"""Ends work that may take long when a signal asks for it: in order, or else in time."""

import contextlib
import math
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from transforms.processes import kill_page_processes

# A service manager's patience is ten seconds, as a rule; something is left for the rest.
GRACE_SECONDS = 8.0
TWICE_SECONDS = 0.3
LOOK_SECONDS = 0.25
# What Python may take to end by itself once the work is done.
LEAVE_SECONDS = 1.5
INTERRUPTED = 130
# A progress display hides the cursor while it is shown (ECMA-48, DECTCEM).
SHOW_CURSOR = "\x1b[?25h"
SIGNALS = (signal.SIGINT, signal.SIGTERM)

Say = Callable[[str, str], None]


def supervise(work: Callable[[threading.Event], int], say: Say) -> int:
    """Runs ``work`` on a thread and returns what it returns, or raises what it raises.

    The first SIGTERM or Ctrl-C sets the event that ``work`` was given; when it has not ended
    ``GRACE_SECONDS`` later, the process ends with exit code 0 where it is. The second ends
    it at once. ``say`` takes an event's name and a line. To be called on the main thread,
    which stays free, since only there Python sees signals.
    """
    inbox: queue.SimpleQueue[int | None] = queue.SimpleQueue()
    stop, results, errors = threading.Event(), list[int](), list[BaseException]()

    def run() -> None:
        try:
            results.append(work(stop))
        except BaseException as error:
            errors.append(error)
        finally:
            inbox.put(None)

    # Putting into such a queue is allowed in a handler, whatever it interrupts.
    earlier = {number: signal.signal(number, lambda n, _: inbox.put(n)) for number in SIGNALS}
    threading.Thread(target=run, daemon=True, name="watch").start()
    try:
        number = take(inbox)
        if number is not None:
            stop.set()
            wait_to_end(inbox, number, say)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
    if errors:
        raise errors[0]
    return results[0]


def take(inbox: "queue.SimpleQueue[int | None]", seconds: float = math.inf) -> int | None:
    """The next item of a queue. Raises queue.Empty after so many seconds without one.

    The system may give a signal to any thread, which does not wake this one; but only here
    Python runs the handler. So this thread wakes by itself, and often.
    """
    until = time.monotonic() + seconds
    while True:
        left = until - time.monotonic()
        try:
            return inbox.get(timeout=max(0.0, min(left, LOOK_SECONDS)))
        except queue.Empty:
            if left <= LOOK_SECONDS:
                raise


def wait_to_end(inbox: "queue.SimpleQueue[int | None]", number: int, say: Say) -> None:
    """Waits for the work to end after a first signal; returns only where it has in time."""
    until = time.monotonic() + GRACE_SECONDS
    name = signal.Signals(number).name
    say("stopping", f"{name}: finishing what is under way, {GRACE_SECONDS:g} s at most")
    try:
        # Twice at once is once: timeout(1) signals a process and then the group that it is in.
        with contextlib.suppress(queue.Empty):
            if take(inbox, TWICE_SECONDS) is None:
                inbox.put(None)
        second = take(inbox, GRACE_SECONDS - TWICE_SECONDS)
    except queue.Empty:
        say("stopped", "stopped in the middle of a tick; the next start does it again")
        leave(0)
    if second is not None:
        say("stopped", "stopped at once; the next start does what was left")
        leave(INTERRUPTED)
    say("stopped", "stopped; the lake holds what was finished")
    # A thread of a library that does not end must not keep the process.
    timer = threading.Timer(until + LEAVE_SECONDS - time.monotonic(), os._exit, (0,))
    timer.daemon = True
    timer.start()


def leave(code: int) -> NoReturn:
    """Ends the process and its page processes here and now; the lake has only whole files."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            print(SHOW_CURSOR, end="", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    kill_page_processes()
    os._exit(code)
