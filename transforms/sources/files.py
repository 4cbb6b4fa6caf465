"""Documents that are themselves one article."""

from collections.abc import Iterator

from schemas.records import Entry
from transforms.sources.document import Document, Item


def read_html(document: Document) -> Iterator[Item]:
    """The one article of an HTML page."""
    yield Entry(document.location, document.name, "html", lang=document.source.lang)


def read_text(document: Document) -> Iterator[Item]:
    """The one article of a text file."""
    yield Entry(document.location, document.name, "text", lang=document.source.lang)
