"""Progress of a local run: a bar on a terminal, log lines elsewhere."""

import contextlib
import sys
import threading
from collections.abc import Iterator

from transforms.count import in_process

LOG_EVERY_SECONDS = 10.0
BAR_EVERY_SECONDS = 0.2
SHOWN = ("sources", "entries", "articles", "passages", "passages_hit")


@contextlib.contextmanager
def show_progress() -> Iterator[None]:
    """Shows the counters of this process on standard error while the body runs."""
    in_process.clear()
    stop = threading.Event()
    display = show_bar if sys.stderr.isatty() else show_log
    thread = threading.Thread(target=display, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def progress_line() -> str:
    """The counters as one line."""
    counts = [f"{in_process[name]:,} {name.replace('_', ' ')}" for name in SHOWN]
    dead = sum(n for name, n in in_process.items() if name.startswith("errors_"))
    return ", ".join([*counts, f"{dead:,} dead letters"])


def show_log(stop: threading.Event) -> None:
    """A line every few seconds."""
    while not stop.wait(LOG_EVERY_SECONDS):
        print(f"wirewatch: {progress_line()}", file=sys.stderr, flush=True)


def show_bar(stop: threading.Event) -> None:
    """A bar of entries done among entries found, with the counters beside it."""
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
        while not stop.wait(BAR_EVERY_SECONDS):
            found = in_process["entries"] - in_process["entries_known"]
            done = in_process["articles"] + in_process["articles_known"]
            done += in_process["errors_fetch"] + in_process["errors_extract"]
            progress.update(task, total=max(found, 1), completed=done, description=progress_line())
