"""Watchers as processes: signals, the lock, logs and metrics."""

import contextlib
import json
import os
import queue
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipelines.cli import hold_lake

# Far beyond what anything here takes: a hang is to fail, not to wait for ever.
PATIENCE = 60
COMMAND = "import sys; from pipelines.cli import main; sys.exit(main())"
STOPPED = "stopped in the middle of a tick; the next start does it again"


class Child:
    """A watcher in a process; its log is read as it comes."""

    def __init__(self, words, environment, folder):
        self.process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "watch", *map(str, words)],
            cwd=folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            # As in a terminal; a parent that ignores the signal would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, part: str) -> str:
        """The next line that has ``part`` in it."""
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
            if part in line:
                return line
        raise AssertionError("\n".join(["it has ended", *self.lines]))

    def end(self, *numbers: int) -> int:
        """Its exit code after it got signals."""
        for number in numbers:
            self.process.send_signal(number)
        code = self.process.wait(PATIENCE)
        while (line := self._queue.get(timeout=PATIENCE)) is not None:
            self.lines.append(line)
        return code


@pytest.fixture
def child(child_environment, tmp_path, lake, configure):
    """Starts a watcher in a process."""
    children = []

    def start(*sources, flags=(), **polls):
        config = tmp_path / "monitor.yaml"
        configure(config, sources, **{"usual": 0.001, "shortest": 0.001, **polls})
        words = ["--config", config, "--lake", lake, "--every", "0.2s", *flags]
        children.append(Child(words, child_environment, tmp_path))
        return children[-1]

    yield start
    for one in children:
        one.process.kill()
        one.process.wait()


def children_of(process: subprocess.Popen) -> list[int]:
    """Descriptors of the processes that a process has started, ready when they have ended."""
    folder = Path(f"/proc/{process.pid}/task")
    found = " ".join(path.read_text() for path in folder.glob("*/children"))
    return [os.pidfd_open(int(pid)) for pid in found.split()]


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def hang(newsroom, site, feed):
    """Puts a page that never comes into a feed."""
    held = site.Reply(site.page(3), held=True)
    newsroom.fault = lambda path: held if path == "/news/3" else None
    return feed(0, 3, etag='"new"')


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux")
def test_a_signal_ends_a_watcher_in_the_middle_of_a_hanging_page(
    child, feed, found, empty_newsroom, site, wirewatch, lake
):
    watcher = child(feed(0, 1), total_timeout=300)
    watcher.wait_for("2 new articles")
    pages = children_of(watcher.process)
    assert pages
    hang(empty_newsroom, site, feed)
    assert empty_newsroom.arrived.wait(PATIENCE)
    assert watcher.end(signal.SIGTERM) == 0
    assert STOPPED in watcher.lines[-1]
    for page in pages:
        assert select.select([page], [], [], PATIENCE)[0]
        os.close(page)
    assert wirewatch("query", "select count(*) from passages", "--lake", lake).code == 0
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_what_it_says_as_json_and_metrics(child, feed, empty_newsroom, site, lake):
    url = feed(0)
    empty_newsroom.replies["/gone.xml"] = site.Reply(status=404)
    flags = ("--log-format", "json", "--metrics-port", "0")
    first = child(url, empty_newsroom.url("/gone.xml"), flags=flags)
    place = json.loads(first.wait_for('"serving"'))["url"]
    tick = json.loads(first.wait_for('"tick"'))
    assert (tick["lake"], tick["counts"]["articles"]) == (str(lake), 1)
    assert tick["seconds"] > 0
    failing = json.loads(first.wait_for('"feed_failing"'))
    assert failing["feed_url"].endswith("/gone.xml") and "404" in failing["error"]
    first.wait_for('"tick"')
    status, health = get(f"{place}/healthz")
    assert (status, json.loads(health)["ok"]) == (200, True)
    metrics = get(f"{place}/metrics")[1].splitlines()
    for line in (
        "wirewatch_articles_total 1.0",
        'wirewatch_feeds{state="healthy"} 1.0',
        'wirewatch_feeds{state="failing"} 1.0',
        'wirewatch_dead_letters_total{stage="fetch"} 0.0',
    ):
        assert line in metrics
    assert any(line.startswith("process_resident_memory_bytes") for line in metrics)
    assert any(line.startswith('wirewatch_hits_total{topic="ceasefire"}') for line in metrics)
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    for line in first.lines:
        assert json.loads(line)["message"]


def test_a_lake_has_one_writer_which_leaves_nothing_that_is_a_hindrance(
    child, feed, found, empty_newsroom, site, wirewatch, lake
):
    url, flags = feed(0), ("--log-format", "json")
    first = child(url, flags=flags)
    first.wait_for('"tick"')
    refused = wirewatch("run", url, "--lake", lake)
    assert refused.code == 2
    assert f"wirewatch watch (process {first.process.pid} on " in refused.err
    assert len(refused.err.splitlines()) == 1
    other = child(url)
    assert other.end() == 2
    assert other.lines == refused.err.splitlines()
    assert wirewatch("query", "select 1", "--lake", lake).code == 0
    assert first.end(signal.SIGKILL) == -signal.SIGKILL
    second = child(hang(empty_newsroom, site, feed), flags=flags, total_timeout=300)
    second.wait_for('"watching"')
    assert empty_newsroom.arrived.wait(PATIENCE)
    second.process.send_signal(signal.SIGINT)
    second.wait_for('"stopping"')
    while second.process.poll() is None:
        second.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            second.process.wait(0.1)
    assert second.end() == 130
    assert json.loads(second.lines[-1])["event"] == "stopped"
    assert found() == {"/news/0": 1}


def test_a_watcher_that_does_not_get_its_port_or_its_lake_is_refused(child, feed, lake):
    url = feed(0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        watcher = child(url, flags=("--metrics-port", port))
        assert watcher.end() == 2
    assert watcher.lines == [f"wirewatch: --metrics-port {port}: Address already in use"]
    assert not lake.exists()
    with hold_lake(str(lake), "run"):
        watcher = child(url, flags=("--metrics-port", port))
        assert watcher.end() == 2
    (line,) = watcher.lines
    assert "wirewatch run (process " in line


def feed_metrics(place: str) -> dict[str, dict[str, float]]:
    """The metrics of each feed, by the path of its address."""
    found: dict[str, dict[str, float]] = {}
    for line in get(f"{place}/metrics")[1].splitlines():
        match = re.fullmatch(r'wirewatch_feed_(\w+){feed="http://[^/]+([^"]+)"} (\S+)', line)
        if match:
            found.setdefault(match[2], {})[match[1]] = float(match[3])
    return found


def test_the_metrics_name_each_feed_as_long_as_it_is_watched(
    child, feed, empty_newsroom, site, configure, tmp_path
):
    began = time.time()
    urls = [feed(0), feed(1, path="/second.xml"), empty_newsroom.url("/gone.xml")]
    watcher = child(*urls, flags=("--metrics-port", "0"))
    place = watcher.wait_for("metrics at").rpartition("/healthz")[0].rpartition(" ")[2]
    watcher.wait_for("new article")
    watcher.wait_for("new article")
    first = feed_metrics(place)
    assert {path: feed["up"] for path, feed in first.items()} == {
        "/feed.xml": 1.0, "/second.xml": 1.0, "/gone.xml": 0.0,
    }  # fmt: skip
    well = first["/feed.xml"]["last_success_timestamp_seconds"]
    assert began <= well <= time.time()
    assert first["/gone.xml"]["last_success_timestamp_seconds"] == 0
    empty_newsroom.fault = lambda path: site.Reply(status=500) if path == "/feed.xml" else None
    watcher.wait_for("Post: has failed")
    configure(tmp_path / "monitor.yaml", urls[:1], usual=0.001, shortest=0.001)
    watcher.wait_for("the change is taken up")
    watcher.wait_for("1 feed asked")
    watcher.wait_for("1 feed asked")
    second = feed_metrics(place)
    assert second.keys() == {"/feed.xml"}
    assert second["/feed.xml"]["up"] == 0
    # It stays what it was when the feed began to fail, also for a watcher that starts then.
    since = second["/feed.xml"]["last_success_timestamp_seconds"]
    assert well <= since <= time.time()
    assert get(f"{place}/healthz")[0] == 200
    assert watcher.end(signal.SIGTERM) == 0
    other = child(urls[0], flags=("--metrics-port", "0"))
    place = other.wait_for("metrics at").rpartition("/healthz")[0].rpartition(" ")[2]
    other.wait_for("new article")
    other.wait_for("new article")
    assert feed_metrics(place)["/feed.xml"] == {
        "up": 0, "last_success_timestamp_seconds": since,
    }  # fmt: skip


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_a_disk_that_takes_no_more_is_named_and_nothing_lost(child, feed, found, empty_newsroom):
    url = feed(0)
    watcher = child(url, flags=("--metrics-port", "0"))
    place = watcher.wait_for("healthz").rpartition(" ")[2]
    watcher.wait_for("1 new article")
    limits = resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, (100, limits[1]))
    feed(0, 1, etag='"new"')
    line = watcher.wait_for("nothing is lost")
    assert "a file would be larger than is allowed here" in line
    watcher.wait_for("nothing is lost")
    status, health = get(place)
    assert (status, json.loads(health)["ok"]) == (503, False)
    assert "larger than is allowed" in json.loads(health)["reason"]
    resource.prlimit(watcher.process.pid, resource.RLIMIT_FSIZE, limits)
    watcher.wait_for("all is well again")
    assert watcher.end(signal.SIGINT) == 0
    assert "Traceback" not in "".join(watcher.lines)
    assert watcher.lines[-1].endswith("stopped; the lake holds what was finished")
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_a_bug_ends_a_watcher_with_a_traceback(child, feed, lake):
    # A file that no writer of ours makes.
    place = lake / "polls" / f"date={datetime.now(UTC):%Y-%m-%d}"
    place.mkdir(parents=True)
    (place / "a.parquet").write_text("no Parquet")
    watcher = child(feed(0), flags=("--log-format", "json"))
    assert watcher.end() == 1
    crash = json.loads(watcher.lines[-1])
    assert crash["event"] == "crash" and "Traceback" in crash["traceback"]
