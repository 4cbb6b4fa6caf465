"""What a source can be: one small reader a kind, and the dict of them.

A reader takes a document and gives what it lists: entries, further sources, or dead
letters for those of its items that cannot be used. It raises Unusable where the whole
document cannot be.
"""

from collections.abc import Callable, Iterator

from transforms.sources.archives import read_archive
from transforms.sources.detect import detect_kind
from transforms.sources.document import Document, Hints, Item
from transforms.sources.feeds import read_feed, read_json_feed
from transforms.sources.files import read_html, read_text
from transforms.sources.lists import read_opml, read_urls
from transforms.sources.sitemaps import read_sitemap

__all__ = ["KINDS", "POLLED", "Document", "Hints", "Item", "detect_kind"]

KINDS: dict[str, Callable[[Document], Iterator[Item]]] = {
    "feed": read_feed,
    "jsonfeed": read_json_feed,
    "sitemap": read_sitemap,
    "opml": read_opml,
    "urls": read_urls,
    "warc": read_archive,
    "html": read_html,
    "text": read_text,
}
# Kinds that list something: each reading of one leaves a row in the table of polls.
POLLED = frozenset(KINDS) - {"html", "text"}
