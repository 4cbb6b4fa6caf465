"""Measures a run over an archive of many pages: python -m benchmarks.backfill --pages 5000 20000

The archive is made of short invented articles, no two the same. The memory is that of the run
and of its page processes together, looked at twice a second.
"""

import argparse
import gzip
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

TARGET_MB = 1500
EVERY_SECONDS = 0.5
PLACES = ("Alder", "Brack", "Corven", "Dunmar", "East", "Fenn", "Garrow", "Hollen", "Ister")
KINDS = ("haven", "moor", "ne", "row", "whistle", "ick", "by", "berg", "bay", "port", "field")
WORDS = (
    *("the", "town", "council", "market", "bridge", "river", "school", "winter", "harvest", "road"),
    *("mill", "train", "morning", "budget", "meeting", "neighbours", "workers", "roof", "timber"),
    *("library", "concert", "team", "doctor", "queue", "price", "bread", "bus", "forest", "hall"),
)


def page(number: int) -> bytes:
    """A page with an article of three paragraphs."""
    dice = random.Random(number)
    town = dice.choice(PLACES) + dice.choice(KINDS)
    texts = [
        f"{town} said on day {number} that " + " ".join(dice.choices(WORDS, k=40)) + "."
        for _ in range(3)
    ]
    day = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=number % 30)
    return (
        f"<!doctype html><html lang=en><head><title>News {number} of {town}</title>"
        f'<meta property="article:published_time" content="{day.isoformat()}"></head><body>'
        f"<main><article><h1>News {number} of {town}</h1>"
        + "".join(f"<p>{text}</p>" for text in texts)
        + "</article></main></body></html>"
    ).encode()


def make_archive(path: Path, pages: int) -> None:
    """Writes a WARC (ISO 28500) of so many pages, compressed record by record."""
    with open(path, "wb") as file:
        for number in range(pages):
            body = page(number)
            answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
            head = (
                f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:x:{number}>\r\n"
                f"WARC-Target-URI: https://news{number % 50}.example/{number}.html\r\n"
                "WARC-Date: 2024-02-01T00:00:00Z\r\n"
                "Content-Type: application/http; msgtype=response\r\n"
                f"Content-Length: {len(answer)}\r\n\r\n"
            )
            file.write(gzip.compress(head.encode() + answer + b"\r\n\r\n", 1))


def family(parent: int) -> list[int]:
    """A process and all its descendants (proc(5))."""
    found, waiting = [], [parent]
    while waiting:
        process = waiting.pop()
        found.append(process)
        for children in Path(f"/proc/{process}/task").glob("*/children"):
            try:
                waiting += map(int, children.read_text().split())
            except OSError:
                continue
    return found


def resident_mb(process: int) -> float:
    """The memory of a process; 0 for one that has ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(pages: int) -> tuple[str, float, float, float]:
    """What the run says, its seconds, and the peak of its memory: all and without children."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "pages.warc.gz"
        make_archive(archive, pages)
        code = "import sys; from pipelines.cli import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "run", str(archive), "--lake", f"{folder}/lake"]
        start, peak, own = time.monotonic(), 0.0, 0.0
        with open(f"{folder}/out", "w+") as out:
            child = subprocess.Popen(command, stdout=out)
            while child.poll() is None:
                sizes = [resident_mb(process) for process in family(child.pid)]
                peak, own = max(peak, sum(sizes)), max(own, sizes[0])
                time.sleep(EVERY_SECONDS)
            out.seek(0)
            line = out.readline().strip()
        return line, time.monotonic() - start, peak, own


def main() -> None:
    """Prints one row a size of archive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, nargs="+", default=[5_000, 20_000])
    flags = parser.parse_args()
    rows = []
    for pages in flags.pages:
        line, seconds, peak, own = measure(pages)
        print(line, flush=True)
        rows.append((pages, seconds, pages / seconds, peak, own))
    print(
        f"{'pages':>8} {'seconds':>8} {'pages/s':>8} {'peak RSS':>9} {'without page processes':>23}"
    )
    for pages, seconds, rate, peak, own in rows:
        print(f"{pages:8,} {seconds:8.0f} {rate:8.1f} {peak:6.0f} MB {own:20.0f} MB")
    print(f"target: under {TARGET_MB:,} MB")


if __name__ == "__main__":
    main()
