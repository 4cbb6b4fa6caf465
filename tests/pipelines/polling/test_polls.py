"""Feeds polled again and again, on a server whose answers change and fail."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from schemas.tables import POLLS
from transforms.lake import put_rows


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
    assert "1 new article " in run("run", url, "--force").out
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


def test_a_sitemap_that_was_cut_off_is_read_whole_the_next_time(
    run, found, polls, empty_newsroom, site
):
    newsroom = empty_newsroom
    urls = []
    for number in (0, 1):
        newsroom.replies[f"/news/{number}"] = site.Reply(site.page(number))
        urls.append(f"<url><loc>{newsroom.url(f'/news/{number}')}</loc></url>")
    body = f"<urlset>{''.join(urls)}</urlset>"
    cut = site.Reply(body[: body.index("</url>") + 9], headers={"ETag": '"1"'})

    def whole(headers):
        is_known = headers["If-None-Match"] == '"1"'
        return site.Reply(status=304) if is_known else site.Reply(body)

    newsroom.replies["/map.xml"] = cut
    run("run", newsroom.url("/map.xml"))
    assert found() == {"/news/0": 1}
    assert [poll["etag"] for poll in polls()] == [None]
    newsroom.replies["/map.xml"] = whole
    run("run", newsroom.url("/map.xml"))
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_a_page_in_the_place_of_a_feed_is_no_article(run, feed, found, polls, empty_newsroom, site):
    url = feed(0)
    run("run", url)
    answer = empty_newsroom.replies["/feed.xml"]
    empty_newsroom.replies["/feed.xml"] = site.Reply(site.page(5))
    assert "it was a feed when it was last read" in run("run", url, full_every=0).out
    assert found() == {"/news/0": 1}
    assert [poll["failures"] for poll in polls()] == [0, 1]
    empty_newsroom.replies["/feed.xml"] = answer
    run("run", url, full_every=0)
    assert [poll["failures"] for poll in polls()] == [0, 1, 0]


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
    left = "Dead letters left alone: their server asked to wait: 1\n"
    assert run("retry").out == left + "No dead letter to try again.\n"
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


def test_a_feed_that_is_named_and_listed_is_polled_once(run, feed, polls, empty_newsroom, site):
    url = feed(0)
    lists = "".join(f"<outline type='rss' text='{n}' xmlUrl='{url}'/>" for n in range(2))
    opml = f"<opml version='2.0'><body>{lists}</body></opml>"
    for name in ("/one.opml", "/two.opml"):
        empty_newsroom.replies[name] = site.Reply(opml, "text/x-opml")
    listing = [empty_newsroom.url(name) for name in ("/one.opml", "/two.opml")]
    run("run", *listing)
    assert len(empty_newsroom.asked("/feed.xml")) == 1
    run("run", url, *listing)
    assert len(empty_newsroom.asked("/feed.xml")) == 2
    assert sum(poll["feed_url"] == url for poll in polls()) == 2
