"""A file is one source, from whatever folder it is named and whichever way."""

import io
import json

import pytest

from schemas.records import Entry, Source
from tests.lakes import put_open_letter
from transforms.ledger import Letters

# A page that no run may connect to, so that none does.
LINK = "http://127.0.0.1/1"
FEED = f"<rss version='2.0'><channel><item><link>{LINK}</link></item></channel></rss>"


@pytest.fixture
def places(tmp_path):
    """A binary file, a feed and a configuration that names both, each in its own folder."""
    for folder in ("in", "cfg", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "in" / "bin.dat").write_bytes(b"\x7fELF\0\0\0\1")
    (tmp_path / "in" / "feed.xml").write_text(FEED)
    sources = [{"path": "../in/*.dat"}, {"path": "../in/feed.xml"}]
    (tmp_path / "cfg" / "monitor.yaml").write_text(json.dumps({"sources": sources}))
    return tmp_path


@pytest.fixture
def run(wirewatch, places, monkeypatch):
    """Runs a command in one of the folders, over the test's one lake."""

    def run_in(folder: str, *words: object) -> str:
        monkeypatch.chdir(places / folder)
        outcome = wirewatch(*words, "--lake", places / "lake")
        assert outcome.code == 0, outcome.err
        return outcome.out

    return run_in


def placed(rows, places) -> tuple[set, set]:
    """The paths of failed files, with their ids, and the paths of feeds, in the lake."""
    letters = [row for row in rows(places / "lake", "errors") if row["stage"] == "read"]
    assert letters
    files = {(letter["key"], letter["letter_id"]) for letter in letters}
    return files, {poll["feed_url"] for poll in rows(places / "lake", "polls")}


def test_a_configurations_file_has_one_letter_and_one_feed_from_all_folders(run, rows, places):
    run("", "run", "--config", "cfg/monitor.yaml")
    run("cfg", "run", "--config", "monitor.yaml")
    run("elsewhere", "run", "--config", "../cfg/monitor.yaml")
    run("elsewhere", "run", "--config", places / "cfg" / "monitor.yaml")
    files, feeds = placed(rows, places)
    assert [key for key, _ in files] == [str(places / "in" / "bin.dat")]
    assert feeds == {str(places / "in" / "feed.xml")}


def test_a_file_of_the_command_line_has_one_letter_and_one_feed(run, rows, places, monkeypatch):
    run("", "run", "in")
    run("in", "run", "bin.dat", "./feed.xml")
    run("in", "run", "*.dat", ".")
    run("cfg", "run", "../in/bin.dat", "../elsewhere/../in/feed.xml")
    run("cfg", "run", "../in/*")
    monkeypatch.setattr("sys.stdin", io.StringIO("bin.dat\n"))
    run("in", "run", "-")
    files, feeds = placed(rows, places)
    assert [key for key, _ in files] == [str(places / "in" / "bin.dat")]
    assert feeds == {str(places / "in" / "feed.xml")}


def test_a_file_that_is_mended_is_retried_from_another_folder(run, rows, places, write_story):
    run("", "run", "--config", "cfg/monitor.yaml")
    (places / "in" / "bin.dat").write_text(write_story(0))
    out = run("elsewhere", "retry", "--all", "--stage", "read")
    assert "1 new article " in out and "0 dead letters" in out


def test_a_text_is_the_same_article_from_another_folder(run, rows, places, write_story):
    (places / "in" / "a.txt").write_text(write_story(0))
    run("", "run", "in/a.txt")
    before = rows(places / "lake", "passages")
    assert "0 new articles " in run("in", "run", "a.txt")
    assert rows(places / "lake", "passages") == before


def test_the_folders_above_a_glob_are_no_glob(run, rows, places, write_story):
    (places / "[old]").mkdir()
    (places / "[old]" / "a.txt").write_text(write_story(0))
    assert "1 new article " in run("[old]", "run", "*.txt")


def test_a_way_up_from_a_link_leads_where_the_link_does(run, rows, places, write_story):
    (places / "in" / "deep").mkdir()
    (places / "elsewhere" / "link").symlink_to(places / "in" / "deep")
    run("elsewhere", "run", "link/../feed.xml", "link/../bin.dat")
    files, feeds = placed(rows, places)
    assert [key for key, _ in files] == [str(places / "in" / "bin.dat")]
    assert feeds == {str(places / "in" / "feed.xml")}


def test_an_earlier_letter_with_a_path_from_a_folder_is_retried_there(run, places, write_story):
    put_open_letter(places / "lake", "read", Source("in/a.txt"))
    (places / "in" / "a.txt").write_text(write_story(0))
    assert "1 new article " in run("", "retry", "--stage", "read")
    letters = Letters(str(places / "lake"))
    letters.refresh()
    assert letters.all() == []


def test_an_earlier_letter_belongs_to_the_file_that_named_its_page(run, places, newsroom):
    """The page is tried again though its feed lists it no more."""
    page = newsroom.url("/news/9")
    put_open_letter(places / "lake", "fetch", Entry(page, "Post", feed_url="in/feed.xml"))
    config = places / "cfg" / "monitor.yaml"
    content = {"fetch": {"allow_hosts": ["127.0.0.1"], "attempts": 1}, "polls": {"retry_after": 0}}
    config.write_text(json.dumps(content))
    (places / "in" / "feed.xml").write_text(FEED.replace(LINK, newsroom.url("/news/8")))
    assert "2 new articles " in run("", "run", "in/feed.xml", "--config", config)
