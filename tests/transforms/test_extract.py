from datetime import UTC, datetime

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that

from schemas.records import DeadLetter
from transforms.deadletter import Unusable
from transforms.extract import ExtractArticles, extract_article
from transforms.urls import address_id, canonical_url

URL = "https://news.river.org/ferry"


def html(canonical=None, published=None):
    """A page whose article is long enough for trafilatura to find."""
    link = f'<link rel="canonical" href="{canonical}">' if canonical else ""
    date = f'<meta property="article:published_time" content="{published}">' if published else ""
    words = "<p>The towns agreed to run the ferry again from the first day of spring.</p>" * 6
    return f"<html><head><title>T</title>{link}{date}</head><body><article>{words}".encode()


def test_a_page_gives_text_and_what_it_says_of_itself(data, page):
    article = extract_article(page((data / "page.html").read_bytes(), "https://news.river.org/f?1"))
    # The headline is part of the article's body, as trafilatura sees it.
    assert article.text.startswith("Ferry talks end with a schedule\nThe two towns on the river")
    assert article.text.endswith("as the older of the two councils had asked from the start.")
    assert "Home" not in article.text and "All words are ours" not in article.text
    assert (article.url, article.canonical_url) == ("https://news.river.org/f?1", URL)
    assert (article.title, article.authors) == ("Ferry talks end with a schedule", ("Di Eck",))
    assert (article.published_at, article.published_from) == (
        datetime(2024, 3, 7, tzinfo=UTC),
        "page",
    )
    assert (article.lang, article.source) == ("en", "desk")


def test_front_matter_describes_the_text(data, page):
    article = extract_article(page((data / "front_matter.md").read_bytes(), lang="de"))
    assert article.text == (
        "Both sides kept quiet for a day.\n\nNobody says how long it will last."
    )
    assert (article.title, article.source) == ("A pause on the ridge", "Ridge Review")
    assert article.url == article.canonical_url == "https://ridge.example.org/pause"
    assert article.authors == ("Em Fox",)
    assert (article.published_at, article.published_from) == (
        datetime(2024, 3, 8, tzinfo=UTC),
        "page",
    )


def test_a_plain_text_stays_as_it_is_to_the_character(data, page):
    body = (data / "plain.txt").read_bytes()
    assert extract_article(page(body)).text == body.decode().strip()


@pytest.mark.parametrize(
    "text", ["{\nnot JSON\n}\nText.", "+++\nnot TOML\n+++\nText.", "---\nText."]
)
def test_what_only_looks_like_front_matter_is_text(page, text):
    assert extract_article(page(text.encode())).text == text


@pytest.mark.parametrize("head", ["title: [1", "published: 2024-13-45", "a: b: c"])
def test_broken_front_matter_is_unusable(page, head):
    with pytest.raises(Unusable) as caught:
        extract_article(page(f"---\n{head}\n---\nText.".encode()))
    assert caught.value.error_type == "BadFrontMatter"


@pytest.mark.parametrize("value", ["[en]", "7", "no", "{a: b}", "2024-01-01"])
def test_front_matter_values_of_a_wrong_type_are_passed_over(page, value):
    head = "\n".join(f"{key}: {value}" for key in ("title", "url", "source", "lang"))
    article = extract_article(page(f"---\n{head}\n---\nShort.".encode()))
    assert (article.title, article.lang) == (None, None)
    assert (article.canonical_url, article.source) == (None, "desk")


@pytest.mark.parametrize(
    ("claimed", "believed"),
    [
        ("https://www.river.org/story?utm_source=x#top", "https://www.river.org/story"),
        ("https://news.river.org/", "https://news.river.org/a"),
        ("https://river.org", "https://news.river.org/a"),
        ("https://other.org/story", "https://news.river.org/a"),
        ("javascript:alert(1)", "https://news.river.org/a"),
        (None, "https://news.river.org/a"),
    ],
)
def test_a_canonical_url_is_believed_on_its_own_site_but_not_the_front_page(
    page, claimed, believed
):
    assert (
        extract_article(page(html(claimed), "https://news.river.org/a")).canonical_url == believed
    )


@pytest.mark.parametrize(
    ("fetched", "claimed"),
    [("http://127.0.0.1:8000/a", "http://10.0.0.5/b"), ("http://localhost/a", "http://intranet/b")],
)
def test_hosts_without_a_domain_are_each_their_own_site(page, fetched, claimed):
    assert extract_article(page(html(claimed), fetched)).canonical_url == fetched


def test_an_address_with_half_a_character_can_be_stored():
    claimed = "https://news.river.org/a\ud800b"
    assert canonical_url(None, claimed) == "https://news.river.org/ab"
    assert address_id(claimed) == address_id("https://news.river.org/ab")


FEED_DATE = datetime(2024, 4, 1, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("feed", "on_page", "expected"),
    [
        (FEED_DATE, "2024-03-07", (FEED_DATE, "feed")),
        (None, "2024-03-07", (datetime(2024, 3, 7, tzinfo=UTC), "page")),
        (
            datetime(2030, 1, 1, tzinfo=UTC),
            "2024-03-07",
            (datetime(2024, 3, 7, tzinfo=UTC), "page"),
        ),
        (datetime(1899, 1, 1, tzinfo=UTC), None, (None, "none")),
        (datetime(2024, 5, 2, 13, tzinfo=UTC), None, (None, "none")),
        (
            datetime(2024, 5, 2, 11, tzinfo=UTC),
            None,
            (datetime(2024, 5, 2, 11, tzinfo=UTC), "feed"),
        ),
        (None, "2999-01-01", (None, "none")),
        (None, "whenever", (None, "none")),
        (None, "2024-01-01T00:00:00+99:00", (None, "none")),
        (None, None, (None, "none")),
    ],
)
def test_the_feeds_date_comes_first_and_one_that_cannot_be_true_is_refused(
    page, feed, on_page, expected
):
    head = f'---\npublished: "{on_page}"\n---\n' if on_page else ""
    article = extract_article(page(f"{head}Text.".encode(), published_at=feed))
    assert (article.published_at, article.published_from) == expected


@pytest.mark.parametrize(
    ("body", "kind", "error_type"),
    [
        (b"", "text", "Empty"),
        (b" \n\t", "html", "Empty"),
        (b"\x89PNG\r\n\0\0", "html", "Binary"),
        (b"<html><body></body></html>", "html", "NoArticle"),
        (b"---\ntitle: Only a head\n---\n", "text", "NoArticle"),
    ],
)
def test_a_page_without_an_article_is_unusable(page, body, kind, error_type):
    with pytest.raises(Unusable) as caught:
        extract_article(page(body, kind=kind))
    assert (caught.value.error_type, caught.value.retryable) == (error_type, False)


@pytest.mark.parametrize(
    ("lang", "text"),
    [
        ("en", "The two sides agreed to stop firing along the whole front from Monday."),
        ("de", "Die beiden Seiten haben sich auf eine Waffenruhe ab Montag geeinigt."),
        ("uk", "Сторони домовилися припинити вогонь уздовж усієї лінії фронту з понеділка."),
        ("ru", "Стороны договорились прекратить огонь вдоль всей линии фронта в понедельник."),
        (None, "Too short."),
    ],
)
def test_the_language_is_that_of_the_text(page, lang, text):
    assert extract_article(page(text.encode(), lang=None)).lang == lang


def test_a_text_too_short_to_tell_has_the_language_its_source_states(page):
    assert extract_article(page(b"Too short.", lang="uk")).lang == "uk"


@pytest.mark.parametrize("tag", ["en-US", "en_GB", " EN"])
def test_a_stated_language_is_known_by_its_first_subtag(page, tag):
    assert extract_article(page(b"Too short.", lang=tag)).lang == "en"


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-8-sig"])
def test_texts_in_other_encodings_are_read(page, encoding):
    text = "Der Bürgermeister erklärte, die Brücke über den Fluß werde für Fußgänger geöffnet."
    assert extract_article(page(text.encode(encoding))).text == text


def test_line_ends_of_other_systems_become_ours(page):
    assert extract_article(page(b"One.\r\n\r\nTwo.\rThree.")).text == "One.\n\nTwo.\nThree."


@pytest.mark.parametrize("location", ["/news/a.txt", "/elsewhere/b.txt"])
def test_ids_are_hashes_of_content_and_address_and_never_of_a_path(page, location):
    local = extract_article(page(b"Same text.", location=location))
    assert local.article_id == local.revision == "1ab72c299a88dd925f2b201edae2b4be"
    web = extract_article(page(b"Same text.", URL, "text/plain"))
    assert (web.article_id, web.revision) == (
        "02186a3ba048589891bcbaa6860778eb",
        "1ab72c299a88dd925f2b201edae2b4be",
    )
    tracked = extract_article(page(b"Other text.", f"{URL}?utm_source=mail#top", "text/plain"))
    assert (tracked.article_id, tracked.revision) == (
        "02186a3ba048589891bcbaa6860778eb",
        "535dab38ca7889a7c3f71ad269dd9178",
    )


def test_a_page_that_cannot_be_used_is_a_dead_letter_beside_the_articles(page, pipeline):
    def one_article(found):
        assert [article.text for article in found] == ["Good."]

    def one_letter(found):
        (letter,) = found
        assert isinstance(letter, DeadLetter)
        assert (letter.stage, letter.key, letter.source) == ("extract", "/news/a.txt", "desk")
        assert (letter.error_type, letter.payload_head) == ("Binary", "bad")

    with pipeline as p:
        outputs = p | beam.Create([page(b"Good."), page(b"ba\0d")]) | ExtractArticles()
        assert_that(outputs.articles, one_article, "articles")
        assert_that(outputs.errors, one_letter, "errors")
