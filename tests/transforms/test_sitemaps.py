from datetime import UTC, datetime

import pytest

from schemas.records import DeadLetter, Entry, Source
from transforms.deadletter import Unusable
from transforms.sources import Hints, detect_kind
from transforms.sources.sitemaps import read_sitemap

HOME = "https://a.example/sitemap.xml"
SITEMAP = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
NEWS = 'xmlns:news="http://www.google.com/schemas/sitemap-news/0.9"'
ONE = (
    "<url><loc> https://a.example/1?a=1&amp;b=2 </loc><lastmod>2024-05-01</lastmod>"
    "<news:news><news:publication><news:name>Hill Post</news:name>"
    "<news:language>en</news:language></news:publication>"
    "<news:publication_date>2024-03-01T10:00:00+02:00</news:publication_date>"
    "<news:title>Bridge &amp; mill</news:title></news:news></url>"
)


def urlset(*items, head=""):
    return f'<?xml version="1.0"?>{head}<urlset {SITEMAP} {NEWS}>{"".join(items)}</urlset>'.encode()


@pytest.fixture
def read(document):
    return lambda body, **source: list(read_sitemap(document(body, HOME, **source)))


def test_a_news_sitemap_gives_title_date_and_language(read):
    assert read(urlset(ONE)) == [
        Entry(
            "https://a.example/1?a=1&b=2",
            "Hill Post",
            feed_url=HOME,
            title="Bridge & mill",
            lang="en",
            published_at=datetime(2024, 3, 1, 8, tzinfo=UTC),
            published_offset_minutes=120,
            updated_at=datetime(2024, 5, 1, tzinfo=UTC),
        )
    ]


def test_a_plain_sitemap_gives_addresses_and_no_dates(read):
    (entry,) = read(urlset("<url><loc>/2</loc><lastmod>2024-05-01</lastmod></url>"), name="Post")
    assert (entry.location, entry.source) == ("https://a.example/2", "Post")
    assert entry.published_at is None
    assert entry.updated_at == datetime(2024, 5, 1, tzinfo=UTC)


def test_an_index_gives_sitemaps(read):
    body = f"<sitemapindex {SITEMAP}><sitemap><loc>https://a.example/n.xml.gz</loc></sitemap>"
    found = read(f"{body}</sitemapindex>".encode(), name="Post", lang="en")
    assert found == [Source("https://a.example/n.xml.gz", "Post", "sitemap", "en")]


def test_what_has_no_address_is_a_dead_letter_and_the_rest_is_read(read):
    found = read(urlset("<url/>", "<url><loc>ftp://a.example/</loc></url>", ONE))
    assert [type(item) for item in found] == [DeadLetter, DeadLetter, Entry]
    assert found[1].key == f"{HOME}#1"


@pytest.mark.parametrize("damage", [b"<url><loc>https://a.exam", b"<url></loc>", b"\x00"])
def test_what_stands_before_the_damage_is_kept(read, damage):
    body = urlset(ONE).removesuffix(b"</urlset>") + damage
    found = read(body)
    assert [type(item) for item in found] == [Entry, Hints, DeadLetter]
    assert not found[1].whole
    assert found[2].error_type == "BadXml"


@pytest.mark.parametrize("body", [b"", b"<html/>", b"hello", b"<!-- -->"])
def test_what_is_no_sitemap_is_refused(read, body):
    with pytest.raises(Unusable) as caught:
        read(body)
    assert caught.value.error_type == "NotASitemap"


def test_entities_are_neither_expanded_nor_fetched(read, tmp_path):
    (tmp_path / "secret").write_text("secret")
    bomb = "".join(
        f'<!ENTITY e{n + 1} "{"&e" + str(n) + ";" if n else "x"}{("&e" + str(n) + ";") * 9}">'
        for n in range(1, 9)
    )
    head = f'<!DOCTYPE urlset [<!ENTITY f SYSTEM "file://{tmp_path}/secret">{bomb}]>'
    items = read(
        urlset("<url><loc>https://a.example/&f;</loc></url><url><loc>&e9;</loc></url>", head=head)
    )
    assert "secret" not in repr(items)
    assert all(len(repr(item)) < 2000 for item in items)


def test_depth_and_number_are_limited(read, monkeypatch):
    deep = urlset("<url>" * 2000 + "</url>" * 2000)
    assert {item.error_type for item in read(deep)} <= {"BadXml", "NoLink"}
    monkeypatch.setattr("transforms.sources.sitemaps.MOST_ITEMS", 3)
    found = read(urlset(*[ONE] * 5))
    assert [type(item) for item in found] == [Entry] * 3 + [DeadLetter]


def test_its_kind_is_found_from_its_first_element(document):
    assert detect_kind(document(urlset(ONE), "/a.xml")) == "sitemap"
    assert detect_kind(document(b"<sitemapindex/>", "/a")) == "sitemap"


def test_an_undeclared_namespace_is_a_damage_that_costs_no_entry(read):
    found = read(urlset("<rdff:RDF/>", ONE))
    assert [type(item) for item in found] == [Entry, DeadLetter]
