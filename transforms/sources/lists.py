"""Lists: OPML names feeds, a text file names articles."""

from collections.abc import Iterator

import listparser

from schemas.records import Entry, Source
from transforms.clean import line_or_none
from transforms.deadletter import Unusable, dead_letter
from transforms.decode import decode_text
from transforms.sources.document import Document, Item
from transforms.urls import is_web


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
