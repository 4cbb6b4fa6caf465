"""The full text that some feeds carry, used where the page itself cannot be had.

It travels inside the entry, through the one shuffle there is, and the local engine keeps
a shuffle in memory several times over. So it is compressed and bounded: an article's
full text is 2 to 6 kB then, and no feed may bring more than ``FEED_BYTES`` of them.
Entries that the lake has are dropped before the shuffle, with what they carry.
"""

import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from html import escape

from schemas.records import Entry, Page
from transforms.deadletter import Unusable

# Bytes of one entry after compression; longer content is left out.
ENTRY_BYTES = 32_768
FEED_BYTES = 524_288
# Less than this, with its markup, is a teaser and no article.
FULL_CHARS = 500
# What a page of ENTRY_BYTES may be at most after decompression.
HTML_BYTES = 2_000_000


def pack_contents(texts: Iterable[str | None]) -> Iterator[bytes | None]:
    """The texts of one feed's entries, compressed; None for those that are not carried."""
    left = FEED_BYTES
    for text in texts:
        packed = pack_content(text)
        if packed is None or len(packed) > left:
            yield None
        else:
            left -= len(packed)
            yield packed


def pack_content(text: str | None) -> bytes | None:
    """A full text (HTML) compressed; None where it is none, a teaser or too long."""
    if text is None or not FULL_CHARS <= len(text) <= HTML_BYTES:
        return None
    packed = zlib.compress(text.encode("utf-8", "replace"))
    return packed if len(packed) <= ENTRY_BYTES else None


def content_page(entry: Entry, url: str | None = None) -> Page | None:
    """The page that the feed's own text makes; None where the feed gave none."""
    if entry.content is None:
        return None
    html = zlib.decompressobj().decompress(entry.content, HTML_BYTES).decode("utf-8", "replace")
    title = escape(entry.title or "")
    body = (
        f"<!doctype html><html><head><meta charset=utf-8><title>{title}</title></head>"
        f"<body><article><h1>{title}</h1>{html}</article></body></html>"
    )
    return Page(entry, url or entry.location, body.encode(), "text/html", datetime.now(UTC), "feed")


def page_instead(entry: Entry, error: Unusable, tries: int) -> Page | None:
    """The feed's text where the page will not be had: for good, or after ``tries`` runs."""
    is_last = entry.tries + min(error.attempt, 1) >= tries
    return content_page(entry) if is_last or not error.retryable else None
