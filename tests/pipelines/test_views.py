"""Revisions and stories as queries see them."""

import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from pipelines.query import open_lake
from tests.lakes import put_look, put_revision
from transforms.urls import address_id

DAY = datetime(2024, 3, 10, 12, tzinfo=UTC)
URL = "https://a.example/1"


@pytest.fixture
def keep(tmp_path, classified):
    """Puts an article into the lake that was read so many hours after the first."""

    def put(text, hours=0, url=URL, cluster=None, topics=("nato",), **changed):
        one = classified(url, text, topics=topics)
        first = cluster or one.split.article.article_id
        moment, told = DAY + timedelta(hours=hours), {"cluster_id": first, "cluster_source": "wire"}
        put_revision(tmp_path, one, moment, **told, **changed)

    return put


@pytest.fixture
def look(tmp_path):
    """Puts a look at the article into the lake that saw a text, or none."""

    def put(text, hours):
        put_look(tmp_path, URL, text, DAY + timedelta(hours=hours))

    return put


@pytest.fixture
def ask(tmp_path):
    return lambda sql: open_lake(str(tmp_path)).execute(sql).fetchall()


def test_an_article_is_its_latest_revision_and_knows_when_it_was_first_seen(keep, ask):
    keep("One.\nTwo.", title="Old")
    keep("One.\nThree.\nFour.", 5, title="New")
    keep("Another.", 1, url="https://a.example/2")
    query = "select title, text, passages, revisions, first_seen_at, fetched_at from articles"
    later = DAY + timedelta(hours=5)
    assert ask(f"{query} where revisions > 1") == [("New", "One.\nThree.\nFour.", 3, 2, DAY, later)]
    assert ask("select count(*) from articles") == [(2,)]
    history = ask("select number, is_latest, text from revisions where url = '" + URL + "'")
    assert sorted(history) == [(1, False, "One.\nTwo."), (2, True, "One.\nThree.\nFour.")]
    assert ask("select count(*) from passages") == [(6,)]
    assert ask("select text from latest_passages order by text") == [
        ("Another.",), ("Four.",), ("One.",), ("Three.",)]  # fmt: skip


def test_the_revision_seen_last_is_the_latest_also_where_it_is_the_older(keep, look, ask):
    keep("Before.")
    keep("After.", 5)
    look("Before.", 6)
    look(None, 7)
    look("Never stored.", 8)
    assert ask("select text, revisions, last_seen_at from articles") == [
        ("Before.", 2, DAY + timedelta(hours=6))
    ]
    assert ask("select text from latest_passages") == [("Before.",)]
    look("After.", 9)
    assert ask("select text from articles") == [("After.",)]


def test_a_story_is_counted_once_however_many_tell_it(keep, ask):
    keep("The wire's text.", 1, source="wire", title="First", topics=("nato",))
    told = address_id(URL)
    keep("The same.", 2, "https://b.example/1", told, ("sanctions",), source="gazette")
    keep("The same, changed.", 4, "https://b.example/1", told, ("sanctions",), source="gazette")
    keep("The same too.", 3, "https://b.example/2", told, (), source="gazette")
    keep("Another story.", 0, "https://c.example/1", source="herald")
    query = (
        "select cluster_id, first_source, title, articles, outlets, sources, topics, "
        "first_seen_at from stories order by articles desc"
    )
    story, other = ask(query)
    assert story == (
        told, "wire", "First", 3, 2, ["gazette", "wire"], ["nato", "sanctions"],
        DAY + timedelta(hours=1),
    )  # fmt: skip
    assert other[0] == address_id("https://c.example/1") and other[3:5] == (1, 1)


def test_articles_of_an_older_version_are_stories_of_their_own(keep, ask, tmp_path):
    keep("One.", source="wire")
    keep("Two.", url="https://a.example/2")
    for path in tmp_path.rglob("*.parquet"):
        rows = pq.ParquetFile(path).read()
        pq.write_table(rows.drop_columns(["cluster_id", "cluster_source", "signature"]), path)
    assert ask("select articles, first_source from stories order by first_source") == [
        (1, "desk"), (1, "wire")]  # fmt: skip


TEXT = """---
source: {source}
url: https://{source}.example/talks
---
{line}Delegations from both sides met for a second day in the old customs house, and left it after
dark without a word to the reporters who waited at the gate. The mediator's office said that a
paper on prisoners was nearly done, that a ceasefire along the canal was not, and that all would
meet again when the snow had been cleared from the road to the airport.
"""


def test_two_outlets_with_one_text_are_two_articles_and_one_story(wirewatch, tmp_path):
    lake = tmp_path / "lake"
    for number, (source, line) in enumerate([("wire", ""), ("gazette", "CANAL TOWN (Wire) - ")]):
        path = tmp_path / f"{number}.txt"
        path.write_text(TEXT.format(source=source, line=line))
        outcome = wirewatch("run", path, "--lake", lake)
        assert outcome.code == 0, outcome.err
    assert "Articles that tell a story which another told before: 1" in outcome.out
    query = "select articles, outlets, first_source, sources from stories"
    found = wirewatch("query", query, "--lake", lake, "--format", "json").out
    assert json.loads(found) == [
        {"articles": 2, "outlets": 2, "first_source": "wire", "sources": ["gazette", "wire"]}
    ]
