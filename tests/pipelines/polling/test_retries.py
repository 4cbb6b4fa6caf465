"""What failed is tried again, by later runs and by wirewatch retry."""

from collections import Counter

import pyarrow.parquet

from pipelines.cli import hold_lake

DAY = "Fri, 01 Mar 2024 09:00:00 GMT"


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
    assert "Dead letters of earlier runs that are done: 1" in out
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
    waiting = run("run", url, retry_after=3600).out
    assert "Failed pages that wait for their next try: 1" in waiting and "\nWhy: " in waiting
    assert len(empty_newsroom.asked("/news/0")) == 1
    run("run", url, "--force", retry_after=3600)
    assert len(empty_newsroom.asked("/news/0")) == 2
    run("run", url, tries=3)
    assert len(empty_newsroom.asked("/news/0")) == 3
    assert "Failed pages that have had their last try: 1" in run("run", url, tries=3).out
    assert len(empty_newsroom.asked("/news/0")) == 3


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
    assert "1 new article " in out and "Texts from the feed itself" in out
    assert [letter["key"] for letter in rows(lake, "errors")] == [newsroom.url("/broken")]
    assert {row["text_from"] for row in rows(lake, "passages")} == {"feed"}
    text = "".join(
        row["text"] for row in sorted(rows(lake, "passages"), key=lambda row: row["position"])
    )
    assert site.text(0)[0] in text
    # After its last try the feed's text is used for it too, and is known by then.
    out = run("run", url, tries=2).out
    assert "Dead letters of earlier runs that are done: 1" in out


def test_nothing_is_polled_before_its_articles_are_in_the_lake(feed, wirewatch, lake, found, run):
    url = feed(0)
    lake.mkdir()
    (lake / "passages").write_text("a file where a folder must be")
    failed = wirewatch("run", url, "--lake", lake)
    assert failed.code == 1
    assert f"{lake}/passages: cannot be used: it is no folder; nothing is lost" in failed.err
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
    assert "1 new article " in run("retry", "--stage", "fetch").out
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
    assert "Dead letters of earlier runs that are done: 1" in run("retry").out
    assert len(empty_newsroom.requests) == asked
    assert found() == {"/news/0": 1}
    assert run("retry").out == "No dead letter to try again.\n"


def test_retry_all_tries_what_is_not_expected_to_get_better(
    feed, empty_newsroom, site, wirewatch, lake, rows
):
    """By the command line alone: what it named on this machine, a retry may ask as well."""
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=404) if path == "/news/0" else None
    wirewatch("run", url, "--lake", lake)
    out = wirewatch("retry", "--lake", lake).out
    assert "not expected to help (--all tries it): 1\nNo dead letter to try again.\n" in out
    wirewatch("retry", "--all", "--lake", lake)
    assert [row["error_type"] for row in rows(lake, "errors")] == ["Http404"] * 2
    empty_newsroom.fault = lambda path: None
    assert "1 new article " in wirewatch("retry", "--all", "--lake", lake).out


def test_a_retry_that_is_refused_says_only_that(feed, empty_newsroom, site, wirewatch, lake):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=404) if path == "/news/0" else None
    wirewatch("run", url, "--lake", lake)
    with hold_lake(str(lake), "watch"):
        refused = wirewatch("retry", "--lake", lake)
    assert (refused.code, refused.out) == (2, "")
    (line,) = refused.err.splitlines()
    assert "writes to this lake" in line


def test_retry_all_connects_nowhere_a_run_might_not(empty_newsroom, site, wirewatch, lake, rows):
    elsewhere = f"http://127.0.0.2:{empty_newsroom.url('').rpartition(':')[2]}/news/0"
    empty_newsroom.replies["/feed.xml"] = site.rss("Post", site.item("Story 0", elsewhere, DAY))
    wirewatch("run", empty_newsroom.url("/feed.xml"), "--lake", lake)
    wirewatch("retry", "--all", "--lake", lake)
    assert [row["error_type"] for row in rows(lake, "errors")] == ["Refused"] * 2


def test_a_page_that_failed_for_good_is_new_once(run, feed, polls, empty_newsroom, site):
    url = feed(0, 1, etag="")
    empty_newsroom.fault = lambda path: site.Reply(status=404) if path == "/news/1" else None
    for _ in range(3):
        run("run", url, retry_after=3600)
    assert [poll["new_entries"] for poll in polls()] == [2, 0, 0]


def _file_rows(path):
    return pyarrow.parquet.ParquetFile(path).read().to_pylist()
