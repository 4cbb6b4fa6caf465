"""One reading of a source: what came of it, and the poll record it makes."""

import time
from datetime import UTC, datetime

from schemas.records import Entry, Poll, Source
from transforms.clean import one_line
from transforms.deadletter import Unusable, letter_id
from transforms.http import Response
from transforms.ledger import Ledger
from transforms.poll import PollPolicy, latest_new, next_poll_at, usual_gap
from transforms.sources import POLLED, Hints, Item
from transforms.urls import is_web

NOT_MODIFIED, GONE = 304, 410


class Reading:
    """What is known so far of one reading of a source, also where it fails half way.

    ``feed`` is the source's last poll, None where there was none.
    """

    def __init__(self, source: Source, feed: Poll | None):
        self.source = source
        self.feed = feed
        self.kind = source.kind
        self.began = datetime.now(UTC)
        self.start = time.monotonic()
        self.seconds = 0.0
        self.answer: Response | None = None
        self.body = b""
        self.size = 0
        self.items: list[Item] = []
        self.failure: Unusable | None = None

    @property
    def entries(self) -> list[Entry]:
        """The entries among the items."""
        return [item for item in self.items if isinstance(item, Entry)]

    @property
    def listed(self) -> list[Source]:
        """The further sources among the items."""
        return [item for item in self.items if isinstance(item, Source)]

    @property
    def is_unchanged(self) -> bool:
        """Whether the server said that nothing has changed."""
        return self.answer is not None and self.answer.status == NOT_MODIFIED

    @property
    def was_feed(self) -> bool:
        """Whether an earlier reading found a feed, list or sitemap here."""
        return self.feed is not None and self.feed.last_full_at is not None

    @property
    def is_polled(self) -> bool:
        """Whether this reading leaves a row in the table of polls.

        An address that could not be read does as well: it may be a feed, and is not to be
        asked again at once.
        """
        if self.kind is None:
            return self.feed is not None or is_web(self.source.location)
        return self.kind in POLLED


def make_poll(reading: Reading, ledger: Ledger, policy: PollPolicy) -> Poll:
    """The record of a reading, whether it succeeded or not."""
    answer, failure, feed = reading.answer, reading.failure, reading.feed
    source, entries, listed = reading.source, reading.entries, reading.listed
    new = sum(is_new(entry, ledger) for entry in entries)
    is_full = failure is None and not reading.is_unchanged
    dates = [entry.published_at for entry in entries]
    new_at = latest_new(dates, feed, reading.began, new > 0)
    etag, last_modified = validators(reading)
    retry_at = failure.retry_at if failure else None
    status = answer.status if answer else failure.status if failure else None
    failures = (feed.failures if feed else 0) + 1 if failure else 0
    known = feed.source if feed and not is_full else None
    return Poll(
        feed_url=source.location,
        source=entries[0].source if entries else source.name or known or source.location,
        status=status,
        etag=etag,
        last_modified=last_modified,
        entries=len(entries) + len(listed),
        new_entries=new,
        bytes=reading.size,
        duration_ms=round(reading.seconds * 1000),
        error=one_line(str(failure)) if failure else None,
        polled_at=reading.began,
        moved_to=moved_to(reading),
        gone=status == GONE,
        failures=failures,
        retry_at=retry_at,
        next_poll_at=poll_again_at(reading, policy, failures, status),
        last_full_at=reading.began if is_full else feed.last_full_at if feed else None,
        last_new_at=new_at,
        usual_gap_s=usual_gap(dates, feed, new_at),
    )


def is_new(entry: Entry, ledger: Ledger) -> bool:
    """Whether an entry is neither in the lake nor one that failed before."""
    return not ledger.knows_address(entry.location) and ledger.letters.get(letter_id(entry)) is None


def poll_again_at(
    reading: Reading, policy: PollPolicy, failures: int, status: int | None
) -> datetime | None:
    """When to poll again: never for a file or a feed that is gone."""
    if not is_web(reading.source.location) or status == GONE:
        return None
    return next_poll_at(
        reading.source.location,
        reading.began,
        policy,
        hints=find_hints(reading) or Hints(),
        headers=reading.answer.headers if reading.answer else {},
        failures=failures,
        retry_at=reading.failure.retry_at if reading.failure else None,
    )


def find_hints(reading: Reading) -> Hints | None:
    """What the feed said of when to poll it, where it was read."""
    return next((item for item in reading.items if isinstance(item, Hints)), None)


def validators(reading: Reading) -> tuple[str | None, str | None]:
    """The ETag and Last-Modified to send next time, as the server sent them.

    Those of the last whole reading, since only what it listed has been dealt with. None
    for a list of feeds, which must be read whole each time for its feeds to be read, and
    for a feed that looks cut off.
    """
    answer, feed = reading.answer, reading.feed
    if reading.failure is not None or answer is None or reading.is_unchanged:
        return (feed.etag, feed.last_modified) if feed else (None, None)
    hints = find_hints(reading)
    if reading.listed or (hints is not None and not hints.whole):
        return None, None
    return answer.headers.get("etag"), answer.headers.get("last-modified")


def moved_to(reading: Reading) -> str | None:
    """The address to ask next time, where the feed has moved for good.

    Believed only of an answer that could be read; forgotten when the new address fails
    for good, so that the configured one is asked again.
    """
    known = reading.feed.moved_to if reading.feed else None
    if reading.failure is not None:
        return known if reading.failure.retryable else None
    if reading.answer is None or reading.kind in ("html", "text"):
        return None
    return reading.answer.moved_to or known
