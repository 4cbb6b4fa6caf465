"""Articles that change after they were read, on a server that edits and withdraws them."""

import json
import signal
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

ALWAYS = {"recheck": [], "least_gap": 0}
# A file appears in its table by a rename.
DIES_BEFORE_CHECKS = """
import os, signal, sys
from pipelines.cli import main
def kill(event, arguments):
    if event == "os.rename" and "/checks/" in str(arguments[1]):
        os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(kill)
main(sys.argv[1:])
"""


@pytest.fixture
def checks(lake, rows):
    """The looks at articles that the lake has, oldest first."""
    return lambda: sorted(rows(lake, "checks"), key=lambda check: check["checked_at"])


@pytest.fixture
def query(wirewatch, lake):
    """The rows of a query over the lake."""

    def ask(sql):
        outcome = wirewatch("query", sql, "--lake", lake, "--format", "json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return ask


@pytest.fixture
def age(lake):
    """Makes all that is in the lake so many hours older, as if it had been left alone."""

    def shift(hours):
        past = timedelta(hours=hours)
        for path in list(lake.rglob("*.parquet")):
            table = pq.read_table(path, partitioning=None)
            rows = table.to_pylist()
            for row in rows:
                for name in ("fetched_at", "checked_at", "polled_at", "next_poll_at"):
                    if row.get(name) is not None:
                        row[name] -= past
            # Under another name, since what has been read is read once.
            path.unlink()
            older = path.with_stem(f"{path.stem}-{hours}")
            pq.write_table(type(table).from_pylist(rows, schema=table.schema), older)

    return shift


def now():
    return datetime.now(UTC)


def edited(text):
    """A text with one number in it changed."""
    return [text[0].replace("3 days", "9 days"), *text[1:]]


def test_an_article_that_its_feed_says_was_updated_is_a_new_revision(
    run, press, lake, rows, checks, query, site
):
    text = site.text(0)
    press.publish(text)
    run("run", press.url, revisions=ALWAYS)
    press.publish(edited(text), updated=now())
    out = run("run", press.url, revisions=ALWAYS).out
    assert out.startswith("0 new articles and 1 changed since it was read")
    (check,) = checks()
    assert (check["changed"], check["status"], check["error"]) == (True, 200, None)
    found = rows(lake, "passages")
    assert len({row["article_id"] for row in found}) == 1
    assert len({row["revision"] for row in found}) == 2
    assert all(n == 1 for n in Counter(row["passage_id"] for row in found).values())
    (article,) = query("select * from articles")
    assert "9 days" in article["text"] and "3 days" not in article["text"]
    assert article["revisions"] == 2
    assert article["first_seen_at"] < article["fetched_at"]
    assert "3 days" not in query("select string_agg(text) as t from latest_passages")[0]["t"]


def test_an_update_before_the_last_look_or_too_soon_after_it_is_not_looked_at(
    run, press, empty_newsroom, site
):
    press.publish(site.text(0), updated=now() - timedelta(hours=1))
    run("run", press.url, revisions=ALWAYS)
    press.publish(edited(site.text(0)), updated=now() - timedelta(hours=1))
    run("run", press.url, revisions=ALWAYS)
    press.publish(edited(site.text(0)), updated=now())
    run("run", press.url)
    assert len(empty_newsroom.asked("/news/0")) == 1


def test_the_schedule_asks_conditionally_also_where_the_feed_has_not_changed(
    run, press, checks, age, empty_newsroom, rows, lake, site
):
    press.publish(site.text(0))
    run("run", press.url)
    run("run", press.url)
    assert len(empty_newsroom.asked("/news/0")) == 1
    age(2)
    run("run", press.url)
    run("run", press.url)
    age(5)
    run("run", press.url)
    first, second, third = empty_newsroom.asked("/news/0")
    assert (first["If-None-Match"], second["If-None-Match"]) == (None, None)
    assert third["If-None-Match"] is not None
    assert [(c["status"], c["changed"]) for c in checks()] == [(200, False), (304, False)]
    assert len({c["revision"] for c in checks()}) == 1
    assert {poll["status"] for poll in rows(lake, "polls")} == {200, 304}
    press.publish(edited(site.text(0)))
    age(24)
    assert "1 changed since it was read" in run("run", press.url).out
    age(1000)
    run("run", press.url)
    assert len(empty_newsroom.asked("/news/0")) == 4


def test_an_article_with_an_old_date_is_looked_at_again_all_the_same(
    run, feed, age, empty_newsroom
):
    url = feed(0)
    run("run", url)
    run("run", url)
    # The lake is read anew then, as a new process does, and it stands in the folder of its date.
    age(2)
    run("run", url)
    assert len(empty_newsroom.asked("/news/0")) == 2
    age(1000)
    run("run", url)
    assert len(empty_newsroom.asked("/news/0")) == 2


def test_a_change_of_boilerplate_is_no_revision(run, press, lake, rows, checks, age, site):
    text = site.text(0)
    press.publish(text)
    run("run", press.url)
    before = rows(lake, "passages")
    press.publish([text[1], text[0].replace('"', "\u201d"), *text[2:]], stamp="at 18:15")
    age(2)
    out = run("run", press.url).out
    assert out.startswith("0 new articles with 0 passages")
    (check,) = checks()
    assert (check["changed"], check["error"]) == (False, None)
    assert check["revision"] == before[0]["revision"]
    assert len(rows(lake, "passages")) == len(before)


def test_a_withdrawn_article_stays_and_is_no_dead_letter(
    run, press, lake, query, checks, age, site
):
    press.publish(site.text(0))
    run("run", press.url)
    press.withdraw()
    age(2)
    out = run("run", press.url, "--strict").out
    assert "Articles that could not be read again, or stand there no more: 1" in out
    (check,) = checks()
    assert (check["status"], check["revision"], check["changed"]) == (404, None, False)
    assert check["error"] == "HTTP 404 Not Found"
    assert not (lake / "errors").exists()
    assert query("select revisions from articles") == [{"revisions": 1}]
    # The next step of the schedule tries again.
    press.publish(edited(site.text(0)))
    age(5)
    assert "1 changed since it was read" in run("run", press.url).out


def test_an_article_that_is_changed_and_changed_back_shows_its_first_text_again(
    run, press, lake, rows, query, checks, site
):
    first, second = site.text(0), edited(site.text(0))
    press.publish(first)
    run("run", press.url, revisions=ALWAYS)
    for text in (second, first):
        press.publish(text, updated=now())
        out = run("run", press.url, revisions=ALWAYS).out
        assert "1 changed since it was read" in out, out
    found = rows(lake, "passages")
    assert max(Counter(row["passage_id"] for row in found).values()) == 1
    assert [check["changed"] for check in checks()] == [True, True]
    (article,) = query("select text, revisions from articles")
    assert "3 days" in article["text"] and article["revisions"] == 2
    (latest,) = query("select count(distinct revision) as n, min(text) as t from latest_passages")
    assert latest["n"] == 1
    press.publish(second, updated=now())
    out = run("run", press.url, revisions=ALWAYS).out
    assert "1 changed since it was read" in out, out
    assert "9 days" in query("select text from articles")[0]["text"]
    assert len(rows(lake, "passages")) == len(found)


@pytest.fixture
def run_killed(press, lake, child_environment):
    """Runs and dies when the passages are written, and the checks are not."""

    def command():
        words = ("run", press.url, "--config", lake.with_name("monitor.yaml"), "--lake", lake)
        command = (sys.executable, "-c", DIES_BEFORE_CHECKS, *words)
        killed = subprocess.run(command, env=child_environment, capture_output=True, timeout=60)
        assert killed.returncode == -signal.SIGKILL

    return command


def test_a_run_killed_between_the_passages_and_the_checks_is_not_done_twice(
    run, run_killed, press, lake, rows, checks, query, site
):
    press.publish(site.text(0))
    run("run", press.url, revisions=ALWAYS)
    press.publish(edited(site.text(0)), updated=now())
    run_killed()
    before = rows(lake, "passages")
    assert len({row["revision"] for row in before}) == 2
    assert len(rows(lake, "polls")) == 1
    assert not list(lake.glob("checks/*/*.parquet"))
    run("run", press.url, revisions=ALWAYS)
    assert rows(lake, "passages") == before
    press.publish(edited(site.text(0)), updated=now())
    run("run", press.url, revisions=ALWAYS)
    # The run in between looks again where feed and fetch name the same second.
    assert {check["changed"] for check in checks()} == {False}
    assert rows(lake, "passages") == before
    assert "9 days" in query("select text from articles")[0]["text"]


def test_a_text_that_returns_after_such_a_run_is_seen_though_its_etag_is_known(
    run, run_killed, press, lake, checks, query, site
):
    first = site.text(0)
    press.publish(first)
    run("run", press.url, revisions=ALWAYS)
    # A look is what keeps the validators of the first text.
    press.publish(first, updated=now())
    run("run", press.url, revisions=ALWAYS)
    assert checks()[-1]["etag"]
    press.publish(edited(first), updated=now())
    run_killed()
    press.publish(first, updated=now())
    run("run", press.url, revisions=ALWAYS)
    assert [check["changed"] for check in checks()] == [False, True]
    (article,) = query("select text, revisions from articles")
    assert "3 days" in article["text"] and article["revisions"] == 2


def test_a_page_that_moved_stays_one_article_and_one_replaced_by_another_is_left(
    run, press, lake, rows, checks, age, query, empty_newsroom, site
):
    press.publish(site.text(0))
    run("run", press.url)
    press.publish(edited(site.text(0)), path="/news/new-slug")
    moved = site.Reply(status=301, headers={"Location": empty_newsroom.url("/news/new-slug")})
    empty_newsroom.replies["/news/0"] = moved
    feed = empty_newsroom.replies["/feed.xml"]
    age(2)
    empty_newsroom.replies["/feed.xml"] = site.Reply(status=304)
    assert "1 changed since it was read" in run("run", press.url).out
    assert query("select revisions from articles") == [{"revisions": 2}]
    # Its feed may name the new address: it is known by now.
    empty_newsroom.replies["/feed.xml"] = feed
    run("run", press.url)
    assert query("select count(*) as n from articles") == [{"n": 1}]
    age(5)
    press.publish(site.text(5), path="/news/new-slug")
    empty_newsroom.replies["/feed.xml"] = site.Reply(status=304)
    head = f"<link rel=canonical href='{empty_newsroom.url('/other')}'>"
    press.publish(site.text(5), path="/news/new-slug", head=head)
    empty_newsroom.replies["/feed.xml"] = site.Reply(status=304)
    run("run", press.url)
    assert checks()[-1]["error"] == "another article stands there now"
    assert query("select count(*) as n, sum(revisions) as r from articles") == [{"n": 1, "r": 2}]
