"""What a page says of itself, in its several ways and in none."""

from datetime import UTC, datetime

import lxml.html
import pytest
from trafilatura.metadata import extract_author

from transforms.extract import extract_article
from transforms.metadata import json_ld_nodes, visible_author

URL = "https://news.river.org/ferry"
STORY = "<p>The towns agreed to run the ferry again from the first day of spring.</p>" * 6
ARTICLE = """{"@context": "https://schema.org", "@type": "NewsArticle",
  "headline": "Ferry talks end", "author": [{"@type": "Person", "name": "Di Eck"},
  {"@type": "Person", "name": "Al Moor"}], "articleSection": ["Rivers", "Towns"],
  "publisher": {"@type": "Organization", "name": "River News"},
  "datePublished": "2024-03-07T10:30:00+05:30", "dateModified": "2024-03-08T07:00:00Z"}"""
META = """<meta property="article:published_time" content="2024-03-07T10:30:00+01:00">
  <meta property="article:modified_time" content="2024-03-08">
  <meta name="author" content="Di Eck"><meta property="article:section" content="Rivers">
  <meta property="og:site_name" content="River">"""


def json_ld(value):
    return f'<script type="application/ld+json">{value}</script>'


def html(head="", body=""):
    text = f"<html><head>{head}</head><body>{body}<article>{STORY}</article></body></html>"
    return text.encode()


def test_json_ld_says_who_when_and_where(page):
    article = extract_article(page(html(json_ld(ARTICLE)), URL))
    assert (article.title, article.authors) == ("Ferry talks end", ("Di Eck", "Al Moor"))
    assert (article.publisher, article.section) == ("River News", "Rivers")
    assert article.published_at == datetime(2024, 3, 7, 5, 0, tzinfo=UTC)
    assert (article.published_from, article.published_offset_minutes) == ("page", 330)
    assert article.modified_at == datetime(2024, 3, 8, 7, tzinfo=UTC)


def test_meta_elements_say_so_too(page):
    article = extract_article(page(html(META), URL))
    assert (article.publisher, article.section) == ("River", "Rivers")
    assert article.authors == ("Di Eck",)
    assert article.published_at == datetime(2024, 3, 7, 9, 30, tzinfo=UTC)
    assert article.published_offset_minutes == 60
    assert article.modified_at == datetime(2024, 3, 8, tzinfo=UTC)


def test_the_articles_description_comes_before_the_pages(page):
    site = '{"@type": "WebPage", "datePublished": "2020-01-01", "dateModified": "2020-01-02"}'
    graph = f'{{"@context": "https://schema.org", "@graph": [{site}, {ARTICLE}]}}'
    article = extract_article(page(html(json_ld(graph)), URL))
    assert article.published_at == datetime(2024, 3, 7, 5, 0, tzinfo=UTC)
    assert article.modified_at == datetime(2024, 3, 8, 7, tzinfo=UTC)


def test_a_date_that_cannot_be_true_gives_way_to_the_next(page):
    future = ARTICLE.replace("2024-03-07", "2999-03-07").replace("2024-03-08", "1066-10-14")
    article = extract_article(page(html(META + json_ld(future)), URL))
    assert article.published_at == datetime(2024, 3, 7, 9, 30, tzinfo=UTC)
    assert article.modified_at == datetime(2024, 3, 8, tzinfo=UTC)


def test_a_feeds_date_that_cannot_be_true_gives_way_to_the_pages(page):
    future = datetime(2999, 1, 1, tzinfo=UTC)
    listed = page(html(META), URL, published_at=future, published_offset_minutes=0)
    article = extract_article(listed)
    assert (article.published_from, article.published_offset_minutes) == ("page", 60)


def test_a_feeds_date_keeps_the_feeds_offset(page):
    moment = datetime(2024, 3, 6, tzinfo=UTC)
    listed = page(html(META), URL, published_at=moment, published_offset_minutes=-300)
    article = extract_article(listed)
    assert (article.published_at, article.published_from) == (moment, "feed")
    assert article.published_offset_minutes == -300


def test_dates_the_text_is_about_are_not_the_articles(page):
    history = "<p>On 4 March 1881 the first ferry crossed, and on 2 May 1990 the last.</p>"
    article = extract_article(page(html(body=history), URL))
    assert (article.published_at, article.published_from) == (None, "none")


@pytest.mark.parametrize(
    "value",
    [
        "", "{", "null", "1", '"a"', "[]", "[[[]]]", "{}", '{"@type": 5}', '{"@type": [1, null]}',
        '{"@graph": 1}', '{"@graph": [1, {"@type": "NewsArticle"}]}', "[" * 5000,
        '{"@type": "NewsArticle", "datePublished": {"a": 1}, "articleSection": [], "author": 3}',
        '{"@type": "NewsArticle", "datePublished": ["2024-01-01"], "isAccessibleForFree": []}',
        '{"@context": "https://schema.org", "@type": "Article", "author": {"name": {"name": 1}}}',
        '{"@context": "https://schema.org", "@type": [], "headline": {}}',
    ],
)  # fmt: skip
def test_json_ld_of_any_shape_is_survived(page, value):
    assert extract_article(page(html(json_ld(value)), URL)).text


def test_very_long_json_ld_is_passed_over():
    long = ARTICLE.replace("Rivers", "R" * 600_000)
    tree = lxml.html.document_fromstring(html(json_ld(long) + json_ld(ARTICLE)))
    assert len(json_ld_nodes(tree)) == 1


@pytest.mark.parametrize(
    "body",
    [
        '<p class="byline">By <a rel="author">Di Eck</a></p>',
        '<div class="comments"><span class="author">A. Reader</span></div>',
        '<div class="article-author"><div class="author">Di Eck</div> and friends</div>',
        '<span itemprop="author name">Di Eck</span><span id="authorBox">Al Moor</span>',
        "<author>Di Eck</author>",
        '<p class="sidebar"><b class="writer">No One</b></p><i class="writer">Di Eck</i>',
        "<p>Nobody signed this.</p>",
    ],
)
def test_the_author_in_the_text_is_who_the_library_finds(body):
    tree = lxml.html.document_fromstring(html(body=body))
    assert visible_author(tree) == extract_author(tree)


def test_titles_and_names_are_plain_and_short(page):
    head = f"<title>&lt;script&gt;alert(1)&lt;/script&gt; Ferry {'x' * 5000}</title>"
    article = extract_article(page(html(head), URL, authors=("<b>Di</b>\u202e Eck",) * 99))
    assert article.title is not None
    assert article.title.startswith("alert(1) Ferry xxx") and len(article.title) <= 1000
    assert article.authors == ("Di Eck",) * 50
