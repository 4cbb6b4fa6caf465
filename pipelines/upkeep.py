"""What a watcher does for its lake between ticks: it compacts the days that are closed."""

import json
import logging
import os
import subprocess
import sys
import threading
import time

from pipelines.logs import say
from transforms.clean import counted

EVERY_SECONDS = 3600.0
# What a day must have of files that are not compacted before it is taken up.
LEAST_FILES = 8
LOOK_SECONDS = 0.2
COMMAND = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop(1)); "
    "from pipelines.cli import main; sys.exit(main())"
)


class Upkeep:
    """Compacts closed days now and then.

    In a process of its own: sorting takes memory that a watcher would not give back.
    """

    def __init__(self, stop: threading.Event):
        self._stop = stop
        self._next = 0.0

    def after_tick(self, lake: str) -> None:
        """Compacts the lake, where that has not been done lately; ends early on a stop."""
        if time.monotonic() < self._next or self._stop.is_set():
            return
        self._next = time.monotonic() + EVERY_SECONDS
        words = ["compact", "--lake", lake, "--least", str(LEAST_FILES), "--json"]
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, json.dumps(sys.path), *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A Ctrl-C is for this process to answer.
            process_group=0,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )
        with process:
            while (out := self._output(process)) is None:
                pass
        tell(lake, *out, process.returncode)

    def _output(self, process: subprocess.Popen) -> tuple[str, str] | None:
        """What the process wrote, once it has ended; it is killed on a stop."""
        if self._stop.is_set():
            process.kill()
        try:
            out, problems = process.communicate(timeout=LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return out, problems


def tell(lake: str, out: str, problems: str, code: int) -> None:
    """Logs what a compaction has done, and what it could not do."""
    if code < 0:
        return  # It was ended with this process; the next one does it again.
    for line in problems.splitlines():
        say("compaction", line.removeprefix("wirewatch: "), logging.WARNING, lake=lake)
    done = json.loads(out) if out and code in (0, 1) else {}
    if done.get("days"):
        files = f"{done['files_before']:,} files of {counted(done['days'], 'partition')} are now"
        say("compacted", f"{files} {done['files_after']:,}", lake=lake, **done)
