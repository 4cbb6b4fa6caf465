"""Every record that flows through the pipeline, frozen and slotted.

All ``*_at`` fields are timezone-aware datetimes in UTC. Offsets are counted in
Unicode code points, as Python's ``str`` does.
"""

import dataclasses
from datetime import datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """Where news comes from: a path, a glob, a folder or a URL.

    ``kind`` is a key of ``transforms.sources.KINDS``, or None to find it from
    content and name.
    """

    location: str
    name: str | None = None
    kind: str | None = None
    lang: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """What is known of an article whose page is looked at again.

    ``revision`` is the one seen last, None where that is not known. ``etag`` and
    ``last_modified`` are the page's validators, as its server sent them.
    """

    article_id: str
    revision: str | None = None
    etag: str | None = None
    last_modified: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One article that a source names; ``location`` (URL or path) holds its page.

    A page out of an archive lies at ``offset`` of the file ``archive`` instead, and
    ``location`` is the address it was archived from. ``content`` is the feed's own full
    text, compressed (see ``transforms.fallback``). ``tries`` counts the earlier runs that
    could not have the page. ``updated_at`` is when the source says the article changed, and
    ``look`` is set where the lake has the article and its page is looked at again.
    """

    location: str
    source: str
    kind: str | None = None
    feed_url: str | None = None
    title: str | None = None
    authors: tuple[str, ...] = ()
    lang: str | None = None
    published_at: datetime | None = None
    archive: str | None = None
    offset: int | None = None
    content: bytes | None = None
    tries: int = 0
    published_offset_minutes: int | None = None
    updated_at: datetime | None = None
    look: Look | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Page:
    """The bytes behind an entry. ``url`` is None for a local file.

    ``text_from`` says what they are: the page, the feed's own text, or a file. ``look`` is
    the entry's, with the validators of this answer.
    """

    entry: Entry
    url: str | None
    body: bytes
    content_type: str | None
    fetched_at: datetime
    text_from: str = "page"
    look: Look | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Article:
    """An extracted article; ``text`` neither starts nor ends with white space.

    ``look`` is its page's. ``cluster_id``, ``cluster_source`` and ``signature`` are those of
    the table of passages; None before the articles are clustered.
    """

    article_id: str
    revision: str
    url: str | None
    canonical_url: str | None
    source: str
    feed_url: str | None
    title: str | None
    authors: tuple[str, ...]
    lang: str | None
    published_at: datetime | None
    published_from: str
    fetched_at: datetime
    text: str
    text_from: str = "page"
    publisher: str | None = None
    section: str | None = None
    published_offset_minutes: int | None = None
    modified_at: datetime | None = None
    look: Look | None = None
    cluster_id: str | None = None
    cluster_source: str | None = None
    signature: bytes | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Passage:
    """``article.text[start:end] == text``; ``separator`` is the white space that follows."""

    position: int
    start: int
    end: int
    text: str
    separator: str


@dataclasses.dataclass(frozen=True, slots=True)
class SplitArticle:
    """An article with its passages in reading order; together they give its text."""

    article: Article
    passages: tuple[Passage, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class TopicScores:
    """One passage's probability per topic, and the topics at or above their threshold.

    Both are None where the model does not read the article's language.
    """

    topics: tuple[str, ...] | None
    scores: tuple[tuple[str, float], ...] | None


@dataclasses.dataclass(frozen=True, slots=True)
class ClassifiedArticle:
    """A split article with one ``TopicScores`` a passage; ``model`` is its name and version."""

    split: SplitArticle
    results: tuple[TopicScores, ...]
    model: str


@dataclasses.dataclass(frozen=True, slots=True)
class Poll:
    """One attempt to read one feed, and what is known of the feed after it.

    ``error`` is None when it was read. The newest poll of a feed is all that the next one
    needs to know.
    """

    feed_url: str
    source: str
    status: int | None
    etag: str | None
    last_modified: str | None
    entries: int
    new_entries: int
    bytes: int
    duration_ms: int
    error: str | None
    polled_at: datetime
    moved_to: str | None = None
    gone: bool = False
    failures: int = 0
    retry_at: datetime | None = None
    next_poll_at: datetime | None = None
    last_full_at: datetime | None = None
    last_new_at: datetime | None = None
    usual_gap_s: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One look at the page of an article that the lake has.

    ``revision`` is what was seen, None where nothing could be. ``etag`` and
    ``last_modified`` are to be sent at the next look. ``error`` is None when it was read.
    """

    article_id: str
    url: str
    source: str
    feed_url: str | None
    checked_at: datetime
    status: int | None
    etag: str | None
    last_modified: str | None
    revision: str | None
    changed: bool
    error: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class DeadLetter:
    """An input that a stage could not use, with what is needed to find or retry it.

    ``input`` is the source or entry as JSON. ``done_at`` is set on the row that closes a
    letter.
    """

    stage: str
    key: str
    source: str | None
    error_type: str
    message: str
    retryable: bool
    attempt: int
    payload_head: str | None
    occurred_at: datetime
    letter_id: str = ""
    tries: int = 1
    retry_at: datetime | None = None
    input: str | None = None
    content: bytes | None = None
    done_at: datetime | None = None
