"""What the lake already holds, by address and by content.

The lake is the only state. Each worker process reads the ledger from it once and
then only the files that are new; ids are shared by all stages of the process.
"""

import functools
import threading

import pyarrow.parquet as pq

from schemas.records import Article
from schemas.tables import PASSAGES, stable_id
from transforms.lake import is_remote, table_files
from transforms.urls import address_id, site

COLUMNS = ["article_id", "revision", "url", "canonical_url", "position"]


def site_text(canonical_url: str | None, revision: str) -> str | None:
    """The id of a text on a site, the same under whichever of its addresses it stands.

    None where there is no address: such a text is known by its content alone.
    """
    return stable_id("site", site(canonical_url), revision) if canonical_url else None


class Ledger:
    """The addresses and contents of the articles in one lake; safe to use from threads."""

    def __init__(self, lake: str):
        self._lake = lake
        self._lock = threading.Lock()
        self._files: set[str] = set()
        self._addresses: set[str] = set()
        self._contents: set[str] = set()
        self._on_sites: set[str] = set()

    def refresh(self) -> None:
        """Reads the files of the lake that were not read before."""
        with self._lock:
            files = set(table_files(self._lake, PASSAGES))
            if not self._files <= files:
                # Files were replaced or removed: what they held may be gone.
                self._files, self._addresses = set(), set()
                self._contents, self._on_sites = set(), set()
            for path in sorted(files - self._files):
                self._read(path)
                self._files.add(path)

    def _read(self, path: str) -> None:
        table = pq.read_table(
            path,
            columns=COLUMNS,
            filters=[("position", "==", 0)],
            filesystem=None if is_remote(path) else _local(),
            partitioning=None,
        )
        for row in table.to_pylist():
            self._note(row["article_id"], row["revision"], row["url"], row["canonical_url"])

    def _note(
        self, article_id: str, revision: str, url: str | None, canonical_url: str | None
    ) -> None:
        self._contents.add(stable_id(article_id, revision))
        self._addresses.add(article_id)
        if url is not None:
            self._addresses.add(address_id(url))
        on_site = site_text(canonical_url, revision)
        if on_site is not None:
            self._on_sites.add(on_site)

    def knows_address(self, url: str) -> bool:
        """Whether an article found under this address is in the lake."""
        return address_id(url) in self._addresses

    def knows_content(self, article: Article) -> bool:
        """Whether this article is in the lake with this very text."""
        return stable_id(article.article_id, article.revision) in self._contents

    def knows_on_site(self, article: Article) -> bool:
        """Whether the lake has this very text under any address of the article's site."""
        return site_text(article.canonical_url, article.revision) in self._on_sites

    def add(self, article: Article, path: str) -> None:
        """Notes an article whose passages now lie in the lake, in the file ``path``."""
        with self._lock:
            self._note(article.article_id, article.revision, article.url, article.canonical_url)
            self._files.add(path)


def _local():
    from pyarrow import fs

    return fs.LocalFileSystem()


@functools.cache
def _ledger(lake: str) -> Ledger:
    return Ledger(lake)


def open_ledger(lake: str) -> Ledger:
    """The process's one ledger of a lake, up to date with the lake's files."""
    ledger = _ledger(lake)
    ledger.refresh()
    return ledger
