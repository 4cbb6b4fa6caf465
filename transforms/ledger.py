"""What the lake already holds: articles by address and content, feeds, dead letters.

The lake is the only state. Each worker process reads the ledger from it once and
then only the files that are new; ids are shared by all stages of the process.
"""

import functools
import threading
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from schemas.records import Article, DeadLetter, Poll
from schemas.tables import ERRORS, PASSAGES, POLLS, Table, stable_id
from transforms.deadletter import letter_input
from transforms.lake import file_date, is_remote, read_table, table_files
from transforms.poll import is_ahead
from transforms.urls import address_id, site

# A feed that was not polled for longer is as good as new, and a dead letter stays one.
LOOK_BACK_DAYS = 14
LOCAL = fs.LocalFileSystem()
COLUMNS = ["article_id", "revision", "url", "canonical_url"]


def is_newer(moment: datetime, earlier: datetime, now: datetime) -> bool:
    """Whether a row is to be believed before another: the later one.

    Unless only one lies ahead of now, from before the clock was set back.
    """
    ahead, was_ahead = is_ahead(moment, now), is_ahead(earlier, now)
    return was_ahead if ahead != was_ahead else moment >= earlier


class Tail:
    """The files of a table that were not read before, of the last ``days`` days or of all."""

    def __init__(self, lake: str, table: Table, days: int | None = None):
        self.lake, self.table, self.days = lake, table, days
        self.seen: set[str] = set()

    def new_files(self) -> tuple[list[str], bool]:
        """The new files, oldest first, and whether all is to be read anew.

        It is where files were replaced or removed: what they held may be gone.
        """
        files = table_files(self.lake, self.table)
        if self.days is not None:
            first = datetime.now(UTC).date() - timedelta(days=self.days)
            files = [path for path in files if file_date(path) >= first]
        is_anew = not self.seen <= set(files)
        if is_anew:
            self.seen = set()
        new = [path for path in files if path not in self.seen]
        self.seen.update(new)
        return new, is_anew

    def rows(self, paths: list[str], columns: list[str], where: pc.Expression) -> pa.Table:
        """Rows of files of the table; what an older version did not have is null."""
        if is_remote(self.lake):
            parts = [self.table.schema.empty_table(), *map(read_table, paths)]
            return pa.concat_tables(parts, promote_options="default").filter(where).select(columns)
        found = ds.dataset(paths, schema=self.table.schema, format="parquet", filesystem=LOCAL)
        return found.to_table(columns, where)


class Feeds:
    """The last poll of each feed."""

    def __init__(self, lake: str, days: int | None = None):
        self._tail = Tail(lake, POLLS, days)
        self._last: dict[str, Poll] = {}

    def refresh(self) -> None:
        """Reads the polls that were not read before."""
        new, is_anew = self._tail.new_files()
        if is_anew:
            self._last = {}
        if not new:
            return
        found = self._tail.rows(new, POLLS.schema.names, pc.scalar(True))
        now = datetime.now(UTC)
        for row in found.to_pylist():
            earlier = self._last.get(row["feed_url"])
            if earlier is None or is_newer(row["polled_at"], earlier.polled_at, now):
                row["failures"] = row["failures"] or 0
                row["gone"] = bool(row["gone"])
                self._last[row["feed_url"]] = Poll(**row)

    def last(self, feed_url: str) -> Poll | None:
        """A feed's last poll; None for one that is new."""
        return self._last.get(feed_url)

    def all(self) -> list[Poll]:
        """The last poll of every feed, by name."""
        return sorted(self._last.values(), key=lambda poll: (poll.source, poll.feed_url))


class Letters:
    """The dead letters that are open: not done, and with what is needed to try again."""

    def __init__(self, lake: str, days: int | None = None):
        self._tail = Tail(lake, ERRORS, days)
        self._open: dict[str, DeadLetter] = {}
        self._closed: dict[str, datetime] = {}
        self._of_feed: dict[str, set[str]] = {}

    def refresh(self) -> None:
        """Reads the dead letters that were not read before."""
        new, is_anew = self._tail.new_files()
        if is_anew:
            self._open, self._closed, self._of_feed = {}, {}, {}
        if not new:
            return
        found = self._tail.rows(new, ERRORS.schema.names, pc.field("input").is_valid())
        now = datetime.now(UTC)
        for row in found.to_pylist():
            self._note(DeadLetter(**row), now)

    def _note(self, letter: DeadLetter, now: datetime) -> None:
        name, moment = letter.letter_id, letter.occurred_at
        earlier = self._open.get(name)
        if letter.done_at is not None:
            self._closed[name] = max(moment, self._closed.get(name, moment))
            if earlier is not None and earlier.occurred_at <= self._closed[name]:
                del self._open[name]
            return
        if name in self._closed and moment <= self._closed[name]:
            return
        if earlier is None or is_newer(moment, earlier.occurred_at, now):
            self._open[name] = letter
            feed_url = getattr(letter_input(letter), "feed_url", None)
            if feed_url is not None:
                self._of_feed.setdefault(feed_url, set()).add(name)

    def all(self) -> list[DeadLetter]:
        """Every open letter, oldest first."""
        return sorted(self._open.values(), key=lambda letter: letter.occurred_at)

    def get(self, letter_id: str) -> DeadLetter | None:
        """The open letter with an id."""
        return self._open.get(letter_id)

    def of_feed(self, feed_url: str) -> list[DeadLetter]:
        """The open letters of a feed's entries."""
        names = sorted(self._of_feed.get(feed_url, ()))
        return [self._open[name] for name in names if name in self._open]


class Ledger:
    """The articles, feeds and dead letters of one lake; safe to use from threads."""

    def __init__(self, lake: str, days: int | None = None):
        self.feeds, self.letters = Feeds(lake, days), Letters(lake, days)
        self._tail = Tail(lake, PASSAGES)
        self._lock = threading.Lock()
        # Ids as bytes take half the memory of their text.
        self._addresses: set[bytes] = set()
        self._contents: set[bytes] = set()

    def refresh(self) -> None:
        """Reads the files of the lake that were not read before."""
        with self._lock:
            new, is_anew = self._tail.new_files()
            if is_anew:
                self._addresses, self._contents = set(), set()
            if new:
                self._read(new)
            self.feeds.refresh()
            self.letters.refresh()

    def _read(self, paths: list[str]) -> None:
        found = self._tail.rows(paths, COLUMNS, pc.field("position") == 0)
        for batch in found.to_batches():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                self._note(*row)

    def _note(self, article_id: str, revision: str, url: str | None, canonical: str | None) -> None:
        self._contents.add(content_key(article_id, revision))
        if canonical is not None:
            self._contents.add(content_key(site(canonical), revision))
        self._addresses.add(bytes.fromhex(article_id))
        # Where the two are the same, the article_id is the address's id.
        if url is not None and url != canonical:
            self._addresses.add(bytes.fromhex(address_id(url)))

    def knows_address(self, url: str) -> bool:
        """Whether an article found under this address is in the lake."""
        return bytes.fromhex(address_id(url)) in self._addresses

    def knows_article(self, article_id: str) -> bool:
        """Whether the lake has an article of this id, with whatever text."""
        return bytes.fromhex(article_id) in self._addresses

    def knows_revision(self, article_id: str, revision: str) -> bool:
        """Whether the lake has this very text of an article."""
        return content_key(article_id, revision) in self._contents

    def knows_content(self, article: Article) -> bool:
        """Whether this article is in the lake with this very text, also under another
        address of its site."""
        if content_key(article.article_id, article.revision) in self._contents:
            return True
        if article.canonical_url is None:
            return False
        return content_key(site(article.canonical_url), article.revision) in self._contents

    def add(self, article: Article, path: str | None) -> None:
        """Notes an article whose passages now lie in the lake, in the file ``path``.

        Without a path it is one more address of an article that is known.
        """
        with self._lock:
            self._note(article.article_id, article.revision, article.url, article.canonical_url)
            if path is not None:
                self._tail.seen.add(path)


def content_key(owner: str, revision: str) -> bytes:
    """What identifies a text of an article or of a site."""
    return bytes.fromhex(stable_id(owner, revision))


@functools.cache
def _ledger(lake: str) -> Ledger:
    return Ledger(lake, LOOK_BACK_DAYS)


def open_ledger(lake: str) -> Ledger:
    """The process's one ledger of a lake, up to date with the lake's files.

    Of polls and dead letters it holds the last ``LOOK_BACK_DAYS`` days.
    """
    ledger = _ledger(lake)
    ledger.refresh()
    return ledger
