"""Progress of a local run: a bar on a terminal, log lines elsewhere."""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from transforms.clean import counted
from transforms.count import in_process

LOG_EVERY_SECONDS = 10.0
BAR_EVERY_SECONDS = 0.2
# The rate shown is that of so many last seconds, so that it tells how it goes now.
RATE_SECONDS = 30.0
SHOWN = ("sources", "entries", "articles", "passages", "passages_hit")


Counts = Mapping[str, int]


def entries_done(counts: Counts) -> tuple[int, int]:
    """How many entries of a run are done, and how many were found."""
    done = counts["articles"] + counts["articles_known"] + counts["articles_changed"]
    done += counts["checks_unchanged"] + counts["checks_failed"]
    done += counts["errors_fetch"] + counts["errors_extract"]
    return done, counts["entries"] - counts["entries_known"]


@contextlib.contextmanager
def show_progress(
    shown: Sequence[str] = SHOWN, done: Callable[[Counts], tuple[int, int]] = entries_done
) -> Iterator[None]:
    """Shows counters of this process on standard error while the body runs.

    ``done`` tells from the counters how much is done, and of how much.
    """
    in_process.clear()
    stop = threading.Event()
    display = show_bar if sys.stderr.isatty() else show_log
    thread = threading.Thread(target=display, args=(stop, shown, done), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class Rate:
    """How many a second, of late."""

    def __init__(self, now: float):
        self._looks = deque([(now, 0)])

    def at(self, now: float, done: int) -> float:
        """The rate when so many are done; ``now`` is in seconds, on any clock that only rises."""
        self._looks.append((now, done))
        while len(self._looks) > 2 and self._looks[1][0] <= now - RATE_SECONDS:
            self._looks.popleft()
        begin, before = self._looks[0]
        return (done - before) / (now - begin) if now > begin else 0.0


def progress_line(shown: Sequence[str], rate: float | None = None) -> str:
    """The counters as one line, with the rate of articles a second of a run where given."""
    parts = [f"{in_process[name]:,} {name.replace('_', ' ')}" for name in shown]
    if shown is SHOWN:
        dead = sum(n for name, n in in_process.items() if name.startswith("errors_"))
        parts += [counted(dead, "dead letter")]
        parts += [] if rate is None else [f"{rate:,.1f} articles/s"]
    return ", ".join(parts)


def show_log(stop: threading.Event, shown: Sequence[str], done: object) -> None:
    """A line every few seconds."""
    rate = Rate(time.monotonic())
    while not stop.wait(LOG_EVERY_SECONDS):
        line = progress_line(shown, rate.at(time.monotonic(), in_process["articles"]))
        print(f"wirewatch: {line}", file=sys.stderr, flush=True)


def show_bar(
    stop: threading.Event, shown: Sequence[str], done: Callable[[Counts], tuple[int, int]]
) -> None:
    """A bar of what is done among what was found, with the counters beside it."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (
        SpinnerColumn(),
        BarColumn(24),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=None)
        rate = Rate(time.monotonic())
        while not stop.wait(BAR_EVERY_SECONDS):
            completed, total = done(in_process)
            line = progress_line(shown, rate.at(time.monotonic(), in_process["articles"]))
            progress.update(task, total=max(total, 1), completed=completed, description=line)
