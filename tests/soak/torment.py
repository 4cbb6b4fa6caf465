"""Starts the watcher, kills it with -9 and stops it with SIGTERM.

The moments depend on the seed, but for what the machine's speed adds to them: a start takes as
long as it takes, and moments are drawn from within it and after it.
"""

import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path

from tests.soak.newsroom import Newsroom

REPOSITORY = Path(__file__).parents[2]
WIREWATCH = (sys.executable, "-c", "import sys; from pipelines.cli import main; sys.exit(main())")
# In full; --seconds scales them.
KILLS, STOPS = 60, 20
# Of the watcher's lives: those that end while it starts, and those that are long, so that a
# tick is finished now and then. The shares say how much of the time a life has.
EARLY, LONG = 0.25, 0.15
SHARES = {"short": 1.0, "long": 8.0}
LEAST_SECONDS, LONG_SECONDS = 0.3, 6.0
STOP_SECONDS = 10.0


def start(command: list[str], log: Path) -> subprocess.Popen:
    """A process of its own session, its output in a file."""
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "NO_COLOR": "1"}
    with open(log, "ab") as out:
        return subprocess.Popen(
            command, stdout=out, stderr=out, env=environment, start_new_session=True
        )


@dataclasses.dataclass
class Deeds:
    """What was done, and what went wrong in doing it."""

    kills: Counter[str] = dataclasses.field(default_factory=Counter)
    stops: Counter[str] = dataclasses.field(default_factory=Counter)
    compactions: Counter[str] = dataclasses.field(default_factory=Counter)
    starts: int = 0
    slowest_stop: float = 0.0
    wrong: list[str] = dataclasses.field(default_factory=list)

    def told(self) -> dict[str, str]:
        """What was done."""
        return {
            "starts": str(self.starts),
            "kill -9": counted(self.kills),
            "SIGTERM": f"{counted(self.stops)}; slowest {self.slowest_stop:.1f} s",
            "compactions": counted(self.compactions),
        }


def counted(counts: Counter[str]) -> str:
    """Counts as text."""
    parts = ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
    return f"{counts.total()} ({parts})" if parts else "0"


class Watcher:
    """The watcher as a process that lives and dies."""

    def __init__(self, newsroom: Newsroom, config: Path, lake: Path, log: Path, deeds: Deeds):
        self._newsroom, self._lake, self._log, self._deeds = newsroom, lake, log, deeds
        words = ["watch", "--every", "1s", "--config", str(config), "--lake", str(lake)]
        self._command = [*WIREWATCH, *words]
        self._child: subprocess.Popen | None = None
        self._began = self._born = 0.0
        # How long starts and stops took of late.
        self._starts: deque[float] = deque(maxlen=5)
        self._stops: deque[float] = deque(maxlen=5)
        self._is_counted = False

    def start(self) -> None:
        self._began, self._born = time.monotonic(), time.time()
        self._child, self._is_counted = start(self._command, self._log), False
        self._deeds.starts += 1

    def live(self, seconds: float) -> None:
        """Lets it live so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.keep_alive()
            if self.is_up and not self._is_counted:
                self._starts.append(time.monotonic() - self._began)
                self._is_counted = True
            time.sleep(min(left, 0.1))
        self.keep_alive()

    def keep_alive(self) -> None:
        """Notes where it ended by itself, and starts it again."""
        assert self._child is not None
        code = self._child.poll()
        if code is not None:
            self._deeds.wrong.append(f"the watcher ended by itself with {code}; see {self._log}")
            self.start()

    @property
    def starting(self) -> float:
        """Seconds from a start to the first request, as it was of late."""
        return sum(self._starts) / max(1, len(self._starts))

    @property
    def stopping(self) -> float:
        """Seconds from SIGTERM to the end, as it was of late."""
        return sum(self._stops) / max(1, len(self._stops))

    @property
    def is_up(self) -> bool:
        """Whether it has asked the newsroom for anything.

        Not at once: that would be a request that the one before it left in the queue.
        """
        return self._newsroom.last_asked > self._began + LEAST_SECONDS

    def phase(self) -> str:
        """What it is doing, as far as can be seen from here."""
        if not self.is_up:
            return "starting"
        if self._is_writing():
            return "writing"
        is_asking = time.monotonic() - self._newsroom.last_asked < 0.3
        return "fetching" if is_asking else "working or waiting"

    def _is_writing(self) -> bool:
        """Whether there is an unfinished file of this life; those of earlier ones may be left."""
        for path in self._lake.glob(".unfinished/*.tmp"):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime > self._born:
                    return True
        return False

    def kill(self) -> None:
        assert self._child is not None
        self._deeds.kills[self.phase()] += 1
        self._child.kill()
        self._child.wait()

    def close(self) -> None:
        """Ends it where it still lives, without a word."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def stop(self) -> None:
        """SIGTERM: it must end within ten seconds, and well where it was up."""
        assert self._child is not None
        is_up, began = self.is_up, time.monotonic()
        self._deeds.stops[self.phase()] += 1
        self._child.send_signal(signal.SIGTERM)
        try:
            code = self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._deeds.wrong.append(f"SIGTERM did not end the watcher in {STOP_SECONDS:.0f} s")
            self._child.kill()
            self._child.wait()
            return
        self._stops.append(time.monotonic() - began)
        self._deeds.slowest_stop = max(self._deeds.slowest_stop, self._stops[-1])
        # Before it is up there may be nobody yet to take the signal.
        fine = {0} if is_up else {0, -signal.SIGTERM}
        if code not in fine:
            self._deeds.wrong.append(f"SIGTERM ended the watcher with {code}; see {self._log}")


def plan_lives(chance: random.Random, kills: int, stops: int) -> list[tuple[str, str]]:
    """How long each life of the watcher is, and how it ends, shuffled."""
    ends = ["kill"] * kills + ["stop"] * stops
    count = len(ends)
    early, long = round(EARLY * count), max(1, round(LONG * count))
    lengths = ["early"] * early + ["long"] * long
    lengths += ["short"] * (count - len(lengths))
    chance.shuffle(ends)
    chance.shuffle(lengths)
    return list(zip(lengths, ends, strict=True))


def torment(watcher: Watcher, seed: int, kills: int, stops: int, until: float) -> None:
    """The watcher's lives, one after another, until a monotonic moment."""
    chance = random.Random(f"{seed} torment")
    lives = plan_lives(chance, kills, stops)
    watcher.start()
    while not watcher.is_up and time.monotonic() < until:
        watcher.live(0.1)
    for number, (length, end) in enumerate(lives):
        starting, left = watcher.starting, lives[number:]
        seconds = chance.uniform(0, starting)
        if length in SHARES:
            # What is left of the time after all starts and stops, in shares.
            kinds = Counter(kind for kind, _ in left)
            needed = starting * (len(left) - kinds["early"] / 2)
            needed += watcher.stopping * sum(end == "stop" for _, end in left)
            rest = max(0.0, until - time.monotonic() - needed)
            share = rest / sum(SHARES.get(kind, 0.0) * count for kind, count in kinds.items())
            extra = chance.uniform(0.2, 1.8) * SHARES[length] * share
            # On a slow machine the last lives are shorter for it.
            seconds = starting + (max(extra, LONG_SECONDS) if length == "long" else extra)
        if time.monotonic() + seconds > until + starting:
            seconds = 0.0
        watcher.live(max(LEAST_SECONDS, seconds))
        getattr(watcher, end)()
        watcher.start()
