"""Feeds for tests, and what is read from a document."""

from transforms.read import read_document
from transforms.sources import Hints, detect_kind


def read(document, kind=None):
    """What a document lists, by the kind that is found where none is given."""
    items = read_document(document, kind or detect_kind(document))
    return [item for item in items if not isinstance(item, Hints)]


def rss(title="A title", link="https://a.example/1", date="", more=""):
    """A feed of two items."""
    return (
        f'<rss version="2.0"><channel><title>Feed</title><link>https://a.example/</link>{more}'
        f"<item><title>{title}</title><link>{link}</link><pubDate>{date}</pubDate></item>"
        "<item><title>Next</title><link>https://a.example/2</link></item></channel></rss>"
    ).encode("utf-8", "surrogatepass")
