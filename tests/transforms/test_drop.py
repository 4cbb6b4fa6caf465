import itertools
from datetime import UTC, datetime

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Entry
from schemas.rows import passage_rows
from schemas.tables import PASSAGES
from transforms.drop_articles import DropKnownArticles
from transforms.drop_entries import DropKnownEntries, first_entry
from transforms.lake import put_rows

DAY = datetime(2024, 3, 1, tzinfo=UTC)
SAME = [
    Entry("https://a.example/1", "b", published_at=DAY.replace(day=2)),
    Entry("https://a.example/1#top", "b", published_at=DAY),
    Entry("https://a.example/1?utm_source=x", "a"),
    Entry("https://A.example/1", "b", published_at=DAY, authors=("Ada",)),
    Entry("https://A.example/1", "b", published_at=DAY, lang="en"),
    Entry("https://A.example/1", "b", published_at=DAY, kind="html"),
]


def keep(lake, classified):
    """Puts a classified article into a lake."""
    rows = list(passage_rows(classified))
    return put_rows(lake, PASSAGES, DAY.date(), [row["passage_id"] for row in rows], rows)


def test_the_same_entry_is_kept_whatever_the_order():
    kept = {first_entry(order) for order in itertools.permutations(SAME)}
    assert len(kept) == 1
    assert kept.pop().published_at == DAY


@pytest.mark.parametrize("order", [SAME, SAME[::-1]])
def test_one_entry_an_address_comes_through(pipeline, tmp_path, order):
    other = Entry("https://a.example/2", "b")
    with pipeline as p:
        kept = p | beam.Create([*order, other]) | DropKnownEntries(str(tmp_path))
        assert_that(kept["entries"], equal_to([first_entry(SAME), other]))


def test_entries_whose_address_is_in_the_lake_are_dropped_and_files_never_are(
    pipeline, tmp_path, classified
):
    keep(str(tmp_path), classified("https://a.example/known"))
    known = Entry("https://a.example/known?utm_source=x", "b")
    new = [Entry("https://a.example/new", "b"), Entry("/news/known.txt", "b")]
    with pipeline as p:
        kept = p | beam.Create([known, *new]) | DropKnownEntries(str(tmp_path))
        assert_that(kept["entries"], equal_to(new))


def test_articles_are_dropped_by_content_and_a_changed_text_is_new(pipeline, tmp_path, classified):
    url = "https://a.example/known"
    keep(str(tmp_path), classified(url, "The first text."))
    keep(str(tmp_path), classified(None, "A local text."))
    known = [classified(url, "The first text."), classified(None, "A local text.")]
    new = [classified(url, "The second text."), classified(None, "Another local text.")]
    with pipeline as p:
        articles = p | beam.Create([one.split.article for one in known + new])
        kept = articles | DropKnownArticles(str(tmp_path))
        assert_that(kept.articles, equal_to([one.split.article for one in new]))


def test_an_article_that_comes_twice_in_a_bundle_is_kept_once(pipeline, tmp_path, classified):
    texts = ["A text.", "The same page a moment later."]
    articles = [classified("https://a.example/1", text).split.article for text in texts]
    with pipeline as p:
        kept = p | beam.Create(articles, reshuffle=False) | DropKnownArticles(str(tmp_path))
        assert_that(kept.articles, equal_to(articles[:1]))


def test_one_text_on_many_addresses_of_a_site_is_kept_once_and_on_another_site_again(
    pipeline, tmp_path, classified
):
    keep(str(tmp_path), classified("https://www.a.example.org/1", "The wire's text."))
    again = classified("https://m.a.example.org/2", "The wire's text.")
    elsewhere = classified("https://b.example.net/1", "The wire's text.")
    other = [classified(f"https://b.example.net/{n}", "Another text.") for n in (2, 3)]
    local = [classified(None, "The wire's text.")]
    articles = [one.split.article for one in [again, elsewhere, *other, *local]]
    with pipeline as p:
        kept = p | beam.Create(articles, reshuffle=False) | DropKnownArticles(str(tmp_path))
        assert_that(kept.articles, equal_to([articles[1], articles[2], articles[4]]))
    counters = p.result.metrics().query()["counters"]
    numbers = {metric.key.metric.name: metric.committed for metric in counters}
    assert (numbers["articles_repeated"], numbers["articles"]) == (2, 3)
