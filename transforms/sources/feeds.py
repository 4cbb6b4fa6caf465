"""Feeds: RSS, Atom and JSON Feed."""

import io
import json
import re
from calendar import timegm
from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from xml.sax import SAXParseException

import feedparser
import lxml.html

from schemas.records import DeadLetter, Entry
from transforms.clean import line_or_none
from transforms.dates import Moment, parse_moment
from transforms.deadletter import Unusable, dead_letter
from transforms.decode import decode_text
from transforms.fallback import pack_contents
from transforms.sources.document import Document, Hints, Item
from transforms.urls import absolute_url, is_web

# RSS 1.0 Syndication module.
PERIODS = {
    "hourly": 3600.0,
    "daily": 86_400.0,
    "weekly": 604_800.0,
    "monthly": 2_592_000.0,
    "yearly": 31_536_000.0,
}
SKIP_HOURS = re.compile(rb"<skipHours>(.{0,2000}?)</skipHours>", re.S)
SKIP_DAYS = re.compile(rb"<skipDays>(.{0,2000}?)</skipDays>", re.S)
HOUR = re.compile(rb"<hour>\s*(\d{1,2})\s*</hour>")
DAY = re.compile(rb"<day>\s*([A-Za-z]{6,9})\s*</day>")
CLOSED = re.compile(rb"</(?:\w+:)?(?:rss|rdf|feed)\s*>", re.I)
TAIL_BYTES = 4096
MAX_KEY_CHARS = 200


def read_feed(document: Document) -> Iterator[Item]:
    """The entries of an RSS 0.9x, 1.0, 2.0 or Atom feed, by the feedparser library."""
    # A path is no base for links: they would come out as paths of this machine.
    headers = {"content-location": document.base} if is_web(document.location) else {}
    if document.content_type:
        headers["content-type"] = document.content_type
    # A stream, never the bytes: feedparser opens bytes that happen to be a file's name.
    feed = feedparser.parse(
        io.BytesIO(document.body), response_headers=headers, sanitize_html=False
    )
    problem = feed.get("bozo_exception")
    if not feed.entries and isinstance(problem, SAXParseException):
        raise Unusable("NotAFeed", f"nothing can be read in it: {problem}")
    if not feed.version and not feed.entries:
        is_parsing = problem and not isinstance(problem, feedparser.NonXMLContentType)
        raise Unusable("NotAFeed", f"not a feed: {problem if is_parsing else 'no RSS or Atom'}")
    name = document.source.name or line_or_none(feed.feed.get("title")) or document.name
    base = document.base if is_web(document.location) else feed.feed.get("link", "")
    yield feed_hints(feed.feed, document.body)
    contents = pack_contents(full_content(item) for item in feed.entries)
    for position, (item, content) in enumerate(zip(feed.entries, contents, strict=True)):
        authors = [author.get("name") for author in item.get("authors", [])]
        yield from feed_entry(
            document,
            name,
            position,
            link=absolute_url(base, item.link) if item.get("link") else None,
            title=plain_title(item),
            authors=authors,
            identity=item.get("id"),
            published=feed_moment(item),
            updated=stated_moment(item, "updated") if "updated" in item else None,
            content=content,
        )


def feed_hints(channel: dict, body: bytes) -> Hints:
    """What a feed says of when to poll it: ttl, skipHours, skipDays and sy:update*."""
    waits = [minutes * 60 for minutes in [number(channel.get("ttl"))] if minutes]
    period = PERIODS.get(str(channel.get("sy_updateperiod", "")).strip().lower())
    if period:
        waits.append(period / (number(channel.get("sy_updatefrequency")) or 1.0))
    return Hints(
        interval=max(waits, default=None),
        # The parser keeps only the last of several elements with one name.
        skip_hours=frozenset(
            int(hour) % 24 for part in SKIP_HOURS.findall(body) for hour in HOUR.findall(part)
        ),
        skip_days=frozenset(
            day.decode().lower() for part in SKIP_DAYS.findall(body) for day in DAY.findall(part)
        ),
        whole=CLOSED.search(body[-TAIL_BYTES:]) is not None,
    )


def number(value: object) -> float | None:
    """A number above zero, else None."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if 0 < found < float("inf") else None


def full_content(item: dict) -> str | None:
    """The longest text that a feed's item carries as its full content (not its summary)."""
    texts = [content.get("value") or "" for content in item.get("content", [])]
    return max(texts, key=len, default=None)


def feed_moment(item: dict) -> Moment | None:
    """When a feed's item was published, else updated."""
    return stated_moment(item, "published" if item.get("published") else "updated")


def stated_moment(item: dict, name: str) -> Moment | None:
    """A date of a feed's item, by its name; None where the calendar ends."""
    stated, parsed = parse_moment(item.get(name)), item.get(f"{name}_parsed")
    if parsed is None:
        return stated
    try:
        at = datetime.fromtimestamp(timegm(parsed), UTC)
    except (OverflowError, ValueError):
        return None
    # The parser of feeds knows more forms of dates, but keeps no offset.
    return Moment(at, stated.offset if stated and stated.at == at else None)


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
    rows = [item if isinstance(item, dict) else {} for item in items]
    contents = pack_contents(json_content(fields) for fields in rows)
    for position, (fields, content) in enumerate(zip(rows, contents, strict=True)):
        authors = fields.get("authors")
        authors = authors if isinstance(authors, list) else [fields.get("author")]
        yield from feed_entry(
            document,
            name,
            position,
            link=fields.get("url") or fields.get("external_url"),
            title=fields.get("title"),
            authors=[author.get("name") for author in authors if isinstance(author, dict)],
            identity=fields.get("id"),
            published=parse_moment(fields.get("date_published")),
            updated=parse_moment(fields.get("date_modified")),
            content=content,
        )


def json_content(fields: dict) -> str | None:
    """The full content of a JSON Feed's item, as HTML."""
    html, text = fields.get("content_html"), fields.get("content_text")
    if isinstance(html, str) and html:
        return html
    if not isinstance(text, str):
        return None
    return "".join(f"<p>{escape(line)}</p>" for line in text.splitlines() if line.strip())


def feed_entry(
    document: Document,
    name: str,
    position: int,
    *,
    link: object,
    title: object,
    authors: list,
    identity: object,
    published: Moment | None,
    updated: Moment | None,
    content: bytes | None,
) -> Iterator[Entry | DeadLetter]:
    """The entry at ``position`` of a feed, or its dead letter where it has no web link."""
    target = line_or_none(link) or ""
    if not is_web(target):
        reason = f"link is not http(s): {link}" if link else "entry has no link"
        # What it says of itself: its place changes with each new entry above it.
        known_by = line_or_none(identity) or line_or_none(title) or str(position)
        yield dead_letter(
            "read",
            f"{document.location}#{known_by[:MAX_KEY_CHARS]}",
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
        published_at=published.at if published else None,
        published_offset_minutes=published.offset if published else None,
        updated_at=updated.at if updated else None,
        content=content,
    )
