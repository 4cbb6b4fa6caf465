"""Measures how soon a ledger knows a large lake, and its memory: python -m benchmarks.ledger

The lake is made at random: days of one compacted file each, and the last day in many small
files. Ten passages an article; one article in five was found under another address than its own.
"""

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import PASSAGES, stable_id

PASSAGES_EACH, REDIRECTED, DAYS, SMALL_FILES = 10, 5, 700, 300
TARGET = 10.0


def hex_ids(count: int) -> np.ndarray:
    """Random ids as ids are: 32 hex digits."""
    raw = os.urandom(16 * count).hex()
    return np.array([raw[start : start + 32] for start in range(0, len(raw), 32)])


def make_file(path: Path, moment: datetime, articles: int) -> None:
    """Writes a file of articles of one moment, sorted as a compaction does."""
    each = np.repeat(np.arange(articles), PASSAGES_EACH)
    ids, revisions = hex_ids(articles), hex_ids(articles)
    canonical = np.array([f"https://news{n % 200}.example/{ids[n]}" for n in range(articles)])
    found = np.array(
        [f"{u}?from=rss" if n % REDIRECTED == 0 else u for n, u in enumerate(canonical)]
    )
    rows = len(each)
    known = {
        "passage_id": hex_ids(rows),
        "article_id": ids[each],
        "revision": revisions[each],
        "url": found[each],
        "canonical_url": canonical[each],
        "position": np.tile(np.arange(PASSAGES_EACH, dtype=np.int32), articles),
    }
    columns = []
    for field in PASSAGES.schema:
        if field.name in known:
            columns.append(pa.array(known[field.name], field.type))
        elif field.nullable:
            columns.append(pa.nulls(rows, field.type))
        else:
            usual = {pa.string(): "A short text.", pa.int32(): 1}.get(field.type, moment)
            value = [] if pa.types.is_list(field.type) else usual
            columns.append(pa.repeat(pa.scalar(value, field.type), rows))
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_arrays(columns, schema=PASSAGES.schema)
    pq.write_table(table, path, compression="zstd", row_group_size=8_192)


def make_lake(lake: str, articles: int) -> None:
    """Makes a lake of so many articles, a tenth of them in the small files."""
    today = datetime.now(UTC)
    large, small = articles * 9 // 10 // DAYS, articles // 10 // SMALL_FILES
    for number in range(DAYS + SMALL_FILES):
        moment = today - timedelta(days=max(DAYS - number, 0))
        folder = Path(lake, PASSAGES.name, f"date={moment.date().isoformat()}")
        make_file(
            folder / f"{stable_id(str(number))}.parquet", moment, large if number < DAYS else small
        )


def rss() -> float:
    """The memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def measure(
    lake: str, answer: "multiprocessing.Queue[tuple[int, float, float, float, float]]"
) -> None:
    """Ids, seconds, seconds of a processor, and megabytes added, once ready and at most."""
    from transforms.ledger import Ledger, LedgerPolicy

    before, start, used = rss(), time.monotonic(), time.process_time()
    ledger = Ledger(lake, LedgerPolicy())
    ledger.refresh()
    seconds, cpu, added = time.monotonic() - start, time.process_time() - used, rss() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before
    answer.put((len(ledger._known), seconds, cpu, added, peak))


def main() -> None:
    """Prints one row a size of lake."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--articles", type=int, nargs="+", default=[100_000, 1_000_000])
    flags = parser.parse_args()
    print(
        f"{'articles':>10} {'ids':>10} {'seconds':>8} {'CPU s':>6} {'RSS added':>10} {'at most':>9}"
    )
    spawn = multiprocessing.get_context("spawn")
    for articles in flags.articles:
        with tempfile.TemporaryDirectory() as folder:
            make_lake(folder, articles)
            answer = spawn.Queue()
            child = spawn.Process(target=measure, args=(folder, answer))
            child.start()
            ids, seconds, cpu, added, peak = answer.get()
            child.join()
        print(
            f"{articles:10,} {ids:10,} {seconds:8.1f} {cpu:6.1f} {added:7.0f} MB {peak:6.0f} MB",
            flush=True,
        )
    print(f"target: ready in {TARGET:g} s")


if __name__ == "__main__":
    main()
