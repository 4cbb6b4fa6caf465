"""A reader beside the watcher: a bare glob every few seconds, which must always be right."""

import threading
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow
import pyarrow.dataset

from tests.soak.tally import Verdict

EVERY_SECONDS = 2.0
# A file that vanishes between listing and opening is looked for again at once, so often.
TRIES = 20
VANISHED = ("No such file", "No files found", "Cannot open file", "does not exist")
Ids = list[tuple[str, str, str]]


def by_duckdb(lake: Path) -> Ids:
    """passage_id, article_id and revision of every passage, by a bare glob."""
    files = lake / "passages" / "date=*" / "*.parquet"
    sql = "select passage_id, article_id, revision from read_parquet(?)"
    return duckdb.connect().execute(sql, [str(files)]).fetchall()


def by_pyarrow(lake: Path) -> Ids:
    """The same, by pyarrow."""
    found = pyarrow.dataset.dataset(lake / "passages", partitioning="hive", format="parquet")
    columns = found.to_table(["passage_id", "article_id", "revision"]).to_pydict()
    return list(zip(*columns.values(), strict=True))


class Reader(threading.Thread):
    """Reads until it is told to stop; what it saw is in ``verdict``."""

    def __init__(self, lake: Path):
        super().__init__(daemon=True)
        self.lake = lake
        self.verdict = Verdict()
        self.reads = self.retries = 0
        self._known: set[tuple[str, str]] = set()
        self._stopped = threading.Event()

    def run(self) -> None:
        while not self._stopped.wait(EVERY_SECONDS):
            if not any(self.lake.glob("passages/date=*/*.parquet")):
                if self._known:
                    self.verdict.lost.append("reader: all files have gone")
                continue
            self.look(by_duckdb)
            self.look(by_pyarrow)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def look(self, read: Callable[[Path], Ids]) -> None:
        """Reads once and compares with what was there before."""
        try:
            found = self._read(read)
        except Exception as error:
            self.verdict.unreadable.append(f"reader: {read.__name__}: {error}")
            return
        self.reads += 1
        twice = len(found) - len({passage_id for passage_id, _, _ in found})
        if twice:
            self.verdict.duplicated.append(f"reader: {read.__name__}: {twice} passages twice")
        texts = {(article_id, revision) for _, article_id, revision in found}
        if self._known - texts:
            gone = len(self._known - texts)
            self.verdict.lost.append(f"reader: {read.__name__}: {gone} texts have gone")
        self._known |= texts

    def _read(self, read: Callable[[Path], Ids]) -> Ids:
        for _ in range(TRIES - 1):
            try:
                return read(self.lake)
            except (OSError, duckdb.IOException, pyarrow.ArrowException) as error:
                if not any(words in str(error) for words in VANISHED):
                    raise
                self.retries += 1
        return read(self.lake)
