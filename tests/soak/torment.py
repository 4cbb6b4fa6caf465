"""Starts the watcher, kills it with -9, stops it with SIGTERM; kills compaction beside it.

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
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pipelines.cli import COMMANDS
from tests.soak.newsroom import Newsroom

REPOSITORY = Path(__file__).parents[2]
WIREWATCH = (sys.executable, "-c", "import sys; from pipelines.cli import main; sys.exit(main())")
# In full; --seconds scales them.
KILLS, STOPS, COMPACTIONS = 60, 20, 20
# Of the watcher's lives: those that end while it starts, and those that are long, so that a
# tick is finished now and then. The shares say how much of the time a life has.
EARLY, LONG = 0.25, 0.15
SHARES = {"short": 1.0, "long": 8.0}
LEAST_SECONDS = 0.3
# A compaction that has nothing to do cannot be caught at work: then it ends by itself.
MOST_FINISHED = 3
RUNNING = "another compaction is at work on this lake\n"
STOP_SECONDS = 10.0


def can_watch() -> bool:
    """Whether there is ``wirewatch watch``; else runs in a row take its place."""
    return "watch" in COMMANDS


def watch_command(config: Path, lake: Path) -> list[str]:
    """What watches."""
    words = ["watch", "--every", "1s"] if can_watch() else ["run"]
    return [*WIREWATCH, *words, "--config", str(config), "--lake", str(lake)]


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
        self._command = watch_command(config, lake)
        self._child: subprocess.Popen | None = None
        self._began = self._born = 0.0

    def start(self) -> None:
        self._began, self._born = time.monotonic(), time.time()
        self._child = start(self._command, self._log)
        self._deeds.starts += 1

    def live(self, seconds: float) -> None:
        """Lets it live so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.keep_alive()
            time.sleep(min(left, 0.1))
        self.keep_alive()

    def keep_alive(self) -> None:
        """Notes where it ended by itself, and starts it again."""
        assert self._child is not None
        code = self._child.poll()
        if code is None:
            return
        # A single run is over when it is done.
        if can_watch() or code != 0:
            self._deeds.wrong.append(f"the watcher ended by itself with {code}; see {self._log}")
        self.start()

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
        self._deeds.slowest_stop = max(self._deeds.slowest_stop, time.monotonic() - began)
        # Before it is up there is nobody yet to take the signal; a single run never takes it.
        fine = {0} if can_watch() and is_up else {0, -signal.SIGTERM}
        if code not in fine:
            self._deeds.wrong.append(f"SIGTERM ended the watcher with {code}; see {self._log}")


class Compactor(threading.Thread):
    """Starts compaction again and again and kills it, beside the watcher."""

    def __init__(self, seed: int, count: int, until: float, lake: Path, log: Path, deeds: Deeds):
        super().__init__(daemon=True)
        self._chance = random.Random(f"{seed} compact")
        self._count, self._until, self._deeds = count, until, deeds
        self._lake, self._log = lake, log
        before = datetime.now(UTC).date() + timedelta(days=1)
        words = ["compact", "--before", before.isoformat(), "--lake", str(lake)]
        self._command = [*WIREWATCH, *words]
        self._took = 4.0
        # The folders of compactions before.
        self._left: set[str] = set()
        self._child: subprocess.Popen | None = None

    def close(self) -> None:
        """Ends a compaction that is under way."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def run(self) -> None:
        if "compact" not in COMMANDS:
            return
        while not any(self._lake.glob("passages/date=*/*.parquet")):
            if time.monotonic() > self._until:
                return
            time.sleep(0.1)
        self._compact(float("inf"), False)
        while self._deeds.compactions["finished"] < MOST_FINISHED * self._count:
            left = self._count - self._kills
            if left <= 0 or time.monotonic() > self._until:
                break
            # Half of the kills come at any moment, half when there is something half done.
            at_work = self._chance.random() < 0.5
            self._compact(self._chance.uniform(0, self._took), at_work)
            rest = (self._until - time.monotonic()) / left - self._took
            time.sleep(self._chance.uniform(0, max(rest, 0.0)))

    @property
    def _kills(self) -> int:
        return self._deeds.compactions["killed"] + self._deeds.compactions["killed at work"]

    def _compact(self, seconds: float, at_work: bool) -> None:
        """One compaction, killed after so long, or soon after it is seen to be at work."""
        began, is_working = time.monotonic(), False
        child = self._child = start(self._command, self._log)
        end = began + (float("inf") if at_work else seconds)
        while child.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
            if not is_working and self._is_working():
                is_working = True
                if at_work:
                    end = time.monotonic() + self._chance.uniform(0, 0.15)
        self.close()
        code = child.returncode
        if code == -signal.SIGKILL:
            self._deeds.compactions["killed at work" if is_working else "killed"] += 1
        elif code == 0:
            self._took = time.monotonic() - began
            self._deeds.compactions["finished"] += 1
        elif self._log.read_text().endswith(RUNNING):
            # The watcher's own.
            self._deeds.compactions["refused"] += 1
        else:
            self._deeds.wrong.append(f"compaction ended with {code}; see {self._log}")

    def _is_working(self) -> bool:
        """Whether there is a folder of files that are being merged, or were when it was killed."""
        with contextlib.suppress(OSError):
            for path in self._lake.glob(".unfinished/*/"):
                if path.is_dir() and path.name not in self._left:
                    self._left.add(path.name)
                    return True
        return False


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
    began = time.monotonic()
    while not watcher.is_up and time.monotonic() < until:
        watcher.live(0.1)
    starting = time.monotonic() - began
    for number, (length, end) in enumerate(lives):
        left = lives[number:]
        seconds = chance.uniform(0, starting)
        if length in SHARES:
            # What is left of the time after all starts, in shares.
            rest = until - time.monotonic() - starting * len(left)
            share = max(0.0, rest) / sum(SHARES.get(kind, 0.0) for kind, _ in left)
            seconds = starting + chance.uniform(0.2, 1.8) * SHARES[length] * share
        if time.monotonic() + seconds > until + starting:
            seconds = 0.0
        watcher.live(max(LEAST_SECONDS, seconds))
        getattr(watcher, end)()
        watcher.start()
