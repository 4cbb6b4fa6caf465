"""A disk that takes no more, met by commands that end: one line, exit code 1, nothing lost."""

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from pipelines.environment import environment_problem
from pipelines.upkeep import tell

PATIENCE = 60
# As a full disk does, the kernel refuses to write: past the limit on a file's size, which is
# set when the first file of the lake, the last argument, is opened for writing.
ON_A_FULL_DISK = """
import resource, sys
from pipelines.cli import main
def limit(event, arguments):
    in_lake = event == "open" and str(arguments[0]).startswith(sys.argv[-1] + "/")
    if in_lake and "w" in str(arguments[1]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
sys.addaudithook(limit)
sys.exit(main(sys.argv[1:]))
"""
AS_EVER = "import sys; from pipelines.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def command(child_environment, tmp_path):
    """Runs a command on the lake of the test in a process of its own."""

    def run_command(script: str, *words: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-c", script, *map(str, words), "--lake", tmp_path / "lake"],
            cwd=tmp_path,
            env=child_environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )

    return run_command


@pytest.fixture
def inbox(tmp_path, write_story):
    """A folder with an article, and a page that has none."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    (folder / "a.txt").write_text(write_story(0))
    (folder / "menu.html").write_text("<html><body><img src='map.png'></body></html>")
    return folder


def articles(rows, lake) -> set[str]:
    return {row["source"] for row in rows(lake, "passages")}


def test_a_command_on_a_full_disk_says_so_in_a_line(command, inbox, tmp_path, rows, write_story):
    lake = tmp_path / "lake"
    (tmp_path / "monitor.yaml").write_text("lake: lake")
    (tmp_path / "topics.yaml").write_text("topics: [{name: nato}]")
    assert command(AS_EVER, "run", inbox).returncode == 0
    before = sorted(lake.rglob("*.parquet"))
    (inbox / "b.txt").write_text(write_story(1))
    for words in (
        ("run", inbox),
        ("retry", "--all"),
        ("reclassify", "--config", tmp_path / "monitor.yaml"),
    ):
        done = command(ON_A_FULL_DISK, *words)
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"wirewatch: {lake}: a file would be larger than is allowed here; ")
        assert "nothing is lost, and the next run goes on" in line
        assert (done.returncode, done.stdout) == (1, "")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()
    done = command(ON_A_FULL_DISK, "compact", "--before", tomorrow)
    assert (done.returncode, done.stdout) == (1, "Nothing was compacted.\n")
    (line,) = done.stderr.splitlines()
    assert line.startswith("wirewatch: not compacted: passages of ")
    assert " and 1 partition more: " in line
    assert sorted(lake.rglob("*.parquet")) == before
    assert command(AS_EVER, "run", inbox).returncode == 0
    assert articles(rows, lake) == {"a.txt", "b.txt"}


def test_a_bug_still_ends_a_run_in_its_traceback(command, inbox, tmp_path):
    place = tmp_path / "lake" / "passages" / "date=2024-03-01"
    place.mkdir(parents=True)
    # A file that no writer of ours makes.
    (place / "a.parquet").write_text("no Parquet")
    done = command(AS_EVER, "run", inbox)
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "nothing is lost" not in done.stderr


def test_a_compaction_that_the_disk_ends_is_no_crash_of_the_watcher(caplog):
    problem = environment_problem(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "/srv/lake")
    tell("/srv/lake", "", f"wirewatch: {problem}\n", 1)
    assert [record.getMessage() for record in caplog.records] == ["/srv/lake: the disk is full"]
