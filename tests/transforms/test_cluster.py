"""Which articles count as copies, and what is known of them after a restart."""

import dataclasses
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.rows import passage_rows
from schemas.tables import PASSAGES
from tests.pipelines.conftest import REPOSITORY, story
from transforms.cluster import ClusterArticles, Clusters, CopyPolicy, read_signature, text_signature
from transforms.lake import put_rows

NOW = datetime.now(UTC)
TEXT = "\n".join(story(3))
SEEDS = [
    (REPOSITORY / "seeds" / "articles" / name).read_text()
    for name in (
        "kherson-talks.txt",
        "highland-accord.txt",
        "tram-network.md",
        "sanctions-package.md",
    )
]


@pytest.fixture
def article(classified):
    """Makes an article of an outlet, fetched so many hours ago."""

    def make(outlet, text=TEXT, hours=0):
        one = classified(f"https://{outlet}.example/1", text).split.article
        moment = NOW - timedelta(hours=hours)
        return dataclasses.replace(one, source=outlet, fetched_at=moment)

    return make


@pytest.fixture
def clusters(tmp_path):
    return Clusters(str(tmp_path), CopyPolicy())


@pytest.mark.parametrize(
    "copy",
    [
        TEXT,
        f"(Harbour Wire) - {TEXT}\nReporting by A. Quill",
        TEXT.replace("said", "told reporters").replace("midnight", "noon"),
        "\n".join(reversed(TEXT.split("\n"))),
        TEXT.upper(),
        TEXT[: len(TEXT) // 2],
        f"{TEXT}\n{SEEDS[0][:500]}",
    ],
)
def test_a_copy_joins_the_story_of_the_first_outlet(clusters, article, copy):
    first = clusters.assign(article("wire"))
    again = clusters.assign(article("gazette", copy))
    assert (first.cluster_id, first.cluster_source) == (first.article_id, "wire")
    assert (again.cluster_id, again.cluster_source) == (first.article_id, "wire")


def test_other_stories_are_apart(clusters, article):
    found = [clusters.assign(article(f"o{n}", text)) for n, text in enumerate([TEXT, *SEEDS])]
    assert [one.cluster_id for one in found] == [one.article_id for one in found]


def test_short_texts_are_copies_only_where_they_are_the_same(clusters, article):
    text = "The two sides said that they would meet again on Friday in the old town hall."
    texts = (text, text.replace("Friday", "Monday"), text.replace(" ", "  "))
    first, other, same = (clusters.assign(article(f"o{n}", t)) for n, t in enumerate(texts))
    assert other.cluster_id == other.article_id
    assert same.cluster_id == first.article_id
    empty = [clusters.assign(article(f"e{n}", text)) for n, text in enumerate(["!!!", "???"])]
    assert len({one.cluster_id for one in empty}) == 2


def test_what_is_older_than_the_window_is_another_story(clusters, article):
    old = clusters.assign(article("wire", hours=24 * 8))
    new = clusters.assign(article("gazette"))
    assert new.cluster_id != old.cluster_id


def test_a_new_revision_keeps_its_cluster_and_copies_of_it_join(clusters, article):
    first = clusters.assign(article("wire"))
    other = SEEDS[1]
    changed = clusters.assign(article("wire", other))
    assert changed.cluster_id == first.cluster_id
    assert changed.signature != first.signature
    assert clusters.assign(article("gazette", other)).cluster_id == first.cluster_id


def keep(lake, classified, article):
    one = classified(article.url, article.text)
    split = dataclasses.replace(one.split, article=article)
    rows = list(passage_rows(dataclasses.replace(one, split=split)))
    put_rows(str(lake), PASSAGES, NOW.date(), [row["passage_id"] for row in rows], rows)
    return rows


def test_after_a_restart_clusters_are_those_of_the_lake(tmp_path, clusters, article, classified):
    first = clusters.assign(article("wire", hours=2))
    rows = keep(tmp_path, classified, first)
    assert [row["signature"] is None for row in rows] == [n > 0 for n in range(len(rows))]
    assert {row["cluster_source"] for row in rows} == {"wire"}
    restarted = Clusters(str(tmp_path), CopyPolicy())
    restarted.refresh()
    again = restarted.assign(article("gazette"))
    assert (again.cluster_id, again.cluster_source) == (first.article_id, "wire")


def test_a_signature_of_another_kind_is_passed_over():
    signature = text_signature(TEXT)
    assert read_signature(signature) is not None
    assert read_signature(b"\xff" + signature[1:]) is None
    assert read_signature(signature[:-1]) is None


def test_copies_in_one_run_meet(pipeline, tmp_path, article):
    articles = [article(outlet) for outlet in ("wire", "gazette", "herald")]
    with pipeline as p:
        given = p | beam.Create(articles, reshuffle=False)
        found = given | ClusterArticles(str(tmp_path)) | beam.Map(lambda one: one.cluster_id)
        assert_that(found, equal_to([articles[0].article_id] * 3))
