"""Starts ``wirewatch compact`` beside the watcher and kills it with -9."""

import contextlib
import random
import signal
import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.soak.torment import WIREWATCH, Deeds, start

# In full; --seconds scales them.
COMPACTIONS = 20
# A compaction that has nothing to do cannot be caught at work: then it ends by itself.
MOST_FINISHED = 3
RUNNING = "another compaction is at work on this lake\n"


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
