"""The last line of a terminal while a watcher runs."""

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from pipelines.progress import SHOWN, progress_line

if TYPE_CHECKING:
    from pipelines.report import Tick

HITS_SINCE = "select count(*) from passages where len(topics) > 0 and fetched_at >= ?"


class StatusLine:
    """Next poll, how the feeds are, hits since midnight (UTC), and the last tick."""

    def __init__(self, lake: str):
        self._lake = lake
        self._next: float | None = None
        self._last = "no tick yet"
        self._feeds = "feeds: none yet"
        self._day = datetime.now(UTC).date()
        self._hits = hits_since(lake, self._day)
        # Last, for it draws the line at once.
        self._live = Live(
            # Log lines go above it, as long as they are: one that is cut up cannot be copied.
            console=Console(stderr=True, soft_wrap=True),
            get_renderable=self._line,
            refresh_per_second=2,
            transient=True,
            redirect_stdout=False,
        )

    def start(self) -> None:
        """Shows the line."""
        self._live.start()

    def stop(self) -> None:
        """Takes the line away."""
        self._live.stop()

    def begin(self) -> None:
        """A tick begins."""
        self._next = None

    def note(self, tick: "Tick", wait: float) -> None:
        """A tick has ended; the next one is in ``wait`` seconds."""
        self._next = time.monotonic() + wait
        today = datetime.now(UTC).date()
        if today != self._day:
            self._day, self._hits = today, 0
        self._hits += tick.count("passages_hit")
        if tick.problem or tick.counters is not None:
            outcome = "failed" if tick.problem else f"{tick.count('articles'):,} new"
            self._last = f"last tick {tick.began:%H:%M:%S} UTC, {tick.seconds:.1f} s, {outcome}"
        if tick.feeds is not None:
            counts = [f"{number:,} {state}" for state, number in tick.feeds.counts.items()]
            self._feeds = f"feeds: {', '.join(counts)}"

    def _line(self) -> Text:
        if self._next is None:
            # The terminal may cut the counts of this tick, not which feeds fail.
            parts = ["polling", self._feeds, progress_line(SHOWN)]
        else:
            left = max(0, round(self._next - time.monotonic()))
            head = f"next poll in {left // 60}:{left % 60:02}"
            parts = [head, self._feeds, f"hits today: {self._hits:,}", self._last]
        return Text(" | ".join(parts), style="dim", overflow="ellipsis", no_wrap=True)


def hits_since(lake: str, day: date) -> int:
    """The passages on a topic that the lake has got since midnight of a day, UTC."""
    # Imported when needed: a watcher that is no terminal's never asks.
    from pipelines.query import open_lake

    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    found = open_lake(lake).execute(HITS_SINCE, [midnight]).fetchone()
    return int(found[0]) if found else 0
