"""What the lake already holds: articles by address and content, feeds, dead letters.

The lake is the only state. Each worker process reads the ledger from it once and
then only the files that are new; ids are shared by all stages of the process.
"""

import dataclasses
import functools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.records import Article
from schemas.rows import passages_date
from schemas.tables import PASSAGES
from transforms.events import EVENT_DAYS, Feeds, Letters, Visited
from transforms.known import (
    NO_DAYS,
    NO_IDS,
    KnownIds,
    id_number,
    id_numbers,
    site_number,
    text_number,
    text_numbers,
)
from transforms.lake import day_files, file_date, open_table
from transforms.tail import Changes, Tail
from transforms.urls import address_id

COLUMNS = ["article_id", "revision", "url", "canonical_url"]
ROWS_AT_ONCE = 65_536
# Days before the window whose ids are kept after they were asked for.
OLD_DAYS_KEPT = 256


@dataclasses.dataclass(frozen=True)
class LedgerPolicy:
    """How far back the lake is read at start, in days of the partitions.

    ``look_back_days`` is for articles, ``event_days`` for polls and dead letters.
    """

    look_back_days: int = 3650
    event_days: int = EVENT_DAYS


class Ledger:
    """The articles, feeds and dead letters of one lake; safe to use from threads.

    Without a policy it reads all that the lake has.
    """

    def __init__(self, lake: str, policy: LedgerPolicy | None = None):
        event_days = policy.event_days if policy else None
        self.feeds, self.letters = Feeds(lake, event_days), Letters(lake, event_days)
        self._visited = Visited(lake, event_days)
        self._tail = Tail(lake, PASSAGES, policy.look_back_days if policy else None)
        self._lock = threading.Lock()
        # Both are replaced whole: who asks meanwhile sees the one before.
        self._known = KnownIds()
        self._first = date.min
        self._older: dict[date, set[str]] = {}
        self._old_days: OrderedDict[date, KnownIds] = OrderedDict()

    def refresh(self) -> None:
        """Reads the files of the lake that were not read before."""
        with self._lock:
            self._tail.follow(self._take_in)
            self.feeds.refresh()
            self.letters.refresh()
            self._visited.refresh()

    def _take_in(self, changes: Changes) -> None:
        known, first = self._known, self._tail.first_day()
        if changes.lost or changes.expired:
            lost = {day.toordinal() for day in changes.lost}
            known = known.without(lost, first.toordinal())
        self._known = known.plus(*self._read(changes.new))
        for day in list(self._old_days):
            if changes.older.get(day) != self._older.get(day):
                del self._old_days[day]
        self._older, self._first = changes.older, first

    def _read(self, paths: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """The ids in files, and the days these are of."""
        ids, days = [NO_IDS], [NO_DAYS]
        for path in paths:
            day = file_date(path).toordinal()
            for batch in first_rows(path):
                found = row_ids(batch)
                ids.append(found)
                days.append(np.full(len(found), day, np.int32))
        return np.concatenate(ids), np.concatenate(days)

    def _note(self, article: Article) -> None:
        day = passages_date(article.published_at, article.fetched_at)
        old = self._old_days.get(day) if day < self._first else None
        for number in article_ids(article):
            self._known.add(number, day.toordinal())
            if old is not None:
                old.add(number, day.toordinal())

    def knows_address(self, url: str) -> bool:
        """Whether this address led to an article of the lake, of a day in the window.

        One that led to an article found under another address is known as long as the check
        of that is within the window of events.
        """
        address = address_id(url)
        if id_number(address) in self._known:
            return True
        return any(number in self._known for number in self._visited.get(address))

    def knows_article(self, article: Article) -> bool:
        """Whether the lake has this article, with whatever text."""
        own = id_number(article.article_id)
        return any(own in known for known in self._known_near(article))

    def knows_revision(self, article: Article) -> bool:
        """Whether the lake has this article with this very text."""
        own = text_number(id_number(article.article_id), id_number(article.revision))
        return any(own in known for known in self._known_near(article))

    def knows_content(self, article: Article) -> bool:
        """Whether this article is in the lake with this very text, also under another
        address of its site."""
        keys = text_keys(article)
        return any(key in known for known in self._known_near(article) for key in keys)

    def _known_near(self, article: Article) -> list[KnownIds]:
        """What is known: of the window, and of the article's own day where that is before it."""
        day = passages_date(article.published_at, article.fetched_at)
        if day >= self._first:
            return [self._known]
        with self._lock:
            return [self._known, self._old_day(day)]

    def _old_day(self, day: date) -> KnownIds:
        if day not in self._old_days:
            paths = self._older.get(day, set())
            try:
                ids = self._read(sorted(paths))
            except OSError:
                # They were compacted after the last refresh.
                ids = self._read(list(day_files(self._tail.lake, PASSAGES, day)))
            self._old_days[day] = KnownIds(*ids)
            if len(self._old_days) > OLD_DAYS_KEPT:
                self._old_days.popitem(last=False)
        self._old_days.move_to_end(day)
        return self._old_days[day]

    def add(self, article: Article, path: str | None) -> None:
        """Notes an article whose passages now lie in the lake, in the file ``path``.

        Without a path it is one more address of an article that is known.
        """
        with self._lock:
            self._note(article)
            if path is not None:
                self._tail.note(path)


def first_rows(path: str) -> Iterator[pa.RecordBatch]:
    """The first passage's row of each article in a file: only the columns needed.

    A column that an older version did not have is null.
    """
    # As dictionaries they are not repeated on every passage.
    file = open_table(path, COLUMNS)
    there = [name for name in COLUMNS if name in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS_AT_ONCE, columns=["position", *there]):
        first = batch.filter(pc.equal(batch.column("position"), 0))
        nulls = pa.nulls(first.num_rows, pa.string())
        columns = [
            first.column(name).cast(pa.string()) if name in there else nulls for name in COLUMNS
        ]
        yield pa.RecordBatch.from_arrays(columns, COLUMNS)


def row_ids(batch: pa.RecordBatch) -> np.ndarray:
    """The ids of articles, of their addresses and of their texts."""
    articles, revisions, urls, canonical = (column.to_pylist() for column in batch.columns)
    owners, texts = id_numbers(articles), id_numbers(revisions)
    # Where the two are the same, the article_id is the address's id.
    found = zip(urls, canonical, strict=True)
    others = [address_id(url) for url, name in found if url is not None and url != name]
    on_site = np.array([name is not None for name in canonical], bool)
    sites = np.array([site_number(name) for name in canonical if name is not None], np.uint64)
    return np.concatenate(
        [
            owners,
            id_numbers(others),
            text_numbers(owners, texts),
            text_numbers(sites, texts[on_site]),
        ]
    )


def article_ids(article: Article) -> set[int]:
    """``row_ids`` of one article."""
    ids = {id_number(article.article_id), *text_keys(article)}
    if article.url is not None and article.url != article.canonical_url:
        ids.add(id_number(address_id(article.url)))
    return ids


def text_keys(article: Article) -> tuple[int, ...]:
    """What identifies the text of an article: as the article's own, and as its site's."""
    text = id_number(article.revision)
    own = text_number(id_number(article.article_id), text)
    if article.canonical_url is None:
        return (own,)
    return own, text_number(site_number(article.canonical_url), text)


@functools.cache
def _ledger(lake: str, policy: LedgerPolicy) -> Ledger:
    return Ledger(lake, policy)


def open_ledger(lake: str, policy: LedgerPolicy | None = None) -> Ledger:
    """The process's one ledger of a lake, up to date with the lake's files."""
    ledger = _ledger(lake, policy or LedgerPolicy())
    ledger.refresh()
    return ledger
