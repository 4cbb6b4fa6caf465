"""Sitemaps and news sitemaps, and indexes of them (sitemaps.org, Google's news extension).

Read with lxml as a stream, with entities and network off and its limits on. The kept
sitemap libraries fetch by themselves, and bring an HTTP client of their own.
"""

import io
import re
from collections.abc import Iterator

from lxml import etree

from schemas.records import DeadLetter, Entry, Source
from transforms.clean import line_or_none
from transforms.dates import parse_moment
from transforms.deadletter import Unusable, dead_letter
from transforms.sources.document import Document, Hints, Item
from transforms.urls import absolute_url, is_web

# The most that the protocol allows in one sitemap; what is beyond is refused.
MOST_ITEMS = 50_000
ROOTS = ("urlset", "sitemapindex")
CLOSED = re.compile(rb"</(?:\w+:)?(?:urlset|sitemapindex)\s*>", re.I)
TAIL_BYTES = 4096


def read_sitemap(document: Document) -> Iterator[Item]:
    """The pages of a sitemap, or the sitemaps that an index names.

    What stands before damaged XML is kept, and the damage is a dead letter.
    """
    stream = etree.iterparse(
        io.BytesIO(document.body),
        events=("start", "end"),
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        huge_tree=False,
    )
    position, root = 0, None
    try:
        for event, element in stream:
            if event == "start":
                root = root or sitemap_root(element)
            elif local_name(element) in ("url", "sitemap"):
                if position == MOST_ITEMS:
                    raise Unusable("TooLong", f"the sitemap has over {MOST_ITEMS:,} addresses")
                yield sitemap_item(document, element, position)
                position += 1
                # Keeps the tree small, whatever the length of the sitemap.
                element.clear()
    except (etree.XMLSyntaxError, Unusable) as error:
        if root is None:
            raise Unusable("NotASitemap", f"not a sitemap: {error}") from error
        if not CLOSED.search(document.body[-TAIL_BYTES:]):
            yield Hints(whole=False)
        damage = Unusable("BadXml", f"the sitemap is damaged: {error}")
        yield dead_letter("read", f"{document.location}#{position}", document.name, damage)


def sitemap_root(element: etree._Element) -> str:
    """The name of a sitemap's first element. Raises Unusable for any other."""
    name = local_name(element)
    if name not in ROOTS:
        raise Unusable("NotASitemap", f"the first element is {name}")
    return name


def sitemap_item(document: Document, element: etree._Element, position: int) -> Item:
    """The entry of a ``url`` element, the source of a ``sitemap`` element."""
    fields: dict[str, str] = {}
    for child in element.iter():
        if child.text and child is not element:
            fields.setdefault(local_name(child), child.text.strip())
    link = line_or_none(fields.get("loc"))
    target = absolute_url(document.base, link) if link else ""
    if not is_web(target):
        return no_link(document, position, fields.get("loc"))
    if local_name(element) == "sitemap":
        return Source(target, document.source.name, "sitemap", document.source.lang)
    published = parse_moment(fields.get("publication_date"))
    updated = parse_moment(fields.get("lastmod"))
    return Entry(
        location=target,
        source=document.source.name or line_or_none(fields.get("name")) or document.name,
        feed_url=document.location,
        title=line_or_none(fields.get("title")),
        lang=line_or_none(fields.get("language")) or document.source.lang,
        # lastmod is when the page changed, not when it appeared.
        published_at=published.at if published else None,
        published_offset_minutes=published.offset if published else None,
        updated_at=updated.at if updated else None,
    )


def no_link(document: Document, position: int, link: str | None) -> DeadLetter:
    """The dead letter for an element without an address that can be asked for."""
    reason = f"address is not http(s): {link}" if link else "no address"
    key = f"{document.location}#{position}"
    return dead_letter("read", key, document.name, Unusable("NoLink", reason))


def local_name(element: etree._Element) -> str:
    """The name of an element without its namespace; empty for a comment or an entity."""
    # Not by lxml's QName, which refuses names that its own parser lets through.
    return element.tag.rpartition("}")[2].rpartition(":")[2] if isinstance(element.tag, str) else ""
