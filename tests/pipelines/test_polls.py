"""Feeds polled again and again, on a server whose answers change and fail."""

import gzip
import json
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from urllib.parse import urlsplit

import pytest

from schemas.tables import POLLS
from transforms.lake import put_rows

DAY = "Fri, 01 Mar 2024 09:00:00 GMT"


@pytest.fixture
def lake(tmp_path):
    return tmp_path / "lake"


@pytest.fixture
def polls(lake, rows):
    """The polls of the lake, oldest first."""
    return lambda: sorted(rows(lake, "polls"), key=lambda poll: poll["polled_at"])


@pytest.fixture
def found(lake, rows):
    """The paths of the articles in the lake, with how often each is there."""

    def articles():
        if not (lake / "passages").exists():
            return Counter()
        first = [row for row in rows(lake, "passages") if row["position"] == 0]
        return Counter(urlsplit(row["canonical_url"]).path for row in first)

    return articles


@pytest.fixture
def feed(empty_newsroom, site):
    """Fills the newsroom with a feed of stories that answers 304 to its own validators."""

    def fill(*numbers, path="/feed.xml", etag='W/"v 1"'):
        newsroom = empty_newsroom
        items = []
        for number in numbers:
            newsroom.replies[f"/news/{number}"] = site.Reply(site.page(number))
            items.append(site.item(f"Story {number}", newsroom.url(f"/news/{number}"), DAY))
        whole = site.rss("Post", *items)
        whole.headers = {"ETag": etag, "Last-Modified": "yesterday, as it were"}

        def answer(headers):
            same = headers["If-None-Match"] == etag
            return site.Reply(status=304) if same else whole

        newsroom.replies[path] = answer
        return newsroom.url(path)

    return fill


def test_validators_are_sent_back_as_they_came_and_304_is_a_poll(run, feed, polls, empty_newsroom):
    url = feed(0)
    run("run", url)
    out = run("run", url).out
    first, second = empty_newsroom.asked("/feed.xml")
    assert (first["If-None-Match"], first["If-Modified-Since"]) == (None, None)
    assert second["If-None-Match"] == 'W/"v 1"'
    assert second["If-Modified-Since"] == "yesterday, as it were"
    whole, unchanged = polls()
    assert (whole["status"], whole["entries"], whole["new_entries"]) == (200, 1, 1)
    assert (unchanged["status"], unchanged["entries"], unchanged["error"]) == (304, 0, None)
    assert unchanged["etag"] == whole["etag"] == 'W/"v 1"'
    assert unchanged["last_full_at"] == whole["polled_at"]
    assert unchanged["source"] == "Post"
    assert out.startswith("0 new articles")


def test_a_false_304_is_found_out_in_time(run, feed, found, empty_newsroom, site):
    url = feed(0)
    run("run", url)
    feed(0, 1)
    run("run", url)
    assert found() == {"/news/0": 1}
    run("run", url, full_every=0)
    assert found() == {"/news/0": 1, "/news/1": 1}
    assert empty_newsroom.asked("/feed.xml")[-1]["If-None-Match"] is None


def test_a_page_that_failed_is_tried_again_when_its_feed_has_not_changed(
    run, feed, found, lake, rows, wirewatch, empty_newsroom, site
):
    url = feed(0, 1)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/1" else None
    for _ in range(3):
        run("run", url)
    assert found() == {"/news/0": 1}
    assert sorted(letter["tries"] for letter in rows(lake, "errors")) == [1, 2, 3]
    assert len({letter["letter_id"] for letter in rows(lake, "errors")}) == 1
    empty_newsroom.fault = lambda path: None
    out = run("run", url).out
    assert "1 dead letters of earlier runs are done" in out
    assert found() == {"/news/0": 1, "/news/1": 1}
    assert Counter(poll["status"] for poll in rows(lake, "polls")) == {200: 1, 304: 3}
    # The title and the date are those that the feed gave when it listed the page.
    titles = {row["title"] for row in rows(lake, "passages")}
    assert titles == {"Story 0", "Story 1"}
    count = "select count(*) as open from dead_letters"
    assert wirewatch("query", count, "--lake", lake, "--format", "csv").out == "open\n0\n"


def test_a_page_waits_longer_each_time_and_is_given_up(run, feed, empty_newsroom, site):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/0" else None
    run("run", url, retry_after=3600)
    assert "1 failed pages wait" in run("run", url, retry_after=3600).out
    assert len(empty_newsroom.asked("/news/0")) == 1
    run("run", url, "--force", retry_after=3600)
    assert len(empty_newsroom.asked("/news/0")) == 2
    run("run", url, tries=3)
    assert len(empty_newsroom.asked("/news/0")) == 3
    assert "1 failed pages wait" in run("run", url, tries=3).out
    assert len(empty_newsroom.asked("/news/0")) == 3


def test_a_feed_that_is_gone_is_not_asked_again_and_says_so(run, feed, polls, empty_newsroom, site):
    url = feed(0)
    empty_newsroom.replies["/feed.xml"] = site.Reply(status=410)
    run("run", url)
    (poll,) = polls()
    assert (poll["gone"], poll["next_poll_at"]) == (True, None)
    for _ in range(2):
        assert "gone for good since" in run("run", url).out
    assert len(empty_newsroom.asked("/feed.xml")) == 1
    feed(0)
    assert "1 new articles" in run("run", url, "--force").out
    assert "gone for good" not in run("run", url).out


def test_a_feed_that_has_moved_is_asked_at_its_new_place(
    run, feed, found, polls, empty_newsroom, site
):
    new = feed(0, path="/new.xml")
    moved = site.Reply(status=301, headers={"Location": new})
    empty_newsroom.replies["/old.xml"] = moved
    old = empty_newsroom.url("/old.xml")
    assert f"has moved to {new}" in run("run", old).out
    run("run", old)
    assert (len(empty_newsroom.asked("/old.xml")), len(empty_newsroom.asked("/new.xml"))) == (1, 2)
    assert {(poll["feed_url"], poll["moved_to"]) for poll in polls()} == {(old, new)}
    assert [poll["status"] for poll in polls()] == [200, 304]
    # The new place is forgotten when it fails for good, and the configured one asked.
    del empty_newsroom.replies["/new.xml"]
    feed(0, 1, path="/old.xml", etag='"other"')
    run("run", old)
    run("run", old)
    assert found() == {"/news/0": 1, "/news/1": 1}


@pytest.mark.parametrize("status", [302, 307])
def test_a_move_for_a_while_is_not_remembered(run, feed, polls, empty_newsroom, site, status):
    moved = site.Reply(status=status, headers={"Location": feed(0, path="/new.xml")})
    empty_newsroom.replies["/old.xml"] = moved
    run("run", empty_newsroom.url("/old.xml"))
    assert [poll["moved_to"] for poll in polls()] == [None]


def test_a_feed_that_was_cut_off_is_read_whole_the_next_time(
    run, feed, found, polls, empty_newsroom, site
):
    url = feed(0, 1)
    answer = empty_newsroom.replies["/feed.xml"]

    def cut(headers):
        reply = answer(headers)
        body = reply.body
        return site.Reply(body[: body.index("</item>") + 7], headers=dict(reply.headers))

    empty_newsroom.replies["/feed.xml"] = cut
    run("run", url)
    assert found() == {"/news/0": 1}
    assert [poll["etag"] for poll in polls()] == [None]
    empty_newsroom.replies["/feed.xml"] = answer
    run("run", url)
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_guids_and_trackers_that_change_make_no_second_article(run, found, empty_newsroom, site):
    newsroom = empty_newsroom
    newsroom.replies["/news/0"] = site.Reply(site.page(0))
    url = newsroom.url("/feed.xml")
    for guid in range(3):
        links = (f"/news/0?utm_source=rss{guid}", "/news/0", f"/news/0#part-{guid}")
        items = "".join(
            f"<item><title>Story</title><guid isPermaLink='false'>{guid}-{n}</guid>"
            f"<link>{newsroom.url(link)}</link></item>"
            for n, link in enumerate(links)
        )
        newsroom.replies["/feed.xml"] = site.rss("Post", items)
        run("run", url, full_every=0)
    assert found() == {"/news/0": 1}
    assert len([path for path in newsroom.requests if path.startswith("/news")]) == 1


def test_one_text_under_two_addresses_of_a_site_is_one_article(run, found, empty_newsroom, site):
    newsroom = empty_newsroom
    for path in ("/news/0", "/2024/a-new-slug"):
        newsroom.replies[path] = site.Reply(site.page(0))
        newsroom.replies["/feed.xml"] = site.rss("Post", site.item("Story", newsroom.url(path)))
        run("run", newsroom.url("/feed.xml"), full_every=0)
    assert found() == {"/news/0": 1}


def test_a_feeds_own_text_stands_in_for_a_page_that_cannot_be_had(
    run, lake, rows, empty_newsroom, site
):
    newsroom = empty_newsroom
    html = "".join(f"<p>{paragraph}</p>" for paragraph in site.text(0))
    item = (
        "<item><title>Story</title><link>{}</link>"
        f"<content:encoded><![CDATA[{html}]]></content:encoded></item>"
    )
    items = "".join(item.format(newsroom.url(path)) for path in ("/gone", "/broken", "/menu"))
    newsroom.replies["/feed.xml"] = site.Reply(
        '<rss version="2.0" xmlns:content="http://purl.org/rss/1.0/modules/content/"><channel>'
        f"<title>Post</title>{items}</channel></rss>"
    )
    newsroom.replies["/broken"] = site.Reply(status=503)
    newsroom.replies["/menu"] = site.Reply("<html><body><img src='map.png'></body></html>")
    url = newsroom.url("/feed.xml")
    out = run("run", url, tries=2).out
    # All three carry one text, so that one article is kept; /broken may come yet.
    assert "1 new articles" in out and "texts are the feed's own" in out
    assert [letter["key"] for letter in rows(lake, "errors")] == [newsroom.url("/broken")]
    assert {row["text_from"] for row in rows(lake, "passages")} == {"feed"}
    text = "".join(
        row["text"] for row in sorted(rows(lake, "passages"), key=lambda row: row["position"])
    )
    assert site.text(0)[0] in text
    # After its last try the feed's text is used for it too, and is known by then.
    out = run("run", url, tries=2).out
    assert "1 dead letters of earlier runs are done" in out


def test_nothing_is_polled_before_its_articles_are_in_the_lake(feed, wirewatch, lake, found, run):
    url = feed(0)
    lake.mkdir()
    (lake / "passages").write_text("a file where a folder must be")
    with pytest.raises(Exception, match="passages"):
        wirewatch("run", url, "--lake", lake)
    assert not (lake / "polls").exists()
    (lake / "passages").unlink()
    run("run", url)
    assert found() == {"/news/0": 1}


def test_retry_puts_dead_letters_through_again(run, feed, found, lake, rows, empty_newsroom, site):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=503)
    run("run", url)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/0" else None
    assert run("retry", "--stage", "fetch").out == "No dead letter to try again.\n"
    run("retry", "--stage", "read")
    open_letters = [row for row in rows(lake, "errors") if row["done_at"] is None]
    stages = {(row["stage"], row["tries"]) for row in open_letters}
    assert stages == {("read", 1), ("fetch", 1)}
    run("retry")
    assert found() == {}
    assert max(row["tries"] for row in rows(lake, "errors")) == 2
    empty_newsroom.fault = lambda path: None
    before = len(empty_newsroom.asked("/feed.xml"))
    assert "1 new articles" in run("retry", "--stage", "fetch").out
    assert len(empty_newsroom.asked("/feed.xml")) == before
    assert found() == {"/news/0": 1}
    assert run("retry").out == "No dead letter to try again.\n"


def test_a_retry_whose_article_is_there_already_only_marks_it_done(
    run, feed, found, lake, rows, empty_newsroom, site
):
    """What a run leaves that is killed between the article and the closing row."""
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/0" else None
    run("run", url)
    empty_newsroom.fault = lambda path: None
    run("run", url)
    for file in (lake / "errors").rglob("*.parquet"):
        if any(row["done_at"] for row in _file_rows(file)):
            file.unlink()
    asked = len(empty_newsroom.requests)
    assert "1 dead letters of earlier runs are done" in run("retry").out
    assert len(empty_newsroom.requests) == asked
    assert found() == {"/news/0": 1}
    assert run("retry").out == "No dead letter to try again.\n"


def _file_rows(path):
    import pyarrow.parquet

    return pyarrow.parquet.ParquetFile(path).read().to_pylist()


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_kept_to_in_both_its_forms(run, feed, polls, empty_newsroom, site, as_date):
    url, later = feed(0), datetime.now(UTC) + timedelta(hours=1)
    answer = empty_newsroom.replies["/feed.xml"]
    value = format_datetime(later, usegmt=True) if as_date else "3600"
    busy = site.Reply(status=429, headers={"Retry-After": value})
    empty_newsroom.replies["/feed.xml"] = busy
    run("run", url)
    (poll,) = polls()
    assert abs(poll["retry_at"] - later) < timedelta(seconds=20)
    assert poll["next_poll_at"] == poll["retry_at"]
    empty_newsroom.replies["/feed.xml"] = answer
    assert "its server asks to wait until" in run("run", url).out
    assert run("retry").out == "No dead letter to try again.\n"
    assert len(empty_newsroom.asked("/feed.xml")) == 1


def test_a_feed_whose_server_asks_to_wait_is_left_alone_until_then(
    run, feed, lake, polls, empty_newsroom
):
    url = feed(0)
    run("run", url)
    asked = len(empty_newsroom.requests)
    later = datetime.now(UTC) + timedelta(hours=1)
    (poll,) = polls()
    waits = {**poll, "status": 503, "error": "HTTP 503", "failures": 1, "retry_at": later}
    waits["polled_at"] = datetime.now(UTC)
    del waits["date"]
    put_rows(str(lake), POLLS, waits["polled_at"].date(), ["a"], [waits])
    out = run("run", url).out
    assert f"Post: its server asks to wait until {later:%Y-%m-%d %H:%M} UTC" in out
    assert len(empty_newsroom.requests) == asked
    run("run", url, "--force")
    assert len(empty_newsroom.requests) == asked + 1


def test_feeds_that_fail_or_have_gone_quiet_are_named_each_time(
    run, feed, polls, empty_newsroom, site
):
    items = [
        site.item(f"Story {n}", empty_newsroom.url(f"/news/{n}"), f"0{n} Mar 2024 09:00:00 GMT")
        for n in range(1, 7)
    ]
    empty_newsroom.replies["/quiet.xml"] = site.rss("Quiet Post", *items)
    empty_newsroom.fault = lambda path: site.Reply(status=500) if path == "/feed.xml" else None
    urls = (empty_newsroom.url("/quiet.xml"), feed(0))
    for number in (1, 2):
        summary = json.loads(run("run", *urls, "--json").out)
        assert {(one["state"], one["feed_url"]) for one in summary["feed_health"]} == {
            ("quiet", urls[0]),
            ("failing", urls[1]),
        }
        failing = [poll for poll in polls() if poll["failures"]]
        assert [poll["failures"] for poll in failing] == list(range(1, number + 1))
    out = run("run", *urls).out
    assert "Quiet Post: nothing new since 2024-03-06 09:00 UTC; usually every 24 hours" in out
    assert "has failed 3 times in a row: HTTP 500" in out
    waits = [poll["next_poll_at"] - poll["polled_at"] for poll in polls() if poll["failures"]]
    assert waits == sorted(waits)


def test_sitemaps_and_their_indexes_are_polled_like_feeds(
    run, found, polls, lake, rows, empty_newsroom, site
):
    newsroom = empty_newsroom
    newsroom.replies["/news/0"] = site.Reply(site.page(0))
    index = (
        f"<sitemapindex><sitemap><loc>{newsroom.url('/news.xml')}</loc></sitemap></sitemapindex>"
    )
    urlset = (
        f"<urlset xmlns:n='http://www.google.com/schemas/sitemap-news/0.9'><url><loc>"
        f"{newsroom.url('/news/0')}</loc><n:news><n:publication_date>2024-03-01T09:00:00Z"
        "</n:publication_date><n:title>Named</n:title></n:news></url></urlset>"
    )
    newsroom.replies["/index.xml"] = site.Reply(index, headers={"ETag": '"1"'})
    newsroom.replies["/news.xml"] = site.Reply(gzip.compress(urlset.encode()), "application/gzip")
    for _ in range(2):
        run("run", newsroom.url("/index.xml"))
    assert found() == {"/news/0": 1}
    assert {(row["title"], row["published_from"]) for row in rows(lake, "passages")} == {
        ("Named", "feed")
    }
    # An index is always read whole, so that its sitemaps are read.
    assert newsroom.asked("/index.xml")[1]["If-None-Match"] is None
    assert [poll["entries"] for poll in polls()] == [1, 1, 1, 1]


def test_with_three_answers_in_ten_failing_every_article_arrives(
    run, feed, found, empty_newsroom, site
):
    feeds = {f"/feed{n}.xml": range(3 * n, 3 * n + 3) for n in range(4)}
    urls = [feed(*numbers, path=path) for path, numbers in feeds.items()]
    faults = random.Random(20_260_311)

    def fault(path):
        if faults.random() > 0.3:
            return None
        status = faults.choice([429, 500, 502, 503, 504])
        return site.Reply(status=status)

    empty_newsroom.fault = fault
    wanted = {f"/news/{number}": 1 for numbers in feeds.values() for number in numbers}
    for _ in range(12):
        run("run", *urls, "--force", tries=50)
        if found() == wanted:
            break
    assert found() == wanted
