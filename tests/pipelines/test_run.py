"""Runs over a newsroom with every kind of list and every fault, seen through the lake."""

import json
import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pyarrow.parquet
import pytest

STORIES = range(11)
LISTS = ("/rss.xml", "/atom.xml", "/feed.json", "/feeds.opml", "/listed.xml", "/urls.txt")
# What each fault is to become: stage, type, whether trying again may help, attempts made.
FAULTS = {
    "/missing": ("fetch", "Http404", False, 1),
    "/broken": ("fetch", "Http500", True, 2),
    "/big": ("fetch", "TooLarge", False, 1),
    "/slow": ("fetch", "ReadTimeout", True, 1),
    "/menu": ("extract", "NoArticle", False, 1),
    "/photo": ("extract", "Binary", False, 1),
    "/gone.xml": ("read", "Http404", False, 1),
    "/front": ("read", "NotAFeed", False, 1),
    "/rss.xml#Without a link": ("read", "NoLink", False, 1),
}


@pytest.fixture(scope="module")
def passages(lake, rows):
    return rows(lake, "passages")


@pytest.fixture(scope="module")
def articles(passages):
    """The passages of each article in reading order, by the path of its address."""
    found: dict[str, list[dict]] = {}
    for row in sorted(passages, key=lambda row: row["position"]):
        found.setdefault(urlsplit(row["canonical_url"]).path, []).append(row)
    return found


@pytest.fixture(scope="module")
def second(lake, config, newsroom, wirewatch, tmp_path_factory):
    """A second run, over a copy of the lake: the copy, the outcome and what was asked for."""
    again = tmp_path_factory.mktemp("second") / "lake"
    shutil.copytree(lake, again)
    before = len(newsroom.requests)
    outcome = wirewatch("run", "--config", config, "--lake", again, "--strict")
    return again, outcome, newsroom.requests[before:]


def test_each_article_is_in_the_lake_once(articles, passages):
    assert set(articles) == {f"/news/{number}" for number in STORIES}
    assert {row["lang"] for row in passages} == {"en"}
    assert len({row["article_id"] for row in passages}) == len(STORIES)
    assert len({row["passage_id"] for row in passages}) == len(passages)
    for parts in articles.values():
        assert [row["position"] for row in parts] == list(range(len(parts)))


@pytest.mark.parametrize("number", STORIES)
def test_passages_give_the_text_back_and_offsets_are_exact(number, articles, write_story):
    parts = articles[f"/news/{number}"]
    text = "".join(row["text"] + row["separator"] for row in parts)
    assert all(text[row["start"] : row["end"]] == row["text"] for row in parts)
    assert parts[-1]["separator"] == ""
    found = [text.find(paragraph) for paragraph in write_story(number).split("\n\n")]
    assert -1 not in found
    assert found == sorted(found)


def test_an_article_is_in_one_file_only(lake):
    homes = Counter()
    for file in (lake / "passages").rglob("*.parquet"):
        homes.update(set(pyarrow.parquet.ParquetFile(file).read()["article_id"].to_pylist()))
    assert len(homes) == len(STORIES)
    assert set(homes.values()) == {1}


@pytest.mark.parametrize(
    "number, published_at, origin",
    [
        pytest.param(0, datetime(2024, 3, 2, 4, 30), "feed", id="next-day-in-utc"),
        pytest.param(1, datetime(2024, 3, 5, 11), "feed", id="earlier-of-two-copies"),
        pytest.param(2, datetime(2024, 4, 2), "page", id="future-date-in-feed"),
        pytest.param(3, datetime(2024, 4, 3), "page", id="no-date-in-feed"),
        pytest.param(5, None, "none", id="no-date-at-all"),
        pytest.param(6, datetime(2024, 3, 7, 8), "feed", id="json-feed-with-offset"),
        pytest.param(7, datetime(2024, 3, 8), "feed", id="json-feed-day-only"),
        pytest.param(8, datetime(2024, 3, 9, 10), "feed", id="feed-from-opml"),
    ],
)
def test_the_partition_is_the_utc_day_of_publication(number, published_at, origin, articles):
    expected = published_at and published_at.replace(tzinfo=UTC)
    for row in articles[f"/news/{number}"]:
        assert (row["published_at"], row["published_from"]) == (expected, origin)
        assert row["date"] == (expected or row["fetched_at"]).date().isoformat()


def test_an_article_says_where_it_is_from(articles, newsroom):
    def origin(number):
        row = articles[f"/news/{number}"][0]
        return row["source"], row["feed_url"], row["title"], row["authors"]

    url = newsroom.url
    assert origin(0) == ("Valley Post", url("/rss.xml"), "Late at night", [])
    assert origin(1) == ("Harbour Wire", url("/atom.xml"), "First copy", [])
    assert origin(6) == ("Mill Times", url("/feed.json"), "[31mRed alert here", [])
    assert origin(7) == ("Mill Times", url("/feed.json"), "Signed", ["Ida Quill", "Bo"])
    assert origin(8) == ("Listed Gazette", url("/listed.xml"), "Listed", [])
    assert origin(9) == ("urls.txt", None, "Juniper Cross", [])


def test_addresses_are_kept_as_listed_and_in_normal_form(articles, newsroom):
    tracked, moved = articles["/news/1"][0], articles["/news/10"][0]
    assert tracked["url"] == newsroom.url("/news/1?utm_medium=atom&fbclid=x")
    assert tracked["canonical_url"] == newsroom.url("/news/1")
    assert moved["url"] == newsroom.url("/moved")
    assert moved["canonical_url"] == newsroom.url("/news/10")


def test_topics_are_those_at_their_threshold_in_every_row(passages):
    hits = Counter(topic for row in passages for topic in row["topics"])
    assert hits["ceasefire"] > 0
    assert hits["sanctions"] > 0
    for row in passages:
        scores = {score["topic"]: score["score"] for score in row["scores"]}
        assert list(scores) == ["ceasefire", "territory", "sanctions", "nato"]
        assert set(row["topics"]) <= set(scores)
        assert all(0 <= score <= 1 for score in scores.values())
        assert min([scores[t] for t in row["topics"]], default=1.0) > 0


def test_each_fault_is_a_dead_letter(lake, rows, newsroom):
    letters = {letter["key"]: letter for letter in rows(lake, "errors")}
    dead_host = next(letter for letter in letters.values() if letter["source"] == "Dead host")
    assert (dead_host["stage"], dead_host["error_type"]) == ("read", "ConnectError")
    assert dead_host["retryable"]
    found = {
        key: (row["stage"], row["error_type"], row["retryable"], row["attempt"])
        for key, row in letters.items()
        if row is not dead_host
    }
    assert found == {newsroom.url(path): fault for path, fault in FAULTS.items()}
    assert letters[newsroom.url("/rss.xml#Without a link")]["payload_head"] == "Without a link"
    assert all(row["date"] == row["occurred_at"].date().isoformat() for row in letters.values())


def test_each_list_has_a_poll(lake, rows, newsroom):
    polls = {poll["feed_url"].removeprefix(newsroom.url("")): poll for poll in rows(lake, "polls")}
    shown = ("status", "etag", "last_modified", "entries", "new_entries")
    modified = "Mon, 06 May 2024 08:00:00 GMT"
    expected = {
        "/rss.xml": (200, '"Valley Post"', modified, 10, 10),
        "/listed.xml": (200, '"Listed Gazette"', modified, 1, 1),
        "/atom.xml": (200, None, None, 3, 3),
        "/feed.json": (200, None, None, 2, 2),
        "/feeds.opml": (200, None, None, 1, 0),
        "/urls.txt": (200, None, None, 3, 3),
        "/gone.xml": (404, None, None, 0, 0),
        "/front": (200, None, None, 0, 0),
    }
    dead = polls.pop(next(path for path in polls if path.startswith("http")))
    assert {path: tuple(poll[c] for c in shown) for path, poll in polls.items()} == expected
    assert (dead["status"], dead["source"]) == (None, "Dead host")
    failed = {path for path, poll in polls.items() if poll["error"]}
    assert failed == {"/gone.xml", "/front"}
    assert dead["error"]
    for path in LISTS:
        body = newsroom.replies[path].body
        assert polls[path]["bytes"] == len(body.encode() if isinstance(body, str) else body)


def test_the_summary_has_the_numbers_of_the_lake(lake, rows, passages):
    summary = json.loads(lake.with_name("summary.json").read_text())
    letters, polls = rows(lake, "errors"), rows(lake, "polls")
    assert summary["lake"] == str(lake)
    assert summary["articles"] == len({row["article_id"] for row in passages})
    assert summary["passages"] == len(passages)
    assert summary["passages_hit"] == sum(bool(row["topics"]) for row in passages)
    assert summary["passages_unsupported"] == 0
    hits = Counter(topic for row in passages for topic in row["topics"])
    assert {topic: n for topic, n in summary["hits"].items() if n} == dict(hits)
    assert summary["dead_letters"] == Counter(letter["stage"] for letter in letters)
    assert summary["feeds"] == len(polls)
    # A list of feeds lists no entries.
    listed = [poll for poll in polls if not poll["feed_url"].endswith(".opml")]
    assert summary["entries"] == sum(poll["entries"] for poll in listed)
    failed = {failure["key"] for failure in summary["failed_sources"]}
    assert failed == {poll["feed_url"] for poll in polls if poll["error"]}
    hit_urls = {row["canonical_url"] for row in passages if row["topics"]}
    assert summary["newest_hits"]
    assert {hit["url"] for hit in summary["newest_hits"]} <= hit_urls


def test_a_page_that_hangs_does_not_silence_its_host(newsroom, wirewatch, rows, tmp_path):
    fetch = {"total_timeout": 0.5, "attempts": 3, "max_bytes": 40_000}
    settings = {"fetch": {**fetch, "allow_hosts": ["127.0.0.1"]}}
    (tmp_path / "monitor.yaml").write_text(json.dumps(settings))
    (tmp_path / "urls.txt").write_text(newsroom.url("/slow"))
    sources = (tmp_path / "urls.txt", newsroom.url("/listed.xml"))
    for source in sources:
        run = ("run", source, "--config", tmp_path / "monitor.yaml", "--lake", tmp_path / "lake")
        assert wirewatch(*run).code == 0
    assert [letter["error_type"] for letter in rows(tmp_path / "lake", "errors")] == ["ReadTimeout"]
    found = {row["canonical_url"] for row in rows(tmp_path / "lake", "passages")}
    assert found == {newsroom.url("/news/8")}


def test_a_second_run_adds_no_passages(second, lake):
    again, outcome, _ = second

    def files(root: Path) -> dict[str, bytes]:
        found = (root / "passages").rglob("*.*")
        return {str(path.relative_to(root)): path.read_bytes() for path in found if path.is_file()}

    assert outcome.code == 1  # --strict, and the faults are still there.
    assert outcome.out.startswith("0 new articles with 0 passages")
    assert files(again) == files(lake)


def test_a_second_run_fetches_no_page_that_the_lake_has(second):
    _, _, requests = second
    paths = {urlsplit(path).path for path in requests}
    assert set(LISTS) | {"/gone.xml", "/front"} <= paths
    assert not paths - set(LISTS) - set(FAULTS)  # Not /alias either, nor where it leads.


def test_a_second_run_polls_again_and_failed_pages_wait(second, lake, rows, newsroom):
    again, outcome, _ = second
    assert len(rows(again, "polls")) == 2 * len(rows(lake, "polls"))
    # What a list cannot give is tried each time; a page that failed waits.
    stages = Counter(letter["stage"] for letter in rows(again, "errors"))
    first = Counter(letter["stage"] for letter in rows(lake, "errors"))
    assert stages == {**first, "read": 2 * first["read"]}
    latest = {}
    for poll in sorted(rows(again, "polls"), key=lambda poll: poll["polled_at"]):
        latest[poll["feed_url"]] = poll["new_entries"]
    assert latest[newsroom.url("/rss.xml")] == 0  # What failed before is not new.
    assert latest[newsroom.url("/atom.xml")] == 0
    assert latest[newsroom.url("/feed.json")] == 0
    assert latest[newsroom.url("/listed.xml")] == 0
    for name in ("Dead host", newsroom.url("/gone.xml"), newsroom.url("/front")):
        assert name in outcome.out
    assert "Traceback" not in outcome.err
