"""What ticks of the watcher cost: memory after 100 ticks and after all of them, seconds a tick.

    python -m benchmarks.ticks [--ticks 2000] [--feeds 3] [--new-every 5]

Runs the watcher's own ticks, one after the other, over feeds of a server of its own, each of
which is due in every tick; after so many ticks one of them has a new article. Exits with 1
where memory has grown by more than 10 percent after tick 100.
"""

import argparse
import json
import os
import resource
import sys
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from pipelines.cli import configure_logging, hold_lake
from pipelines.options import parse_watch
from pipelines.reload import Configuration
from pipelines.report import Report
from pipelines.watch import Watcher

SETTLED = 100
GROWTH = 1.10
LISTED = 20
PARAGRAPHS = (
    "Negotiators said after {} days of talks that both armies would stop the fighting along the "
    "river, and that a ceasefire would begin at midnight in district {}.",
    "Bakers went back to work on the same morning, and {} families stood in a queue for firewood "
    "that reached from the mill to bridge number {}.",
    "Ministers abroad kept their sanctions on {} banks and on a shipping company, and said that "
    "they would look at list {} again before the winter.",
)


class Site:
    """A web site of feeds to which articles are added."""

    def __init__(self, feeds: int):
        self.articles: list[list[int]] = [[] for _ in range(feeds)]
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = site.page(self.path.strip("/"))
                self.send_response(404 if body is None else 200)
                content = (body or "").encode()
                self.send_header("Content-Type", "text/html" if "/a" in self.path else "text/xml")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

        self._server = Server(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def page(self, name: str) -> str | None:
        """The body of a feed (f0, f1, ...) or an article (a0, a1, ...)."""
        number = int(name[1:]) if name[1:].isdigit() else None
        if number is None or name[0] not in "fa":
            return None
        if name[0] == "f":
            links = (f"{self.url}/a{n}" for n in self.articles[number][-LISTED:])
            items = "".join(f"<item><title>T</title><link>{link}</link></item>" for link in links)
            return f"<rss version='2.0'><channel><title>{name}</title>{items}</channel></rss>"
        text = "".join(f"<p>{p.format(number * 7 + 3, number)}</p>" for p in PARAGRAPHS * 3)
        return f"<html lang=en><body><article><h1>No {number}</h1>{text}</article></body></html>"


def resident_bytes() -> int:
    """The memory of this process that is in use now; its peak where the system tells no more."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def measure(folder: Path, ticks: int, feeds: int, new_every: int) -> tuple[int, int]:
    """Runs the ticks and prints a row for every hundred; memory at tick 100 and at the end."""
    site = Site(feeds)
    config = folder / "monitor.yaml"
    polls = {"shortest": 0.001, "usual": 0.001}
    sources = [{"url": f"{site.url}/f{number}"} for number in range(feeds)]
    config.write_text(json.dumps({"polls": polls, "sources": sources}))
    words = ["--config", str(config), "--lake", str(folder / "lake")]
    flags = parse_watch(words)
    configuration = Configuration(flags)
    settled, start, articles = 0, time.monotonic(), 0
    print(f"{'tick':>6} {'articles':>9} {'RSS MB':>7} {'s/tick':>7}", flush=True)
    with hold_lake(configuration.plan.lake, "watch") as lock:
        watcher = Watcher(configuration, lock, 1e-6, Report(flags, configuration))
        for tick in range(1, ticks + 1):
            if tick % new_every == 0:
                site.articles[articles % feeds].append(articles)
                articles += 1
            watcher.tick()
            if tick % SETTLED == 0:
                seconds = (time.monotonic() - start) / SETTLED
                now = resident_bytes()
                print(f"{tick:>6} {articles:>9} {now / 1e6:>7.1f} {seconds:>7.3f}", flush=True)
                settled, start = settled or now, time.monotonic()
    return settled, resident_bytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--ticks", type=int, default=2000)
    parser.add_argument("--feeds", type=int, default=3)
    parser.add_argument("--new-every", type=int, default=5)
    flags = parser.parse_args()
    configure_logging()
    with tempfile.TemporaryDirectory() as folder:
        settled, end = measure(Path(folder), flags.ticks, flags.feeds, flags.new_every)
    growth = end / settled if settled else 1.0
    print(f"memory at the end: {growth:.3f} times that after {SETTLED} ticks")
    return int(growth > GROWTH)


if __name__ == "__main__":
    sys.exit(main())
