"""How the newsroom's feeds and pages look: RSS, Atom, JSON Feed, news sitemap, HTML."""

import json
import random
from collections.abc import Callable
from email.utils import format_datetime
from xml.sax.saxutils import escape

from tests.soak.newsroom import FEEDS, Article

# Of the forty feeds; those in a list are not named in the configuration by themselves.
KINDS = ("rss",) * 16 + ("atom",) * 10 + ("json",) * 8 + ("sitemap",) * 6
IN_OPML, IN_INDEX = range(12, 20), range(38, 40)
PATHS = {"rss": "rss.xml", "atom": "atom.xml", "json": "feed.json", "sitemap": "news-sitemap.xml"}
TYPES = {
    "rss": "application/rss+xml",
    "atom": "application/atom+xml",
    "json": "application/feed+json",
    "sitemap": "application/xml",
}
assert len(KINDS) == FEEDS
# Those that say when an article was changed.
DATED = frozenset(feed for feed, kind in enumerate(KINDS) if kind != "rss")


def feed_path(feed: int) -> str:
    """The path of a feed."""
    return f"/feeds/{feed}/{PATHS[KINDS[feed]]}"


def link_of(article: Article, feed: int) -> str:
    """The address under which a feed lists an article: with a tracking parameter in some."""
    return f"{article.url}?utm_source=feed{feed}" if feed % 3 == 0 else article.url


def guid_of(article: Article, changing: bool) -> str:
    """What a feed knows an article by; with a fault another one each time."""
    return f"tag:newsroom.example,2026:{random.random() if changing else article.serial}"


def rss(feed: int, articles: list[Article], changing: bool) -> str:
    items = "".join(
        f"<item><title>{escape(one.title)}</title><link>{escape(link_of(one, feed))}</link>"
        f"<guid isPermaLink='false'>{guid_of(one, changing)}</guid>"
        f"<pubDate>{format_datetime(one.published_at, usegmt=True)}</pubDate></item>\n"
        for one in articles
    )
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n<rss version='2.0'><channel>"
        f"<title>Desk {feed}</title><link>http://newsroom.example/</link>\n{items}</channel></rss>"
    )


def atom(feed: int, articles: list[Article], changing: bool) -> str:
    entries = "".join(
        f"<entry><title>{escape(one.title)}</title><id>{guid_of(one, changing)}</id>"
        f"<link rel='alternate' href='{escape(link_of(one, feed))}'/>"
        f"<published>{one.published_at.isoformat()}</published>"
        f"<updated>{one.updated_at.isoformat()}</updated></entry>\n"
        for one in articles
    )
    return (
        f"<?xml version='1.0' encoding='utf-8'?>\n<feed xmlns='http://www.w3.org/2005/Atom'>"
        f"<title>Wire {feed}</title>\n{entries}</feed>"
    )


def json_feed(feed: int, articles: list[Article], changing: bool) -> str:
    items = [
        {
            "id": guid_of(one, changing),
            "url": link_of(one, feed),
            "title": one.title,
            "date_published": one.published_at.isoformat(),
            "date_modified": one.updated_at.isoformat(),
        }
        for one in articles
    ]
    version = "https://jsonfeed.org/version/1.1"
    return json.dumps({"version": version, "title": f"Post {feed}", "items": items}, indent=1)


def sitemap(feed: int, articles: list[Article], changing: bool) -> str:
    urls = "".join(
        f"<url><loc>{escape(link_of(one, feed))}</loc>"
        f"<lastmod>{one.updated_at.isoformat()}</lastmod><news:news><news:publication>"
        f"<news:name>Map {feed}</news:name><news:language>en</news:language></news:publication>"
        f"<news:publication_date>{one.published_at.isoformat()}</news:publication_date>"
        f"<news:title>{escape(one.title)}</news:title></news:news></url>\n"
        for one in articles
    )
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' "
        f"xmlns:news='http://www.google.com/schemas/sitemap-news/0.9'>\n{urls}</urlset>"
    )


RENDER: dict[str, Callable[[int, list[Article], bool], str]] = {
    "rss": rss,
    "atom": atom,
    "json": json_feed,
    "sitemap": sitemap,
}


def opml(urls: list[str]) -> str:
    """A list of feeds."""
    outlines = "".join(f"<outline type='rss' text='Listed' xmlUrl='{url}'/>" for url in urls)
    return f"<opml version='2.0'><body>{outlines}</body></opml>"


def sitemap_index(urls: list[str]) -> str:
    """An index of sitemaps."""
    maps = "".join(f"<sitemap><loc>{url}</loc></sitemap>" for url in urls)
    return (
        f"<sitemapindex xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'>{maps}</sitemapindex>"
    )


def page(article: Article, number: int) -> str:
    """The page of an article; what stands around the text is different in every answer."""
    paragraphs = "".join(f"<p>{escape(paragraph)}</p>\n" for paragraph in article.states[-1])
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        f"<title>{escape(article.title)}</title><link rel='canonical' href='{article.url}'>"
        f"<meta property='article:published_time' content='{article.published_at.isoformat()}'>"
        f"</head><body><header><nav><a href='/'>Front page</a> <a href='/weather/{number}'>Weather"
        f"</a></nav></header>\n<main><article><h1>{escape(article.title)}</h1>\n{paragraphs}"
        f"</article></main>\n<aside><h2>Most read</h2><ul><li><a href='/news/{number}'>Story "
        f"{number}</a></li></ul></aside><footer><p>Page {number} of our press.</p></footer>"
        "</body></html>"
    )


def maintenance() -> str:
    """What a site shows, with the status of a success, while somebody works on it."""
    said = "We are working on our pages and will be back for you in a little while. " * 6
    return (
        "<!doctype html><html><head><title>Newsroom</title></head><body><main><article>"
        f"<h1>A word to our readers</h1><p>{said}</p></article></main></body></html>"
    )
