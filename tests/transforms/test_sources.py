import dataclasses
import gzip
import json
from datetime import UTC, datetime

import pytest

from schemas.records import DeadLetter, Entry, Source
from transforms.deadletter import Unusable
from transforms.decode import gunzip
from transforms.read import read_document
from transforms.sources import KINDS, Hints, detect_kind


def read(document, kind=None):
    """What a document lists, by the kind that is found where none is given."""
    items = read_document(document, kind or detect_kind(document))
    return [item for item in items if not isinstance(item, Hints)]


def rss(title="A title", link="https://a.example/1", date="", more=""):
    return (
        f'<rss version="2.0"><channel><title>Feed</title><link>https://a.example/</link>{more}'
        f"<item><title>{title}</title><link>{link}</link><pubDate>{date}</pubDate></item>"
        "<item><title>Next</title><link>https://a.example/2</link></item></channel></rss>"
    ).encode("utf-8", "surrogatepass")


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
    ("body", "error_type"),
    [(b" \n", "Empty"), (b"\x89PNG\0\0", "Binary")],
)
def test_what_is_no_text_has_no_kind(document, body, error_type):
    with pytest.raises(Unusable) as caught:
        detect_kind(document(body, "/feeds/feed.xml"))
    assert caught.value.error_type == error_type


@pytest.mark.parametrize(
    ("declared", "used", "title"),
    [
        ("iso-8859-1", "latin-1", "Café fermé à midi"),
        ("utf-8", "latin-1", "Café fermé à midi"),
        ("windows-1251", "cp1251", "Переговоры идут"),
        ("utf-16", "utf-16", "Переговоры идут"),
    ],
)
def test_feeds_in_other_encodings_are_read_even_where_they_declare_a_wrong_one(
    document, declared, used, title
):
    body = f'<?xml version="1.0" encoding="{declared}"?>{rss(title).decode()}'.encode(used)
    assert read(document(body))[0].title == title


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1251"])
def test_a_json_feed_in_another_encoding_is_read(document, encoding):
    title = "Переговоры продолжаются второй день подряд"
    body = json.dumps(
        {"items": [{"url": "https://a.example/", "title": title}]}, ensure_ascii=False
    ).encode(encoding)
    assert read(document(body))[0].title == title


ENTITIES = "".join(f'<!ENTITY b{i} "{f"&b{i - 1};" * 10}">' for i in range(1, 10))
DOCTYPE = '<!DOCTYPE x [<!ENTITY b0 "laugh">%s<!ENTITY file SYSTEM "file://%s">]>'


@pytest.mark.parametrize("entity", ["&b9;", "&file;"])
def test_entities_neither_grow_nor_open_files(document, tmp_path, entity):
    secret = tmp_path / "secret"
    secret.write_text("TOPSECRET")
    head = DOCTYPE % (ENTITIES, secret)
    opml = (
        f'<opml version="2.0"><body><outline type="rss" text="a{entity}" '
        'xmlUrl="https://a.example/"/></body></opml>'
    )
    for kind, text in (("feed", rss(f"a{entity}").decode()), ("opml", opml)):
        listed = repr(read(document((head + text).encode()), kind))
        assert "https://a.example/" in listed
        assert "TOPSECRET" not in listed
        assert len(listed) < 2000


def test_a_feed_that_is_gzip_inside_is_read_member_by_member(document):
    body = gunzip(gzip.compress(rss()[:200]) + gzip.compress(rss()[200:]), 10_000)
    assert [e.location for e in read(document(body))] == [
        "https://a.example/1",
        "https://a.example/2",
    ]


@pytest.mark.parametrize(
    ("body", "error_type"),
    [
        (gzip.compress(b"x" * 1001), "TooLarge"),
        (gzip.compress(b"x" * 600) * 2, "TooLarge"),
        (gzip.compress(b"text")[:-4], "BadGzip"),
        (b"\x1f\x8bnot gzip at all", "BadGzip"),
    ],
    ids=["large", "large in all", "cut", "damaged"],
)
def test_bad_gzip_is_unusable(body, error_type):
    with pytest.raises(Unusable) as caught:
        gunzip(body, 1000)
    assert caught.value.error_type == error_type


def test_json_with_lone_surrogates_gives_text_that_can_be_stored(document):
    body = rb'{"title":"\ud800", "items":[{"url":"https://a.example/\udc80x","title":"a\ud800b"}]}'
    entry = read(document(body))[0]
    assert (entry.location, entry.title) == ("https://a.example/x", "ab")
    assert entry.source == "feed"


@pytest.mark.parametrize(
    "fields",
    [
        {"authors": 5}, {"authors": "Ada"}, {"authors": [None, {"name": 7}]}, {"title": 7},
        {"date_published": "2024-01-01T00:00:00+99:00"}, {"date_published": 7},
    ],
)  # fmt: skip
def test_an_odd_field_of_a_json_item_is_passed_over(document, fields):
    item = {"url": "https://a.example/", **fields}
    entry = read(document(json.dumps({"items": [item]}).encode()))[0]
    assert (entry.location, entry.title, entry.authors, entry.published_at) == (
        "https://a.example/", None, (), None,
    )  # fmt: skip


@pytest.mark.parametrize("date", ["9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "soon"])
def test_a_date_outside_the_calendar_does_not_cost_the_feed(document, date):
    entries = read(document(rss(date=date)))
    assert [e.published_at for e in entries] == [None, None]


@pytest.mark.parametrize("kind", ["feed", "jsonfeed", "opml"])
@pytest.mark.parametrize(
    "body", [b"/etc/passwd", b"file:///etc/passwd", b"{}", b"<a/>", b"[" * 9999]
)
def test_a_body_is_never_taken_for_a_name_and_rubbish_is_unusable(document, kind, body):
    with pytest.raises(Unusable) as caught:
        read(document(body), kind)
    assert "root:" not in str(caught.value)
    assert caught.value.error_type in ("NotAFeed", "NotOpml", "NoFeeds")


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("<![CDATA[<b>Bold</b> words]]>", "Bold words"),
        ("Fewer &lt; 5 &amp; more", "Fewer < 5 & more"),
        ("&lt;i&gt;a\x1b[31m&lt;/i&gt;", "a[31m"),
        ("red\x1b]0;title\x07 alarm", "red]0;title alarm"),
        ("right\u202eto left\u200b", "rightto left"),
        ("two\n  lines", "two lines"),
    ],
)
def test_titles_are_one_plain_line(document, title, expected):
    body = json.dumps({"items": [{"url": "https://a.example/", "title": title}]}).encode()
    from_json = read(document(body))[0].title
    assert read(document(rss(title)))[0].title == expected
    assert from_json is not None and not set(from_json) & set("\x1b\x00\x07\n\u202e\u200b")


def test_every_kind_takes_any_bytes_without_a_crash(document):
    for kind in KINDS:
        for body in (bytes(range(256)), "\ufffe\ufeff".encode("utf-16"), b"<" * 5000, b"{" * 5000):
            try:
                read(document(body), kind)
            except Unusable as error:
                assert str(error)


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


def test_a_feed_that_is_broken_before_its_first_entry_is_a_failure(document):
    body = b"<?xml version='1.0'?><rss version='2.0'><channel><title>Post</title"
    with pytest.raises(Unusable) as caught:
        read_document(document(body), "feed")
    assert caught.value.error_type == "NotAFeed"


def test_an_entry_without_a_link_is_the_same_dead_letter_wherever_it_stands(document):
    lone = "<item><guid isPermaLink='false'>a-1</guid><title>Lone</title></item>"
    linked = "<item><title>Other</title><link>https://a.example/2</link></item>"
    keys = []
    for items in (lone, linked + lone):
        feed = f"<rss version='2.0'><channel><title>Post</title>{items}</channel></rss>"
        found = read_document(document(feed.encode()), "feed")
        keys += [item.key for item in found if isinstance(item, DeadLetter)]
    assert keys == ["/feeds/feed#a-1"] * 2
