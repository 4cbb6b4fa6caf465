"""Finds the kind of a document from its content and its name."""

import re
from pathlib import PurePosixPath

from transforms.deadletter import Unusable
from transforms.decode import decode_head, is_binary
from transforms.sources.archives import is_archive
from transforms.sources.document import Document
from transforms.urls import is_web

HEAD_BYTES = 8192
# The mark that stands first in the head of a document decides.
MARKS = {
    "sitemap": re.compile(r"<(?:\w+:)?(?:urlset|sitemapindex)[\s/>]", re.I),
    "opml": re.compile(r"<opml[\s>]", re.I),
    "feed": re.compile(r"<(?:\w+:)?(?:rss|rdf|feed)[\s>]", re.I),
    "html": re.compile(r"<!doctype\s+html|<(?:html|head|body|article)[\s>]", re.I),
}
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
    if is_archive(document.body[:HEAD_BYTES]):
        return "warc"
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
