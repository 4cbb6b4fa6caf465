"""Runs wirewatch over saved news pages and measures what it keeps, and at what cost.

    python -m benchmarks.pages --pages DIR [--limit N]

DIR holds pages as NAME.html.gz and ground-truth.json: {NAME: {"articleBody": text, "url": url}}.
A local server serves the pages behind a feed; wirewatch runs twice over it, in processes of
its own, into a lake that is thrown away.

Text F1 compares a text with the ground truth as bags of words. A word is a run of letters,
digits and underscores, in lower case; the overlap counts each word as often as it stands in
both texts. Precision is the overlap over the words of the text, recall the overlap over the
words of the truth, F1 their harmonic mean; no text has F1 0. The figure is the mean over pages.

CPU and wall time are those of the first run, start-up included.
"""

import argparse
import contextlib
import dataclasses
import gzip
import json
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.dataset
import trafilatura

WORD = re.compile(r"\w+")
FEED = "/feed.xml"


@dataclasses.dataclass(frozen=True)
class Run:
    """What one run of wirewatch cost, in seconds and MB."""

    wall: float
    cpu: float
    peak_rss: float


def read_pages(folder: Path, limit: int | None) -> tuple[dict[str, bytes], dict[str, str]]:
    """The pages, and the text that each should give, by name."""
    truth = json.loads((folder / "ground-truth.json").read_text(encoding="utf-8"))
    names = sorted(truth)[:limit]
    pages = {name: gzip.decompress((folder / f"{name}.html.gz").read_bytes()) for name in names}
    return pages, {name: truth[name]["articleBody"] for name in names}


@contextlib.contextmanager
def serve(pages: dict[str, bytes]) -> Iterator[str]:
    """Serves the pages and a feed of them on this machine; gives the server's address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.removeprefix("/page/")
            body = feed if self.path == FEED else pages.get(name)
            self.send_response(404 if body is None else 200)
            kind = "application/rss+xml" if self.path == FEED else "text/html"
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_):
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        base = f"http://127.0.0.1:{server.server_port}"
        items = "".join(f"<item><link>{page_url(base, name)}</link></item>" for name in pages)
        feed = f"<rss version='2.0'><channel><title>Pages</title>{items}</channel></rss>".encode()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield base
        finally:
            server.shutdown()


def page_url(base: str, name: str) -> str:
    """The address a page is served under."""
    return f"{base}/page/{name}"


def run_wirewatch(feed: str, lake: Path) -> Run:
    """Runs wirewatch over a feed in a process of its own."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = (sys.executable, "-m", "pipelines.monitor", feed, "--lake", lake, "--json")
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # The peak is in kilobytes, on macOS in bytes.
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return Run(time.monotonic() - start, cpu, after.ru_maxrss / unit)


def read_table(lake: Path, table: str) -> list[dict]:
    """The rows of a table; none where the lake does not have it."""
    folder = lake / table
    if not folder.is_dir():
        return []
    return pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pylist()


def stored_texts(passages: list[dict]) -> dict[str, str]:
    """The text of each article in the lake by its address, put together from its passages."""
    texts: dict[str, str] = {}
    for row in sorted(passages, key=lambda row: row["position"]):
        texts[row["url"]] = texts.get(row["url"], "") + row["text"] + row["separator"]
    return texts


def text_f1(text: str, truth: str) -> float:
    """How well a text matches the ground truth; see the head of this file."""
    words, true_words = (Counter(WORD.findall(one.lower())) for one in (text, truth))
    overlap = (words & true_words).total()
    return 2 * overlap / ((words.total() + true_words.total()) or 1)


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def measure(folder: Path, limit: int | None) -> tuple[dict[str, object], bool]:
    """The figures of the table, and whether every page is accounted for and none added twice."""
    pages, truth = read_pages(folder, limit)
    with tempfile.TemporaryDirectory() as temporary, serve(pages) as base:
        lake = Path(temporary) / "lake"
        first = run_wirewatch(base + FEED, lake)
        passages, errors = read_table(lake, "passages"), read_table(lake, "errors")
        run_wirewatch(base + FEED, lake)
        added = len(read_table(lake, "passages")) - len(passages)
    texts = stored_texts(passages)
    urls = {name: page_url(base, name) for name in pages}
    failed = {row["key"] for row in errors}
    missing = [url for url in urls.values() if url not in texts and url not in failed]
    ours = [text_f1(texts.get(urls[name], ""), truth[name]) for name in pages]
    default = [text_f1(trafilatura.extract(pages[name]) or "", truth[name]) for name in pages]
    stages = Counter(row["stage"] for row in errors)
    figures = {
        "pages": len(pages),
        "articles in the lake": len(texts),
        **{f"dead letters, {stage}": number for stage, number in sorted(stages.items())},
        "neither article nor dead letter": len(missing),
        "passages": len(passages),
        "mean text F1, wirewatch": f"{mean(ours):.4f}",
        "mean text F1, trafilatura default": f"{mean(default):.4f}",
        "rows added by a second run": added,
        "wall seconds": f"{first.wall:.1f}",
        "CPU ms a page": f"{1000 * first.cpu / max(len(pages), 1):.0f}",
        "peak RSS MB": f"{first.peak_rss:.0f}",
    }
    return figures, not missing and not added


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pages")
    parser.add_argument("--pages", type=Path, required=True, help="folder of pages and truth")
    parser.add_argument("--limit", type=int, help="only the first so many pages")
    flags = parser.parse_args()
    figures, good = measure(flags.pages, flags.limit)
    width = max(map(len, figures))
    for name, value in figures.items():
        print(f"{name:<{width}}  {value:>8}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
