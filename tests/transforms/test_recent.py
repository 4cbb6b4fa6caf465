"""Which articles are looked at again, and when; read from the lake alone."""

import dataclasses
import os
from datetime import UTC, datetime, timedelta

import pytest

from schemas.records import Check, Entry, Look
from schemas.rows import passage_rows
from schemas.tables import CHECKS, PASSAGES
from transforms.lake import put_rows
from transforms.recent import Recent, RevisionPolicy
from transforms.urls import address_id

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
URL, FEED = "https://a.example/1", "https://a.example/feed"
POLICY = RevisionPolicy((3600.0, 86_400.0), 600.0)


@pytest.fixture
def keep(tmp_path, classified):
    """Puts an article into the lake that was fetched so many hours ago."""

    def put(hours, text="A text.", url=URL, feed_url=FEED, published_at=None, **changed):
        one = classified(url, text, published_at)
        moment = NOW - hours * HOUR
        article = dataclasses.replace(
            one.split.article, fetched_at=moment, feed_url=feed_url, **changed
        )
        one = dataclasses.replace(one, split=dataclasses.replace(one.split, article=article))
        rows = list(passage_rows(one))
        day = (published_at or moment).date()
        put_rows(str(tmp_path), PASSAGES, day, [row["passage_id"] for row in rows], rows)
        return article

    return put


@pytest.fixture
def check(tmp_path):
    """Puts a look at the article into the lake."""

    def put(hours, revision=None, etag=None, url=URL):
        moment = NOW - hours * HOUR
        one = Check(address_id(url), url, "desk", FEED, moment, 200, etag, None, revision, False)
        put_rows(str(tmp_path), CHECKS, moment.date(), [str(moment)], [dataclasses.asdict(one)])

    return put


@pytest.fixture
def recent(tmp_path):
    """What a process knows that starts now."""

    def start(policy=POLICY):
        found = Recent(str(tmp_path), policy)
        found.refresh()
        return found

    return start


def due(recent, now=NOW):
    return [entry.look for entry in recent.due_of_feed(FEED, now)]


def test_each_step_of_the_schedule_is_one_look(keep, check, recent):
    article = keep(30)
    assert due(recent()) == [Look(article.article_id, article.revision)]
    check(2, article.revision, '"v1"')
    assert due(recent()) == []
    assert due(recent(RevisionPolicy((3600.0, 86_400.0, 104_400.0), 600.0))) == [
        Look(article.article_id, article.revision, '"v1"')
    ]
    assert due(recent(RevisionPolicy((), 600.0))) == []


def test_a_step_waits_until_the_last_look_is_long_enough_ago(keep, check, recent):
    article = keep(25)
    check(1.1, article.revision)
    assert len(due(recent(RevisionPolicy((86_400.0,), 3600.0)))) == 1
    assert due(recent(RevisionPolicy((86_400.0,), 7200.0))) == []


@pytest.mark.parametrize("feed_url", [None, "/feeds/local.xml"])
def test_only_articles_of_feeds_on_the_web_have_a_schedule(keep, recent, feed_url):
    keep(30, feed_url=feed_url)
    assert due(recent()) == []
    assert recent().due_of_feed(feed_url or "", NOW) == []


def test_what_is_asked_for_is_what_the_feed_listed(keep, recent):
    day = NOW - 30 * HOUR
    keep(30, published_at=day, title="A title", authors=("Ada",))
    (entry,) = recent().due_of_feed(FEED, NOW)
    look = entry.look
    assert entry == Entry(URL, "desk", None, FEED, "A title", ("Ada",), "en", day, look=look)


def test_the_revision_seen_last_counts_and_a_failed_look_says_nothing_of_it(keep, check, recent):
    first = keep(30)
    second = keep(20, "Another text.")
    assert recent().get(first.article_id).revision == second.revision
    check(10, first.revision)
    check(5)
    seen = recent().get(first.article_id)
    assert (seen.revision, seen.looked_at) == (first.revision, NOW - 5 * HOUR)


UPDATES = [
    (0.2, 30, 4, True),  # hours ago: updated, fetched, looked at
    (5, 30, 4, False),
    (0.2, 30, 0.1, False),
    (-5, 30, 4, True),
    (80, 30, 4, False),
    (4, 30, 4 - 0.4 / 3600, True),  # The feed tells it to the second.
]


@pytest.mark.parametrize(("updated", "fetched", "looked", "is_due"), UPDATES)
def test_an_update_is_looked_at_where_it_is_later_than_the_last_look(
    keep, check, recent, updated, fetched, looked, is_due
):
    article = keep(fetched)
    check(looked, article.revision, '"v1"')
    entry = Entry(f"{URL}?utm_source=x", "desk", updated_at=NOW - updated * HOUR)
    again = recent().look_again(entry, NOW)
    expected = Look(article.article_id, article.revision, '"v1"') if is_due else None
    assert (again and again.look) == expected


def test_an_older_article_is_looked_at_once_where_its_feed_says_it_changed(keep, check, recent):
    old = NOW - timedelta(days=300)
    keep(300 * 24, published_at=old)
    entry = Entry(URL, "desk", updated_at=NOW - HOUR)
    assert recent().look_again(entry, NOW).look == Look(address_id(URL))
    check(0.5)
    assert recent().look_again(entry, NOW) is None
    assert recent().look_again(dataclasses.replace(entry, updated_at=old), NOW) is None
    assert recent().look_again(Entry(URL, "desk"), NOW) is None


def test_an_article_is_forgotten_when_its_schedule_has_ended(keep, recent):
    article = keep(30)
    later = recent()
    assert later.get(article.article_id) is not None
    short = recent(RevisionPolicy((1.0,), 0.0))
    assert short.get(article.article_id) is not None
    keep(60, url="https://a.example/2")
    assert len(recent(RevisionPolicy((1.0,), 0.0)).due_of_feed(FEED, NOW)) == 1


@pytest.mark.parametrize("days", [1, 300])
def test_what_was_fetched_lately_is_known_at_the_start_whatever_its_date(days, keep, recent):
    day = NOW - timedelta(days=days)
    article = keep(2, published_at=day)
    keep(24 * 30, url="https://a.example/2", published_at=day - timedelta(days=30))
    assert due(recent()) == [Look(article.article_id, article.revision)]


def test_of_days_before_the_window_only_files_that_were_written_since_are_read(
    keep, recent, tmp_path
):
    keep(2, published_at=NOW - timedelta(days=300))
    (path,) = tmp_path.glob("passages/*/*.parquet")
    long_ago = (NOW - timedelta(days=30)).timestamp()
    os.utime(path, (long_ago, long_ago))
    # A file that is not read may as well be none.
    path.write_bytes(b"")
    os.utime(path, (long_ago, long_ago))
    assert due(recent()) == []


def test_files_that_come_later_are_read_whatever_their_date(keep, check, recent):
    found = recent()
    article = keep(2, published_at=NOW - timedelta(days=300))
    found.refresh()
    assert due(found) == [Look(article.article_id, article.revision)]
    check(0.5, article.revision)
    found.refresh()
    assert due(found) == []
