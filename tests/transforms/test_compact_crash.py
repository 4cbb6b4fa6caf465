"""Compactions that end by a signal before each of their steps on disk, one after another."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest

from tests.lakes import DAY, article_rows, glob_rows, our_rows, put_articles, unique
from transforms.compact import compact_lake

PATIENCE = 120
REPOSITORY = Path(__file__).parents[2]
TODAY = (DAY + timedelta(days=2)).date()
# For each step of a compaction a copy of the lake, and a process that ends before that step. The
# interpreter itself tells of the steps (PEP 578). Prints which steps there were.
ENDS_EVERYWHERE = """
import json, os, shutil, signal, sys
from datetime import date
from transforms import swap
from transforms.compact import compact_lake

lake, copies, kind = sys.argv[1:]
STEPS = ("os.rename", "os.link", "os.remove", "os.rmdir", "ctypes.dlsym")
if kind == "records":
    swap.exchange_call = lambda one, other: 22

def attempt(number, copy):
    steps = 0
    def look(event, arguments):
        nonlocal steps
        if event in STEPS or event == "open" and str(arguments[0]).startswith(copy):
            steps += 1
            if steps == number:
                os.write(1, json.dumps([event, str(arguments[0])]).encode() + b"\\n")
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(look)
    compact_lake(copy, date(2024, 3, 3))

for number in range(1, 1000):
    copy = f"{copies}/{number}"
    shutil.copytree(lake, copy)
    child = os.fork()
    if not child:
        try:
            attempt(number, copy)
        finally:
            os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


@pytest.mark.parametrize("kind", ["exchange", "records"])
def test_a_compaction_killed_at_any_step_loses_and_doubles_nothing(tmp_path, classified, kind):
    lake, copies = tmp_path / "lake", tmp_path / "copies"
    articles = [article_rows(classified, n) for n in range(3)]
    for article in articles:
        put_articles(lake, article)
    copies.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", ENDS_EVERYWHERE, lake, copies, kind],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stderr) == (0, "")
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    kinds = Counter(event for event, _ in steps)
    assert kinds["open"] >= 4 and kinds["os.remove"] >= 3
    assert kinds["ctypes.dlsym" if kind == "exchange" else "os.rename"] >= 1
    # By records, only our own readers see each row once while one is pending.
    readers = [our_rows, glob_rows] if kind == "exchange" else [our_rows]
    whole = copies / str(len(steps) + 1)
    shape = layout(whole)
    for number, step in enumerate(steps, 1):
        copy = copies / str(number)
        for read in readers:
            assert read(copy) == unique(*articles), step
        compact_lake(str(copy), TODAY)
        assert glob_rows(copy) == our_rows(copy) == unique(*articles), step
        assert layout(copy) == shape, step
        shutil.rmtree(copy)


def layout(lake: Path) -> Counter:
    """How many files each folder of a lake has, records and half-written ones aside."""
    found = (
        path for path in lake.rglob("*") if path.is_file() and path.suffix not in (".json", ".tmp")
    )
    return Counter(str(path.parent.relative_to(lake)) for path in found)
