"""A watcher whose configuration, lake or machine changes under it."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from configs.settings import UserError
from schemas.records import Entry
from tests.lakes import put_open_letter

ALWAYS = {"shortest": 0.001, "usual": 0.001}
NOBODY = 65_534


@pytest.fixture
def added(watch, tmp_path, write_story):
    """Adds a story to a watched folder, and watches it."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    watched = watch(folder)

    def add(number):
        (folder / f"{number}.txt").write_text(write_story(number))
        return watched.tick()

    add.watched, add.folder = watched, folder
    return add


@pytest.fixture
def articles(lake, rows):
    """The number of articles in a lake."""
    return lambda place=lake: len({row["article_id"] for row in rows(place, "passages")})


def test_a_changed_configuration_is_taken_up(watch, feed, found, configure):
    first, second = feed(0), feed(1, path="/second.xml")
    watched = watch(first, usual=3600)
    watched.tick()
    configure(watched.config, [first, second], usual=3600)
    assert watched.tick() == ["config", "tick"]
    assert watched.tick() == []
    assert found() == {"/news/0": 1, "/news/1": 1}


def test_a_broken_edit_is_named_once_and_the_old_one_kept(watch, feed, configure, lake):
    url = feed(0)
    watched = watch(url, **ALWAYS)
    watched.tick()
    watched.config.write_text("sources: [")
    assert watched.tick() == ["config_refused", "tick"]
    assert "not valid YAML" in watched.said[0][1]
    watched.config.unlink()
    assert watched.tick() == ["config_refused", "tick"]
    assert watched.tick() == ["tick"]
    # The topics stand in a file of their own.
    configure(watched.config, [url], **ALWAYS)
    (watched.config.parent / "topics.yaml").write_text("topics: [{name: weather}]")
    assert watched.tick() == ["config_refused", "tick"]
    (watched.config.parent / "topics.yaml").write_text("topics: [{name: nato}]")
    assert watched.tick() == ["config", "tick"]


def test_the_file_that_has_changed_is_named(watch, feed):
    watched = watch(feed(0), usual=3600)
    watched.tick()
    topics = watched.config.with_name("topics.yaml")
    for text in ("topics: [{name: nato}]", "topics: [{name: nato, threshold: 0.9}]"):
        topics.write_text(text)
        assert watched.tick() == ["config"]
        assert watched.said[0][1] == f"{topics}: the change is taken up"
    # Where it is gone, the shipped one counts again.
    topics.unlink()
    assert watched.tick() == ["config"]
    assert watched.said[0][1] == f"{topics}: the change is taken up"


def test_a_file_that_is_as_it_was_before_a_broken_edit_reads_well_again(watch, feed):
    watched = watch(feed(0), usual=3600)
    watched.tick()
    topics = watched.config.with_name("topics.yaml")
    for path, before in ((watched.config, watched.config.read_text()), (topics, None)):
        path.write_text("topics: [")
        assert watched.tick() == ["config_refused"]
        path.unlink() if before is None else path.write_text(before)
        assert watched.tick() == ["config_well"]
        assert watched.said[0][1] == f"{path}: reads well again"
        assert watched.tick() == []


def test_what_the_command_line_overrules_is_named_where_the_file_changes_it(watch, feed):
    watched = watch(feed(0), usual=3600)
    watched.tick()
    settings = json.loads(watched.config.read_text())
    watched.config.write_text(json.dumps(settings | {"lake": "elsewhere"}))
    assert watched.tick() == ["config_overruled"]
    stands = f"--lake {watched.config.parent / 'lake'} stands"
    assert watched.said[0][1] == f"{watched.config}: lake: the change has no effect: {stands}"
    # What the file says now is what the flag says.
    watched.config.write_text(json.dumps(settings | {"lake": str(watched.config.parent / "lake")}))
    assert watched.tick() == []


def test_another_lake_needs_a_restart(tmp_path, wirewatch, write_story, lake):
    from pipelines.options import parse_watch
    from pipelines.reload import Configuration

    (tmp_path / "a.txt").write_text(write_story(0))
    config = tmp_path / "monitor.yaml"
    settings = {"lake": str(lake), "sources": [{"path": "a.txt"}]}
    config.write_text(json.dumps(settings))
    configuration = Configuration(parse_watch(["--config", str(config)]))
    config.write_text(json.dumps(settings | {"lake": str(tmp_path / "other")}))
    assert configuration.refresh() is False
    assert configuration.plan.lake == str(lake)


def test_standard_input_is_no_source_to_watch(lake):
    from pipelines.options import parse_watch
    from pipelines.reload import Configuration

    with pytest.raises(UserError, match="standard input"):
        Configuration(parse_watch(["-", "--lake", str(lake)]))


def test_a_lake_that_is_moved_away_is_waited_for(added, articles, lake, tmp_path):
    assert added(0) == ["tick"]
    lake.rename(tmp_path / "elsewhere")
    assert added(1) == ["problem"]
    assert "the lake is not there any more" in added.watched.said[0][1]
    assert not lake.exists()
    # An empty folder, such as a disk is mounted on, is not the lake.
    lake.mkdir()
    assert added.watched.tick() == ["problem"]
    assert list(lake.iterdir()) == []
    lake.rmdir()
    (tmp_path / "elsewhere").rename(lake)
    assert added.watched.tick() == ["recovered", "tick"]
    assert articles() == 2
    assert added.watched.tick() == []


def test_another_lake_in_its_place_gets_what_it_does_not_have(
    added, articles, wirewatch, lake, tmp_path
):
    added(0)
    added(1)
    lake.rename(tmp_path / "elsewhere")
    assert wirewatch("run", added.folder / "1.txt", "--lake", lake).code == 0
    assert added.watched.tick() == ["tick"]
    assert "1 new article" in added.watched.said[0][1]
    assert articles() == articles(tmp_path / "elsewhere") == 2


def test_a_lake_may_be_moved_between_runs(wirewatch, articles, lake, tmp_path, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    assert wirewatch("run", tmp_path / "a.txt", "--lake", lake).code == 0
    moved = tmp_path / "archive" / "lake"
    moved.parent.mkdir()
    shutil.move(lake, moved)
    out = wirewatch("run", tmp_path / "a.txt", "--lake", moved).out
    assert "0 new articles" in out and "1 article already in the lake" in out
    assert articles(moved) == 1
    assert not lake.exists()


@pytest.fixture
def open_place():
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def test_a_lake_that_may_not_be_written_is_named_and_nothing_lost(
    open_place, watch, rows, write_story
):
    lake, inbox = open_place / "lake", open_place / "inbox"
    inbox.mkdir()
    watched = watch(inbox, lake=lake)
    # What is imported late is imported now: another user may not read it.
    (inbox / "a.txt").write_text(write_story(0))
    watched.tick()
    (inbox / "b.txt").write_text(write_story(1))
    for folder in (lake, lake / ".unfinished"):
        folder.chmod(0o555)
    # The superuser may write anywhere.
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        assert "problem" in watched.tick()
        line = watched.said[-1][1]
        assert f"{lake}/.unfinished: cannot be written: permission denied; nothing is lost" in line
    finally:
        if is_root:
            os.seteuid(0)
        for folder in (lake, lake / ".unfinished"):
            folder.chmod(0o755)
    # Who is nobody could not read the configuration either.
    assert [event for event in watched.tick() if event != "config_well"] == ["recovered", "tick"]
    assert {row["source"] for row in rows(lake, "passages")} == {"a.txt", "b.txt"}


def test_an_earlier_letter_of_a_files_page_is_tried_until_it_is_done(
    watch, tmp_path, lake, found, empty_newsroom, site, monkeypatch
):
    """Earlier versions named the file by its path from the current folder."""
    monkeypatch.chdir(tmp_path)
    newsroom = empty_newsroom
    page = newsroom.url("/news/0")
    newsroom.replies["/news/0"] = site.Reply(site.page(0))
    newsroom.fault = lambda path: site.Reply(status=503)
    put_open_letter(lake, "fetch", Entry(page, "Post", feed_url="feed.xml"))
    (tmp_path / "feed.xml").write_text("<rss version='2.0'><channel></channel></rss>")
    watched = watch("feed.xml")
    watched.tick()
    assert found() == {}
    newsroom.fault = lambda path: None
    watched.tick()
    assert found() == {"/news/0": 1}
