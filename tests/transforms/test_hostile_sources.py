"""Sources in odd encodings, with odd fields, packed, cut or made to do harm."""

import gzip
import json

import pytest

from tests.listed import read, rss
from transforms.deadletter import Unusable
from transforms.decode import gunzip
from transforms.read import read_document
from transforms.sources import KINDS, detect_kind


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


def test_a_feed_that_is_broken_before_its_first_entry_is_a_failure(document):
    body = b"<?xml version='1.0'?><rss version='2.0'><channel><title>Post</title"
    with pytest.raises(Unusable) as caught:
        read_document(document(body), "feed")
    assert caught.value.error_type == "NotAFeed"
