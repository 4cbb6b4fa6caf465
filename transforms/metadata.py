"""What an HTML page says of itself: title, authors, publisher, section, address and dates.

Headline, authors, site name and address are read by trafilatura's own functions, from a
tree that is parsed already. Left out of what they would do: categories, tags and licence,
which nobody here asks for, and the search for a date in places where the page states one.
"""

import contextlib
import copy
import dataclasses
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from htmldate import find_date
from lxml.etree import Element, SubElement, XPath
from lxml.html import HtmlElement
from trafilatura import metadata as trafilatura_metadata

from transforms.dates import first_believable

JSON_LD = './/script[@type="application/ld+json"]'
# More than any article's own description takes; what is longer is not read.
MAX_JSON_LD_CHARS = 500_000
MAX_JSON_LD_NODES = 200
# Types of schema.org: those that end so are articles, the others describe the page.
ARTICLE_TYPES = ("article", "posting", "report", "review")
PAGE_TYPES = ("webpage", "itempage")
# Names of meta elements in the order they are believed, in lower case.
PUBLISHED_NAMES = (
    "article:published_time", "og:article:published_time", "og:published_time",
    "datepublished", "parsely-pub-date", "sailthru.date", "publishdate", "publish-date",
    "pubdate", "publication_date", "date.created", "dcterms.created", "dc.date.issued",
    "dc.date", "cxenseparse:recs:publishtime", "date",
)  # fmt: skip
MODIFIED_NAMES = (
    "article:modified_time", "og:article:modified_time", "og:updated_time", "datemodified",
    "dcterms.modified", "last-modified", "lastmod",
)  # fmt: skip
SECTION_NAMES = ("article:section", "og:article:section", "parsely-section", "section")
TIER_NAMES = ("article:content_tier", "og:article:content_tier")
# Every element that trafilatura may take for an author's name has one of these marks in one
# of these attributes.
AUTHOR_ATTRIBUTES = XPath(
    "//@class | //@id | //@itemprop | //@rel | //@data-testid | //@data-component"
)
AUTHOR_MARK = re.compile(
    "uthor|yline|BBL|byl|writer|screenname|username|journalist-name|channel-name|"
    "submitted-by|posted-by|zuozhe|bianji|xiaobian"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Metadata:
    """A page's account of itself. ``is_free`` is None where the page does not say."""

    title: str | None
    authors: tuple[str, ...]
    publisher: str | None
    section: str | None
    canonical: str | None
    published: tuple[str, ...]
    modified: tuple[str, ...]
    is_free: bool | None


def read_metadata(tree: HtmlElement, url: str | None) -> Metadata:
    """The metadata of a parsed page that was fetched from ``url``; the tree stays as it is."""
    nodes = sorted(json_ld_nodes(tree), key=is_page)
    names = meta_values(tree)
    document = trafilatura_metadata.examine_meta(tree)
    if document.author and " " not in document.author:
        document.author = None  # A login name; the library's own rule.
    with contextlib.suppress(Exception):  # JSON of any shape; the library lets its errors out.
        document = trafilatura_metadata.extract_meta_json(tree, document)
    canonical = document.url or trafilatura_metadata.extract_url(tree, url)
    authors = document.author or visible_author(tree)
    return Metadata(
        title=document.title or trafilatura_metadata.extract_title(tree),
        authors=tuple(filter(None, (authors or "").split("; "))),
        publisher=publisher(document.sitename),
        section=first_text(nodes, "articleSection") or first_value(names, SECTION_NAMES),
        canonical=canonical,
        published=published_dates(tree, nodes, names, canonical),
        modified=(*texts(nodes, "dateModified"), *values(names, MODIFIED_NAMES)),
        is_free=is_free(nodes, names),
    )


def visible_author(tree: HtmlElement) -> str | None:
    """The authors named in the page's text, by trafilatura.

    It searches a copy of the page with regular expressions on every element, which costs a
    quarter of all that extraction does; here the copy holds only the elements that may match,
    below bare copies of those around them.
    """
    marked = [a.getparent() for a in AUTHOR_ATTRIBUTES(tree) if AUTHOR_MARK.search(a)]
    marked += tree.iter("author")
    if not marked:
        return None
    root = Element("html")
    copies: dict[Any, Any] = {tree: root}
    taken = set(marked)
    for element in dict.fromkeys(marked):
        path = [element, *element.iterancestors()][:-1]
        if not any(outer in taken for outer in path[1:]):
            parent = root
            for outer in reversed(path[1:]):
                if outer not in copies:
                    copies[outer] = SubElement(parent, outer.tag, dict(outer.attrib))
                parent = copies[outer]
            parent.append(copy.deepcopy(element))
    return trafilatura_metadata.extract_author(root)


def json_ld_nodes(tree: HtmlElement) -> list[dict[str, Any]]:
    """The descriptions of articles and of the page in its JSON-LD, in the page's order."""
    found: list[dict[str, Any]] = []
    for script in tree.iterfind(JSON_LD):
        text = script.text or ""
        if len(text) <= MAX_JSON_LD_CHARS:
            with contextlib.suppress(ValueError, RecursionError):
                found += described(json.loads(text, strict=False))
    return found[:MAX_JSON_LD_NODES]


def described(value: Any) -> Iterator[dict[str, Any]]:
    """The articles and pages that a JSON-LD value describes, and not those it mentions."""
    for node in value if isinstance(value, list) else [value]:
        if not isinstance(node, dict):
            continue
        graph = node.get("@graph")
        if isinstance(graph, list):
            yield from (one for one in graph if isinstance(one, dict) and node_types(one))
        if node_types(node):
            yield node
            entity = node.get("mainEntity")
            if isinstance(entity, dict) and node_types(entity):
                yield entity


def node_types(node: dict[str, Any]) -> tuple[str, ...]:
    """The types of a node that are an article's or a page's, in lower case."""
    given = node.get("@type")
    names = [given] if isinstance(given, str) else given if isinstance(given, list) else []
    ends = ARTICLE_TYPES + PAGE_TYPES
    return tuple(n.lower() for n in names if isinstance(n, str) and n.lower().endswith(ends))


def is_page(node: dict[str, Any]) -> bool:
    """Whether a node describes the page rather than the article in it."""
    return all(name.endswith(PAGE_TYPES) for name in node_types(node))


def texts(nodes: list[dict[str, Any]], key: str) -> list[str]:
    """The texts that nodes give for a key, those of articles first."""
    return [node[key] for node in nodes if isinstance(node.get(key), str) and node[key].strip()]


def first_text(nodes: list[dict[str, Any]], key: str) -> str | None:
    """The first text for a key; the first of a list where a node gives several."""
    for node in nodes:
        given = node.get(key)
        given = given[0] if isinstance(given, list) and given else given
        if isinstance(given, str) and given.strip():
            return given
    return None


def meta_values(tree: HtmlElement) -> dict[str, str]:
    """The content of the page's meta elements by name, property or itemprop, first one first."""
    names: dict[str, str] = {}
    for element in tree.iterfind(".//meta[@content]"):
        content = element.get("content").strip()
        for attribute in ("property", "name", "itemprop"):
            name = element.get(attribute)
            if name and content:
                names.setdefault(name.lower(), content)
    return names


def values(found: dict[str, str], names: tuple[str, ...]) -> list[str]:
    """The values of those names that the page has, in the order of the names."""
    return [found[name] for name in names if name in found]


def first_value(found: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next(iter(values(found, names)), None)


def published_dates(
    tree: HtmlElement, nodes: list[dict[str, Any]], names: dict[str, str], url: str | None
) -> tuple[str, ...]:
    """Every date of publication that the page states, best first.

    Where none that can be true is stated, htmldate looks for a day in the page's text and
    address. Its search for any date whatever is left out: it takes dates the text is about.
    """
    stated = [*texts(nodes, "datePublished"), *values(names, PUBLISHED_NAMES)]
    for element in tree.iterfind(".//time[@datetime]"):
        if element.get("itemprop") == "datePublished" or element.get("pubdate") is not None:
            stated.append(element.get("datetime"))
    now = datetime.now(UTC)
    if first_believable(stated, now) is None:
        found = find_date(
            tree,
            extensive_search=False,
            original_date=True,
            url=url,
            max_date=now.strftime("%Y-%m-%d"),
        )
        stated += [found] if found else []
    return tuple(stated)


def publisher(sitename: object) -> str | None:
    """The name of a site as trafilatura found it, without the mark of an account."""
    return (sitename.strip().lstrip("@") or None) if isinstance(sitename, str) else None


def is_free(nodes: list[dict[str, Any]], names: dict[str, str]) -> bool | None:
    """Whether the page says it may be read without paying (schema.org isAccessibleForFree)."""
    for node in nodes:
        given = node.get("isAccessibleForFree")
        if given is not None and not is_page(node):
            return str(given).strip().lower() not in ("false", "0", "no", "http://schema.org/false")
    tier = first_value(names, TIER_NAMES)
    return None if tier is None else tier.lower() != "locked"
