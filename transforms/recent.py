"""The articles that may still change: when each was looked at, and when it is due again.

Only what was fetched lately is held, with what is needed to ask for it again. It is read from
the lake, as the ledger is: at the start from the partitions within the window and, since what was
fetched lately may bear any date, from the files of others that were written within it; then
from whatever files are new.
"""

import dataclasses
import functools
import sys
import threading
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow.compute as pc

from schemas.records import Check, Entry, Look
from schemas.rows import passages_date
from schemas.tables import CHECKS, PASSAGES
from transforms.lake import file_date, files_unchanged_since
from transforms.tail import Changes, Tail, all_paths
from transforms.urls import address_id, is_web
from transforms.validators import take_validators

# How long after the last step of the schedule an article is still remembered.
MARGIN = timedelta(days=2)
EARLIEST = datetime.min.replace(tzinfo=UTC)
COLUMNS = [
    "article_id", "revision", "url", "canonical_url", "source", "feed_url", "title", "authors",
    "lang", "published_at", "published_from", "published_offset_minutes", "fetched_at",
]  # fmt: skip


@dataclasses.dataclass(frozen=True, slots=True)
class RevisionPolicy:
    """When articles are looked at again. Times in seconds.

    ``recheck`` counts from when an article was first fetched; ``least_gap`` lies between two
    looks at one article, whatever its feed says.
    """

    recheck: tuple[float, ...] = ()
    least_gap: float = 3600.0

    @property
    def window(self) -> timedelta:
        """How long ago an article may have been fetched, or a feed say it changed."""
        return timedelta(seconds=max(self.recheck, default=0.0)) + MARGIN


@dataclasses.dataclass(slots=True)
class Seen:
    """One article. ``entry`` is what to ask for; ``revision`` was seen last, at ``sight_at``.

    The validators are those of the answer at ``validated_at``.
    """

    article_id: str
    first_at: datetime
    entry: Entry
    fetched_at: datetime
    revision: str
    sight_at: datetime
    days: tuple[date, ...]
    looked_at: datetime = EARLIEST
    etag: str | None = None
    last_modified: str | None = None
    validated_at: datetime = EARLIEST

    @property
    def last_at(self) -> datetime:
        """When its page was last asked for."""
        return max(self.fetched_at, self.looked_at)

    def note_fetch(self, row: dict[str, Any]) -> None:
        """Notes a revision of the article that lies in the lake."""
        moment = row["fetched_at"]
        self.first_at = min(self.first_at, moment)
        day = passages_date(row["published_at"], moment)
        if day not in self.days:
            self.days += (day,)
        if moment > self.fetched_at:
            self.fetched_at, self.entry = moment, listed_entry(row)
        if moment >= self.sight_at:
            self.sight_at, self.revision = moment, row["revision"]

    def note_check(self, check: Check) -> None:
        """Notes a look at the article's page."""
        if check.checked_at >= self.looked_at:
            self.looked_at = self.validated_at = check.checked_at
            self.etag, self.last_modified = check.etag, check.last_modified
        if check.revision is not None and check.checked_at >= self.sight_at:
            self.sight_at, self.revision = check.checked_at, check.revision

    def look_entry(self) -> Entry:
        """The entry that asks for its page again.

        Not with validators from before the last fetch: a run that was killed before it wrote
        its look leaves those of an earlier text, and that text may be there again.
        """
        look = Look(self.article_id, self.revision)
        if self.validated_at >= self.fetched_at:
            look = dataclasses.replace(look, etag=self.etag, last_modified=self.last_modified)
        return dataclasses.replace(self.entry, look=look)


class Recent:
    """The articles of one lake that may still change; safe to use from threads."""

    def __init__(self, lake: str, policy: RevisionPolicy):
        self._policy = policy
        self._passages, self._checks = Tail(lake, PASSAGES), Tail(lake, CHECKS)
        self._lock = threading.Lock()
        self._has_begun = False
        self._begin()

    def _begin(self) -> None:
        self._articles: dict[str, Seen] = {}
        self._names: dict[bytes, str] = {}
        self._of_feed: dict[str, set[str]] = {}
        # The last look at any address or article, also at such as are older.
        self._looks: dict[bytes, datetime] = {}

    def refresh(self) -> None:
        """Reads what is new in the lake, and forgets what is too old."""
        with self._lock:
            # Checks are listed before passages: a check's passages are then among those listed.
            self._checks.follow(self._take_in)
            self._forget(datetime.now(UTC) - self._policy.window)

    def _take_in(self, checks: Changes) -> None:
        self._passages.follow(lambda passages: self._read(passages, checks))

    def _read(self, passages: Changes, checks: Changes) -> None:
        fetched, looked = passages.new, checks.new
        is_anew = bool(passages.lost or checks.lost)
        if is_anew:
            # Both tables belong together, so both are read again.
            self._begin()
            fetched, looked = sorted(all_paths(passages)), sorted(all_paths(checks))
        first, older = pc.field("position") == 0, []
        since = datetime.now(UTC) - self._policy.window
        if is_anew or not self._has_begun:
            older = self._written_since(fetched, since)
            fetched = [path for path in fetched if file_date(path) >= since.date()]
            looked = [path for path in looked if file_date(path) >= since.date()]
        for row in rows_of(self._passages, fetched, COLUMNS, first):
            self._note_fetch(row)
        # A compaction or a new model writes a file again that holds what is long known. By the
        # statistics of its row groups little of it is read.
        is_late = pc.field("fetched_at") >= since
        for row in rows_of(self._passages, older, COLUMNS, first & is_late):
            self._note_fetch(row)
        for row in rows_of(self._checks, looked, CHECKS.schema.names, pc.scalar(True)):
            self._note_check(Check(**row))
        self._has_begun = True

    def _written_since(self, paths: list[str], since: datetime) -> list[str]:
        """Those of the files of days before the window that were written within it.

        One that is there no more counts as well: reading it says so.
        """
        older = [path for path in paths if file_date(path) < since.date()]
        if not older:
            return []
        unchanged = files_unchanged_since(self._passages.lake, PASSAGES, since)
        return [path for path in older if path not in unchanged]

    def _note_fetch(self, row: dict[str, Any]) -> None:
        name = sys.intern(row["article_id"])
        seen = self._articles.get(name)
        if seen is not None:
            seen.note_fetch(row)
        elif row["url"] and is_web(row["url"]):
            moment = row["fetched_at"]
            day = passages_date(row["published_at"], moment)
            entry = listed_entry(row)
            seen = Seen(name, moment, entry, moment, row["revision"], moment, (day,))
            seen.etag, seen.last_modified = take_validators(row["url"], moment)
            seen.validated_at = moment
            self._articles[name] = seen
            if entry.feed_url is not None and is_web(entry.feed_url):
                self._of_feed.setdefault(entry.feed_url, set()).add(name)
        if seen is not None:
            # The article_id is the canonical URL's own id, and hashing an address takes a while.
            addresses = {name} if row["canonical_url"] else set()
            if row["url"] and row["url"] != row["canonical_url"]:
                addresses.add(address_id(row["url"]))
            for address in addresses:
                self._names[bytes.fromhex(address)] = name

    def _note_check(self, check: Check) -> None:
        for name in (check.article_id, address_id(check.url)):
            key = bytes.fromhex(name)
            self._looks[key] = max(check.checked_at, self._looks.get(key, EARLIEST))
        seen = self._articles.get(check.article_id)
        if seen is not None:
            seen.note_check(check)

    def _forget(self, before: datetime) -> None:
        old = [name for name, seen in self._articles.items() if seen.first_at < before]
        for name in old:
            feed = self._articles.pop(name).entry.feed_url
            self._of_feed.get(feed or "", set()).discard(name)
        if old:
            self._names = {k: v for k, v in self._names.items() if v in self._articles}
        if any(moment < before for moment in self._looks.values()):
            self._looks = {k: v for k, v in self._looks.items() if v >= before}

    def get(self, article_id: str) -> Seen | None:
        """What is known of a recent article."""
        return self._articles.get(article_id)

    def due_of_feed(self, feed_url: str, now: datetime) -> list[Entry]:
        """The articles of a feed that the schedule wants looked at again."""
        with self._lock:
            names = sorted(self._of_feed.get(feed_url, ()))
            found = [self._articles[name] for name in names]
        return [seen.look_entry() for seen in found if is_due(seen, now, self._policy)]

    def look_again(self, entry: Entry, now: datetime) -> Entry | None:
        """The entry, ready for a look, where its feed says that its article has changed since
        the last one; None where it does not."""
        if entry.updated_at is None or entry.updated_at < now - self._policy.window:
            return None
        key = bytes.fromhex(address_id(entry.location))
        seen = self._articles.get(self._names.get(key, ""))
        last = seen.last_at if seen is not None else self._looks.get(key, EARLIEST)
        gap = timedelta(seconds=self._policy.least_gap)
        # Most feeds say it to the second; what changed within that of the look may be news.
        if entry.updated_at < last.replace(microsecond=0) or not is_past(last, gap, now):
            return None
        if seen is None:
            return dataclasses.replace(entry, look=Look(address_id(entry.location)))
        known = seen.look_entry()
        if known.published_at is None:
            return dataclasses.replace(entry, look=known.look)
        # When it appeared does not change with it, whatever its feed says now.
        return dataclasses.replace(
            entry,
            look=known.look,
            published_at=known.published_at,
            published_offset_minutes=known.published_offset_minutes,
        )


def is_due(seen: Seen, now: datetime, policy: RevisionPolicy) -> bool:
    """Whether a step of the schedule has passed since an article was last looked at.

    Several steps that were missed are one look.
    """
    steps = (seen.first_at + timedelta(seconds=step) for step in policy.recheck)
    is_owed = any(seen.last_at < step <= now for step in steps)
    return is_owed and is_past(seen.last_at, timedelta(seconds=policy.least_gap), now)


def is_past(last: datetime, gap: timedelta, now: datetime) -> bool:
    """Whether ``gap`` has passed since ``last``, which may be as early as the calendar."""
    return now - last >= gap


def listed_entry(row: dict[str, Any]) -> Entry:
    """The entry that an article's passage came from."""
    is_listed = row["published_from"] == "feed"
    return Entry(
        location=row["url"],
        source=sys.intern(row["source"]),
        feed_url=row["feed_url"] and sys.intern(row["feed_url"]),
        title=row["title"],
        authors=tuple(row["authors"]),
        lang=row["lang"],
        published_at=row["published_at"] if is_listed else None,
        published_offset_minutes=row["published_offset_minutes"] if is_listed else None,
    )


def rows_of(
    tail: Tail, paths: list[str], columns: list[str], where: pc.Expression
) -> Iterable[dict[str, Any]]:
    """Rows of files as dicts."""
    if paths:
        for batch in tail.rows(paths, columns, where).to_batches():
            yield from batch.to_pylist()


@functools.cache
def _recent(lake: str, policy: RevisionPolicy) -> Recent:
    return Recent(lake, policy)


def open_recent(lake: str, policy: RevisionPolicy) -> Recent:
    """The process's one Recent of a lake, up to date with the lake's files."""
    recent = _recent(lake, policy)
    recent.refresh()
    return recent
