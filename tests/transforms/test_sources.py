"""What each kind of source lists."""

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from schemas.records import DeadLetter, Entry, Source
from tests.listed import read, rss
from transforms.read import read_document
from transforms.sources import KINDS, detect_kind

GOLDEN = [
    ("rss091.xml", "Harbour Bulletin", "https://harbour.example/port",
     "Port reopens after the storm", (), None),
    ("rss092.xml", "Valley Wire", "https://valley.example/bridge",
     "Bridge vote is put off", (), None),
    ("rss10.rdf", "Plain News", "https://plain.example/envoys",
     "Envoys arrive", ("Ada Brook",), datetime(2024, 3, 2, 4, 30, tzinfo=UTC)),
    ("rss20.xml", "Hill Courier", "https://hill.example/pause",
     "Council agrees a pause", ("Bo Lund",), datetime(2024, 3, 1, 9, tzinfo=UTC)),
    ("atom.xml", "Coast Notes", "https://coast.example/blog/talks.html",
     "Talks resume", ("Cy Dale",), datetime(2024, 3, 4, 12, tzinfo=UTC)),
    ("feed.json", "River JSON", "https://river.example/ferry",
     "Ferry runs again", ("Di Eck",), datetime(2024, 3, 6, 13, tzinfo=UTC)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "source", "link", "title", "authors", "date"), GOLDEN)
def test_each_feed_format_gives_its_entries(
    data, document, name, source, link, title, authors, date
):
    found = read(document((data / name).read_bytes(), f"/feeds/{name}"))
    entry = dataclasses.replace(found[0], published_offset_minutes=None, updated_at=None)
    assert entry == Entry(link, source, None, f"/feeds/{name}", title, authors, published_at=date)


UPDATED = datetime(2024, 3, 5, 9, 30, tzinfo=UTC)
DCTERMS = "xmlns:dcterms='http://purl.org/dc/terms/' xmlns:atom='http://www.w3.org/2005/Atom'"


@pytest.mark.parametrize(
    ("item", "moment"),
    [
        ("<dcterms:modified>2024-03-05T10:30:00+01:00</dcterms:modified>", UPDATED),
        ("<atom:updated>2024-03-05T09:30:00Z</atom:updated>", UPDATED),
        ("<pubDate>Tue, 05 Mar 2024 09:30:00 GMT</pubDate>", None),
        ("<atom:updated>soon</atom:updated>", None),
    ],
)
def test_rss_says_when_an_item_was_updated(document, item, moment):
    body = (
        f"<rss version='2.0' {DCTERMS}><channel><title>Feed</title><item>"
        f"<link>https://a.example/1</link>{item}</item></channel></rss>"
    )
    assert [entry.updated_at for entry in read(document(body.encode()))] == [moment]


def test_atom_and_json_feed_say_when_an_item_was_updated(document):
    atom = (
        "<feed xmlns='http://www.w3.org/2005/Atom'><title>Feed</title><entry>"
        "<link href='https://a.example/1'/><published>2024-03-01T00:00:00Z</published>"
        "<updated>2024-03-05T09:30:00Z</updated></entry></feed>"
    )
    item = {"url": "https://a.example/1", "date_modified": "2024-03-05T09:30:00Z"}
    version = "https://jsonfeed.org/version/1.1"
    for body in (atom, json.dumps({"version": version, "title": "Feed", "items": [item]})):
        assert [entry.updated_at for entry in read(document(body.encode()))] == [UPDATED]


@pytest.mark.parametrize("folder", ["/feeds", "https://feeds.example"])
@pytest.mark.parametrize(
    ("name", "item"), [("rss20.xml", "An item without a link"), ("feed.json", "2")]
)
def test_an_item_without_a_link_is_a_dead_letter_with_its_id_and_title(
    data, document, folder, name, item
):
    letter = read(document((data / name).read_bytes(), f"{folder}/{name}"))[1]
    assert isinstance(letter, DeadLetter)
    assert (letter.stage, letter.key) == ("read", f"{folder}/{name}#{item}")
    assert (letter.error_type, letter.message) == ("NoLink", "entry has no link")
    assert letter.payload_head in ("An item without a link", "No address")


def test_a_relative_link_counts_from_the_feeds_site_and_its_date_may_lack(data, document):
    entry = read(document((data / "rss20.xml").read_bytes()))[2]
    assert (entry.location, entry.published_at) == ("https://hill.example/news/relative", None)


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("/home/me/feed.xml", "https://a.example/x.html"),
        ("https://b.example/feeds/all.xml", "https://b.example/feeds/x.html"),
    ],
)
def test_a_relative_link_never_holds_a_path_of_this_machine(document, location, expected):
    assert read(document(rss(link="x.html"), location))[0].location == expected


def test_an_opml_list_gives_its_feeds_at_every_depth(data, document):
    *feeds, letter = read(document((data / "nested.opml").read_bytes(), "/l.opml", lang="en"))
    assert feeds == [
        Source("https://hill.example/feed.xml", "Hill Courier", "feed", "en"),
        Source("http://coast.example/atom.xml", "Coast Notes", "feed", "en"),
    ]
    assert (letter.error_type, letter.key) == ("NoLink", "/l.opml#2")


def test_a_list_of_urls_skips_comments_and_blank_lines(data, document):
    found = read(document((data / "urls.txt").read_bytes(), "/lists/urls.txt"))
    assert found == [
        Entry("https://hill.example/pause", "urls.txt"),
        Entry("http://coast.example/talks", "urls.txt"),
    ]


def test_a_line_that_is_no_url_is_a_dead_letter(document):
    entry, letter = read(document(b"https://a.example/1\nnot one"), "urls")
    assert entry.location == "https://a.example/1"
    assert (letter.error_type, letter.key) == ("NoLink", "/feeds/feed#1")


@pytest.mark.parametrize(
    ("name", "kind"), [("page.html", "html"), ("plain.txt", "text"), ("front_matter.md", "text")]
)
def test_a_page_or_text_is_one_entry(data, document, name, kind):
    found = read(document((data / name).read_bytes(), f"/news/{name}", lang="en"))
    assert found == [Entry(f"/news/{name}", name, kind, lang="en")]


@pytest.mark.parametrize(
    ("file", "name", "kind"),
    [
        ("rss20.xml", "page.html", "feed"),
        ("page.html", "feed.xml", "html"),
        ("nested.opml", "feed.xml", "opml"),
        ("feed.json", "feed.xml", "jsonfeed"),
        ("urls.txt", "list", "urls"),
        ("atom.xml", "list.opml", "feed"),
        ("plain.txt", "noname", "text"),
        ("page.html", "quoted.txt", "text"),
    ],
)
def test_content_decides_over_a_name_unless_the_name_says_text(data, document, file, name, kind):
    assert detect_kind(document((data / file).read_bytes(), f"/feeds/{name}")) == kind


@pytest.mark.parametrize(
    ("kind", "body", "at", "offset"),
    [
        ("feed", "<pubDate>Fri, 01 Mar 2024 23:30:00 -0500</pubDate>", "2024-03-02T04:30", -300),
        ("feed", "<pubDate>Fri, 01 Mar 2024 23:30:00 GMT</pubDate>", "2024-03-01T23:30", 0),
        ("feed", "<pubDate>Fri, 01 Mar 2024 23:30:00</pubDate>", "2024-03-01T23:30", None),
        ("jsonfeed", "2024-03-01T10:00:00+02:00", "2024-03-01T08:00", 120),
        ("sitemap", "2024-03-01T10:00:00+02:00", "2024-03-01T08:00", 120),
    ],
)
def test_a_listed_date_keeps_its_offset(document, kind, body, at, offset):
    url = "https://a.example/1"
    forms = {
        "feed": f"<rss version='2.0'><channel><title>T</title><item><link>{url}</link>{body}"
        "</item></channel></rss>",
        "jsonfeed": f'{{"items": [{{"url": "{url}", "date_published": "{body}"}}]}}',
        "sitemap": "<urlset xmlns='http://www.sitemaps.org/schemas/sitemap/0.9' "
        "xmlns:n='http://www.google.com/schemas/sitemap-news/0.9'><url><loc>"
        f"{url}</loc><n:news><n:publication_date>{body}</n:publication_date></n:news></url></urlset>",
    }
    found = KINDS[kind](document(forms[kind].encode(), location="https://a.example/feed"))
    (entry,) = [item for item in found if isinstance(item, Entry)]
    moment = datetime.fromisoformat(at).replace(tzinfo=UTC)
    assert (entry.published_at, entry.published_offset_minutes) == (moment, offset)


def test_an_entry_without_a_link_is_the_same_dead_letter_wherever_it_stands(document):
    lone = "<item><guid isPermaLink='false'>a-1</guid><title>Lone</title></item>"
    linked = "<item><title>Other</title><link>https://a.example/2</link></item>"
    keys = []
    for items in (lone, linked + lone):
        feed = f"<rss version='2.0'><channel><title>Post</title>{items}</channel></rss>"
        found = read_document(document(feed.encode()), "feed")
        keys += [item.key for item in found if isinstance(item, DeadLetter)]
    assert keys == ["/feeds/feed#a-1"] * 2
