"""Measures what extraction costs and finds, beside trafilatura's own default.

    python -m benchmarks.extract --pages DIR [--limit N] [--passes N]

DIR is as for ``benchmarks.pages``, which also says what text F1 is. Two ways to read each page
take turns, pass by pass, in one process: ``trafilatura.extract`` in its default settings, which
gives a text and nothing else, and ours, which gives text, title, authors, publisher, section,
address and dates. A page's cost is the median over the passes of the CPU time it took; the
figure is the mean over the pages. Exits with 1 where ours costs more than 1.15 times as much or
its F1 is worse.
"""

import argparse
import gc
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import trafilatura

from benchmarks.pages import mean, read_pages, text_f1
from transforms.content import Content
from transforms.html import html_content

MOST = 1.15
Reader = Callable[[bytes, str], str]


def default_text(body: bytes, url: str) -> str:
    return trafilatura.extract(body) or ""


def our_text(body: bytes, url: str) -> str:
    found = html_content(body, url)
    return found.text if isinstance(found, Content) else ""


READERS: dict[str, Reader] = {"trafilatura, text only": default_text, "wirewatch": our_text}


def measure(
    pages: dict[str, bytes], urls: dict[str, str], passes: int
) -> tuple[dict[str, float], dict[str, dict[str, str]]]:
    """CPU milliseconds a page of each reader, and the texts it gave."""
    seconds: dict[tuple[str, str], list[float]] = {}
    texts: dict[str, dict[str, str]] = {reader: {} for reader in READERS}
    # One pass that does not count: libraries make tables when first used.
    for turn in range(passes + 1):
        for name, body in pages.items():
            # Who comes first finds the page's bytes cold: they change places.
            order = list(READERS.items())[:: 1 if turn % 2 else -1]
            for reader, read in order:
                gc.collect(0)
                began = time.process_time()
                texts[reader][name] = read(body, urls[name])
                if turn:
                    seconds.setdefault((reader, name), []).append(time.process_time() - began)
    cost = {
        reader: 1000 * mean([statistics.median(seconds[reader, name]) for name in pages])
        for reader in READERS
    }
    return cost, texts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract")
    parser.add_argument("--pages", type=Path, required=True, help="folder of pages and truth")
    parser.add_argument("--limit", type=int, help="only the first so many pages")
    parser.add_argument("--passes", type=int, default=5, help="default: 5")
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)
    pages, truth = read_pages(flags.pages, flags.limit)
    content = json.loads((flags.pages / "ground-truth.json").read_text(encoding="utf-8"))
    cost, texts = measure(pages, {name: content[name]["url"] for name in pages}, flags.passes)
    base = next(iter(READERS))
    scores = {r: mean([text_f1(texts[r][name], truth[name]) for name in pages]) for r in READERS}
    print(f"{len(pages)} pages, median of {flags.passes} passes")
    print(f"{'':<24}{'CPU ms a page':>14}{'of default':>12}{'text F1':>10}{'with text':>11}")
    for reader in READERS:
        found = sum(map(bool, texts[reader].values()))
        ratio = cost[reader] / cost[base]
        print(f"{reader:<24}{cost[reader]:>14.2f}{ratio:>12.3f}{scores[reader]:>10.4f}{found:>11}")
    good = cost["wirewatch"] <= MOST * cost[base] and scores["wirewatch"] >= scores[base]
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
