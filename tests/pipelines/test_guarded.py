"""What a feed on an address that the user named may lead to, and what not."""

import json
from dataclasses import replace

import pytest

LINKS = (
    "http://localhost:{port}/news/1",
    "http://127.1:{port}/news/1",
    "http://[::ffff:127.0.0.1]:{port}/news/1",
    "http://user@127.0.0.1:{port}/news/1",
    "http://127.0.0.1:{other}/news/1",
    "http://169.254.169.254/latest/meta-data/",
)


@pytest.fixture
def run(wirewatch, tmp_path, rows):
    """Runs over sources; gives the summary and the dead letters' types by key."""

    def run_over(*sources: object) -> tuple[dict, dict[str, str]]:
        lake = tmp_path / "lake"
        outcome = wirewatch("run", *sources, "--lake", lake, "--json")
        letters = rows(lake, "errors") if (lake / "errors").exists() else []
        return json.loads(outcome.out), {row["key"]: row["error_type"] for row in letters}

    return run_over


def test_a_feed_leads_to_pages_of_its_own_host_and_port_only(run, newsroom, small_newsroom):
    port, other = (one.url("").rpartition(":")[2] for one in (newsroom, small_newsroom))
    links = [link.format(port=port, other=other) for link in LINKS]
    small_newsroom.replies["/news/1"].held = False
    items = [{"url": link} for link in [*links, newsroom.url("/news/1")]]
    feed = json.dumps({"version": "https://jsonfeed.org/version/1.1", "items": items})
    newsroom.replies["/leads.json"] = replace(newsroom.replies["/feed.json"], body=feed)
    summary, letters = run(newsroom.url("/leads.json"))
    assert summary["articles"] == 1
    assert letters == dict.fromkeys(links, "Refused")
    assert small_newsroom.requests == []


def test_the_feeds_of_a_list_are_not_named_by_the_user(run, newsroom, small_newsroom):
    feed = small_newsroom.url("/rss.xml")
    body = f"<opml version='2.0'><body><outline type='rss' xmlUrl='{feed}'/></body></opml>"
    newsroom.replies["/leads.opml"] = replace(newsroom.replies["/feeds.opml"], body=body)
    _, letters = run(newsroom.url("/leads.opml"))
    assert letters == {feed: "Refused"}
    assert small_newsroom.requests == []
