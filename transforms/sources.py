"""What a source can be: one small reader a kind, and the dict of them at the foot.

A reader takes a document and gives what it lists: entries, further sources, or dead
letters for those of its items that cannot be used. It raises Unusable where the whole
document cannot be.
"""

import dataclasses
import io
import json
import re
from calendar import timegm
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

import feedparser
import listparser
import lxml.html

from schemas.records import DeadLetter, Entry, Source
from transforms.clean import line_or_none
from transforms.dates import parse_date
from transforms.deadletter import Unusable, dead_letter
from transforms.decode import decode_head, decode_text, is_binary
from transforms.urls import absolute_url, is_web

Item = Entry | Source | DeadLetter
HEAD_BYTES = 8192


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """The bytes of one source. ``location`` is the path or URL they were found under."""

    source: Source
    location: str
    body: bytes
    content_type: str | None = None

    @property
    def name(self) -> str:
        """The name to show for what comes from here, where the document has none."""
        return self.source.name or PurePosixPath(self.location).name or self.location


def read_feed(document: Document) -> Iterator[Item]:
    """The entries of an RSS 0.9x, 1.0, 2.0 or Atom feed, by the feedparser library."""
    # A path is no base for links: they would come out as paths of this machine.
    headers = {"content-location": document.location} if is_web(document.location) else {}
    if document.content_type:
        headers["content-type"] = document.content_type
    # A stream, never the bytes: feedparser opens bytes that happen to be a file's name.
    feed = feedparser.parse(
        io.BytesIO(document.body), response_headers=headers, sanitize_html=False
    )
    if not feed.version and not feed.entries:
        problem = feed.get("bozo_exception")
        is_parsing = problem and not isinstance(problem, feedparser.NonXMLContentType)
        raise Unusable("NotAFeed", f"not a feed: {problem if is_parsing else 'no RSS or Atom'}")
    name = document.source.name or line_or_none(feed.feed.get("title")) or document.name
    base = document.location if is_web(document.location) else feed.feed.get("link", "")
    for position, item in enumerate(feed.entries):
        authors = [author.get("name") for author in item.get("authors", [])]
        yield from feed_entry(
            document,
            name,
            position,
            link=absolute_url(base, item.link) if item.get("link") else None,
            title=plain_title(item),
            authors=authors,
            published_at=feed_date(item),
        )


def feed_date(item: dict) -> datetime | None:
    """When a feed's item was published, else updated; None where the calendar ends."""
    moment = item.get("published_parsed") or item.get("updated_parsed")
    try:
        return datetime.fromtimestamp(timegm(moment), UTC) if moment else None
    except (OverflowError, ValueError):
        return None


def plain_title(item: dict) -> str | None:
    """The title of a feed's item without the markup that some feeds put into it."""
    title = line_or_none(item.get("title"))
    if title and "<" in title and item.get("title_detail", {}).get("type") != "text/plain":
        return str(lxml.html.fromstring(f"<div>{title}</div>").text_content())
    return title


def read_json_feed(document: Document) -> Iterator[Item]:
    """The entries of a JSON Feed (jsonfeed.org/version/1.1)."""
    try:
        feed = json.loads(decode_text(document.body))
    except (ValueError, RecursionError) as error:
        raise Unusable("NotAFeed", f"not a JSON feed: {error}") from error
    items = feed.get("items") if isinstance(feed, dict) else None
    if not isinstance(items, list):
        raise Unusable("NotAFeed", "not a JSON feed: it has no list of items")
    name = document.source.name or line_or_none(feed.get("title")) or document.name
    for position, item in enumerate(items):
        fields = item if isinstance(item, dict) else {}
        authors = fields.get("authors")
        authors = authors if isinstance(authors, list) else [fields.get("author")]
        yield from feed_entry(
            document,
            name,
            position,
            link=fields.get("url") or fields.get("external_url"),
            title=fields.get("title"),
            authors=[author.get("name") for author in authors if isinstance(author, dict)],
            published_at=parse_date(fields.get("date_published")),
        )


def feed_entry(
    document: Document,
    name: str,
    position: int,
    *,
    link: object,
    title: object,
    authors: list,
    published_at: datetime | None,
) -> Iterator[Entry | DeadLetter]:
    """The entry at ``position`` of a feed, or its dead letter where it has no web link."""
    target = line_or_none(link) or ""
    if not is_web(target):
        reason = f"link is not http(s): {link}" if link else "entry has no link"
        yield dead_letter(
            "read",
            f"{document.location}#{position}",
            name,
            Unusable("NoLink", reason),
            str(title or "").encode("utf-8", "replace"),
        )
        return
    yield Entry(
        location=target,
        source=name,
        feed_url=document.location,
        title=line_or_none(title),
        authors=tuple(filter(None, map(line_or_none, authors))),
        lang=document.source.lang,
        published_at=published_at,
    )


def read_opml(document: Document) -> Iterator[Item]:
    """The feeds of an OPML list, nested outlines included, by the listparser library."""
    listed = listparser.parse(document.body)
    if not listed.version and not listed.feeds:
        raise Unusable("NotOpml", f"not an OPML list: {listed.bozo_exception or 'no outline'}")
    if not listed.feeds:
        raise Unusable("NoFeeds", "the OPML list names no feed")
    for position, feed in enumerate(listed.feeds):
        if is_web(feed.url):
            yield Source(feed.url, line_or_none(feed.title), "feed", document.source.lang)
        else:
            error = Unusable("NoLink", f"feed address is not http(s): {feed.url}")
            yield dead_letter("read", f"{document.location}#{position}", document.name, error)


def read_urls(document: Document) -> Iterator[Item]:
    """The articles of a list of URLs, one a line; blank lines and # comments are skipped."""
    for number, line in enumerate(decode_text(document.body).splitlines()):
        url = line.strip()
        if is_web(url) and len(url.split()) == 1:
            yield Entry(url, document.name, lang=document.source.lang)
        elif url and not url.startswith("#"):
            error = Unusable("NoLink", f"not an http(s) URL: {url}")
            yield dead_letter("read", f"{document.location}#{number}", document.name, error)


def read_html(document: Document) -> Iterator[Item]:
    """The one article of an HTML page."""
    yield Entry(document.location, document.name, "html", lang=document.source.lang)


def read_text(document: Document) -> Iterator[Item]:
    """The one article of a text file."""
    yield Entry(document.location, document.name, "text", lang=document.source.lang)


KINDS: dict[str, Callable[[Document], Iterator[Item]]] = {
    "feed": read_feed,
    "jsonfeed": read_json_feed,
    "opml": read_opml,
    "urls": read_urls,
    "html": read_html,
    "text": read_text,
}
# Kinds that list something: each reading of one leaves a row in the table of polls.
POLLED = frozenset({"feed", "jsonfeed", "opml", "urls"})

# The mark that stands first in the head of a document decides.
MARKS = {
    "opml": re.compile(r"<opml[\s>]", re.I),
    "feed": re.compile(r"<(?:\w+:)?(?:rss|rdf|feed)[\s>]", re.I),
    "html": re.compile(r"<!doctype\s+html|<(?:html|head|body|article)[\s>]", re.I),
}
WARC_MARK = b"WARC/"
SUFFIXES = {
    ".opml": "opml",
    ".rss": "feed",
    ".atom": "feed",
    ".rdf": "feed",
    ".xml": "feed",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
}


def detect_kind(document: Document) -> str:
    """The kind of a document, from its content and then its name.

    Raises Unusable for one that is empty or binary.
    """
    if not document.body.strip():
        raise Unusable("Empty", "the document is empty")
    if document.body.startswith(WARC_MARK):
        raise Unusable("Unsupported", "WARC archives are not read")
    if is_binary(document.body):
        raise Unusable("Binary", "the document is binary, not text")
    head = decode_head(document.body, HEAD_BYTES).lstrip()
    suffix = PurePosixPath(document.location.removesuffix(".gz")).suffix.lower()
    plain = "urls" if is_url_list(head) else "text"
    if suffix in (".md", ".txt"):
        return plain
    if head.startswith("{"):
        return "jsonfeed"
    found = {kind: mark.search(head) for kind, mark in MARKS.items()}
    marks = {kind: match.start() for kind, match in found.items() if match}
    if marks:
        return min(marks, key=lambda kind: marks[kind])
    if head.startswith("<"):
        return SUFFIXES.get(suffix, "feed")
    return SUFFIXES.get(suffix, plain)


def is_url_list(head: str) -> bool:
    """Whether the head of a text holds URLs and comments, one a line, and nothing else."""
    lines = [line.strip() for line in head.splitlines()]
    # The last line of a head may be cut; it decides only where it is the only one.
    lines = [line for line in (lines[:-1] or lines) if line and not line.startswith("#")]
    return bool(lines) and all(is_web(line) and len(line.split()) == 1 for line in lines)
