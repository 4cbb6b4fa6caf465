"""Ticks of a watcher: what each of them reads, and what it leaves alone."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pyarrow.parquet

from schemas.records import Poll
from schemas.tables import POLLS
from tests.pipelines.conftest import Reply
from transforms.lake import put_rows

# Due in every tick, and not again while a test lasts.
ALWAYS = {"shortest": 0.001, "usual": 0.001}
SELDOM = {"Cache-Control": "max-age=7200"}


def test_a_tick_polls_what_is_due_and_nothing_else(watch, feed, found, empty_newsroom):
    often, seldom = feed(0), feed(1, path="/seldom.xml", **SELDOM)
    watched = watch(often, seldom, **ALWAYS)
    assert [watched.tick() for _ in range(3)] == [["tick"]] * 3
    assert len(empty_newsroom.asked("/feed.xml")) == 3
    assert len(empty_newsroom.asked("/seldom.xml")) == 1
    feed(0, 2, etag='"new"')
    watched.tick()
    assert found() == {"/news/0": 1, "/news/1": 1, "/news/2": 1}
    assert empty_newsroom.requests.count("/news/0") == 1


def test_where_nothing_is_due_nothing_is_run(watch, feed, lake, empty_newsroom):
    url = feed(0)
    watched = watch(url, usual=3600)
    assert watched.tick() == ["tick"]
    asked, files = len(empty_newsroom.requests), sorted(lake.rglob("*"))
    assert watched.tick() == []
    # The next process knows it from the lake.
    assert watch(url, usual=3600).tick() == []
    assert len(empty_newsroom.requests) == asked
    assert sorted(lake.rglob("*")) == files


def opml(site, *urls):
    outlines = "".join(f"<outline type='rss' text='{url}' xmlUrl='{url}'/>" for url in urls)
    body = f"<opml version='2.0'><body>{outlines}</body></opml>"
    return site.Reply(body, "text/x-opml", headers=SELDOM)


def test_feeds_of_a_list_are_polled_when_they_are_due(watch, feed, found, empty_newsroom, site):
    often, seldom = feed(0), feed(1, path="/seldom.xml", **SELDOM)
    empty_newsroom.replies["/list"] = opml(site, often, seldom)
    url = empty_newsroom.url("/list")
    watched = watch(url, **ALWAYS)
    for _ in range(2):
        watched.tick()
    counts = {path: len(empty_newsroom.asked(path)) for path in ("/list", "/feed.xml")}
    assert counts == {"/list": 1, "/feed.xml": 2}
    # What a list names is known to the process alone: the next one reads it again.
    watch(url, **ALWAYS).tick()
    assert len(empty_newsroom.asked("/list")) == 2
    assert len(empty_newsroom.asked("/seldom.xml")) == 1
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_sitemaps_of_an_index_are_polled_when_they_are_due(watch, feed, empty_newsroom, site):
    space = "xmlns='http://www.sitemaps.org/schemas/sitemap/0.9'"
    feed(0)
    pages = f"<urlset {space}><url><loc>{empty_newsroom.url('/news/0')}</loc></url></urlset>"
    place = f"<sitemap><loc>{empty_newsroom.url('/map.xml')}</loc></sitemap>"
    index = f"<sitemapindex {space}>{place}</sitemapindex>"
    empty_newsroom.replies["/map.xml"] = site.Reply(pages, "application/xml")
    empty_newsroom.replies["/index"] = site.Reply(index, "application/xml", headers=SELDOM)
    watched = watch(empty_newsroom.url("/index"), **ALWAYS)
    for _ in range(2):
        watched.tick()
    assert [p for p in empty_newsroom.requests if p != "/news/0"] == [
        "/index", "/map.xml", "/map.xml",
    ]  # fmt: skip


def test_files_are_read_once_and_again_when_they_change(watch, rows, lake, tmp_path, write_story):
    folder = tmp_path / "inbox"
    folder.mkdir()
    watched = watch(folder)
    assert watched.tick() == []
    (folder / "a.txt").write_text(write_story(0))
    assert watched.tick() == ["tick"]
    assert watched.tick() == []
    (folder / "b.txt").write_text(write_story(1))
    assert watched.tick() == ["tick"]
    (folder / "a.txt").write_text(write_story(2))
    assert watched.tick() == ["tick"]
    assert "1 new article" in watched.said[0][1]
    assert len({row["article_id"] for row in rows(lake, "passages")}) == 3


def test_a_lake_inside_a_watched_folder_is_no_source(watch, lake, tmp_path, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    (tmp_path / "b.png").write_bytes(b"\x89PNG")
    watched = watch(tmp_path)
    assert "tick" in watched.tick()
    assert (lake / "errors").is_dir()
    assert watched.tick() == []


def test_a_source_that_goes_and_comes_back_is_named_once(watch, tmp_path, write_story):
    path = tmp_path / "a.txt"
    path.write_text(write_story(0))
    watched = watch(path)
    watched.tick()
    path.rename(tmp_path / "b.txt")
    assert [watched.tick(), watched.tick()] == [["source_missing"], []]
    path.write_text(write_story(1))
    assert watched.tick() == ["tick"]


def test_a_page_that_fails_at_first_comes_later_though_its_feed_is_not_due(
    watch, feed, found, empty_newsroom, site
):
    url = feed(0, 1)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/1" else None
    watched = watch(url, usual=3600)
    for _ in range(3):
        watched.tick()
    assert found() == {"/news/0": 1}
    empty_newsroom.fault = lambda path: None
    watched.tick()
    assert found() == {"/news/0": 1, "/news/1": 1}
    assert len(empty_newsroom.asked("/feed.xml")) == 1
    assert watched.tick() == []


def test_a_page_that_fails_is_given_up_in_the_end(watch, feed, empty_newsroom, site):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/0" else None
    watched = watch(url, tries=3, usual=3600)
    for _ in range(5):
        watched.tick()
    assert len(empty_newsroom.asked("/news/0")) == 3


def test_a_page_of_a_list_of_addresses_is_tried_again_without_the_list(
    watch, found, tmp_path, empty_newsroom, site
):
    empty_newsroom.replies["/news/0"] = site.Reply(status=503)
    (tmp_path / "urls.txt").write_text(empty_newsroom.url("/news/0") + "\n")
    watched = watch(tmp_path / "urls.txt")
    watched.tick()
    empty_newsroom.replies["/news/0"] = site.Reply(site.page(0))
    watched.tick()
    assert found() == {"/news/0": 1}


def test_a_clock_that_is_set_back_stalls_nothing(watch, feed, found, lake, empty_newsroom, site):
    url = feed(0, 1)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/1" else None
    watch(url, usual=3600, retry_after=600).tick()
    # The same lake as it looks to a clock that was right then and is two hours late now.
    for table, names in (("polls", ("polled_at", "next_poll_at")), ("errors", ("occurred_at",))):
        set_ahead(lake, table, names, timedelta(hours=2))
    empty_newsroom.fault = lambda path: None
    watched = watch(url, usual=3600, retry_after=600)
    watched.tick()
    assert len(empty_newsroom.asked("/feed.xml")) == 2
    assert found() == {"/news/0": 1, "/news/1": 1}
    # From then on it goes by the new clock.
    assert watched.tick() == []
    assert len(empty_newsroom.asked("/feed.xml")) == 2


def test_a_failure_after_the_clock_was_set_back_is_tried_again(
    watch, feed, found, lake, empty_newsroom, site
):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=503) if path == "/news/0" else None
    watch(url, usual=3600).tick()
    set_ahead(lake, "errors", ("occurred_at",), timedelta(hours=2))
    watched = watch(url, usual=3600)
    watched.tick()
    empty_newsroom.fault = lambda path: None
    watched.tick()
    assert found() == {"/news/0": 1}


def set_ahead(lake, table, names, by):
    """Moves moments in a table's one file to later ones."""
    (path,) = (lake / table).glob("*/*.parquet")
    content = pyarrow.parquet.ParquetFile(path).read()
    rows = content.to_pylist()
    for row in rows:
        row |= {name: row[name] + by for name in names}
    changed = pyarrow.Table.from_pylist(rows, schema=content.schema)
    # Under another name, or who has read the file would not read it again.
    pyarrow.parquet.write_table(changed, path.with_name("ahead.parquet"))
    path.unlink()


def test_a_feed_that_is_unwell_is_named_when_that_changes(watch, feed, empty_newsroom, site):
    url = feed(0)
    empty_newsroom.fault = lambda path: site.Reply(status=500)
    watched = watch(url, **ALWAYS)
    assert watched.tick() == ["tick", "feed_failing"]
    assert "HTTP 500" in watched.said[1][1]
    assert watched.tick() == ["tick"]
    empty_newsroom.fault = lambda path: None
    assert watched.tick() == ["tick", "feed_well"]


def test_a_feed_that_failed_before_a_restart_is_named_when_it_is_well(watch, feed, empty_newsroom):
    url = feed(0)
    empty_newsroom.fault = lambda path: Reply(status=500)
    watch(url, **ALWAYS).tick()
    watched = watch(url, **ALWAYS)
    # A new process names what is not well once more.
    assert watched.tick() == ["tick", "feed_failing"]
    empty_newsroom.fault = lambda path: None
    watched = watch(url, **ALWAYS)
    assert watched.tick() == ["tick", "feed_well"]
    assert watched.said[1][1] == f"{url}: is well again"
    assert watched.tick() == ["tick"]
    assert watch(url, **ALWAYS).tick() == ["tick"]


def test_a_feed_of_a_list_that_failed_before_a_restart_is_named_when_it_is_well(
    watch, feed, empty_newsroom, site
):
    url = feed(0)
    empty_newsroom.replies["/list"] = opml(site, url)
    empty_newsroom.fault = lambda path: Reply(status=500) if path == "/feed.xml" else None
    watch(empty_newsroom.url("/list"), **ALWAYS).tick()
    empty_newsroom.fault = lambda path: None
    watched = watch(empty_newsroom.url("/list"), **ALWAYS)
    # What the list names is watched from the tick after the one that reads it.
    assert "feed_well" in watched.tick() + watched.tick()


def test_a_failing_feed_that_is_taken_out_is_not_called_well(
    watch, feed, empty_newsroom, configure
):
    failing, other = empty_newsroom.url("/gone.xml"), feed(0)
    watched = watch(failing, other, **ALWAYS)
    assert "feed_failing" in watched.tick()
    configure(watched.config, [other], **ALWAYS)
    assert watched.tick() == ["config", "tick"]


def test_a_quiet_feed_is_named_while_it_is_not_due(watch, feed, lake):
    url, now = feed(0), datetime.now(UTC)
    counts = {"entries": 1, "new_entries": 0, "bytes": 9, "duration_ms": 9, "error": None}
    poll = Poll(
        url, "Post", 200, None, None, **counts, polled_at=now,
        next_poll_at=now + timedelta(hours=1), last_new_at=now - timedelta(days=9),
        usual_gap_s=3600.0,
    )  # fmt: skip
    put_rows(str(lake), POLLS, now.date(), ["a"], [dataclasses.asdict(poll)])
    watched = watch(url)
    assert [watched.tick(), watched.tick()] == [["feed_quiet"], []]


def test_the_first_look_at_an_article_is_conditional_too(
    watch, feed, rows, lake, empty_newsroom, site
):
    url = feed(0, 1)

    def serve(number, etag, text):
        def answer(headers):
            same = headers["If-None-Match"] == etag
            return Reply(status=304) if same else Reply(site.page(text), headers={"ETag": etag})

        empty_newsroom.replies[f"/news/{number}"] = answer

    serve(0, '"same"', 0)
    serve(1, '"first"', 1)
    watched = watch(url, revisions={"recheck": [0.001], "least_gap": 0}, **ALWAYS)
    watched.tick()
    serve(1, '"second"', 2)
    watched.tick()
    for path, etag in (("/news/0", '"same"'), ("/news/1", '"first"')):
        assert [sent["If-None-Match"] for sent in empty_newsroom.asked(path)] == [None, etag]
    found = {
        check["url"][-1]: (check["status"], check["changed"]) for check in rows(lake, "checks")
    }
    assert found == {"0": (304, False), "1": (200, True)}
