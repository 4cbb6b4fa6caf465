import gzip
import os
import shutil

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Source
from transforms.deadletter import Unusable
from transforms.files import expand_source
from transforms.read import ReadSources


@pytest.mark.parametrize("name", ["plain", "in [brackets]", "star *", "what?"])
def test_a_folder_is_its_files_at_every_depth_but_hidden_ones(tmp_path, name):
    folder = tmp_path / name
    for path in ("b.txt", "deep/a.txt", ".hidden.txt", ".git/c.txt"):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("text")
    found = expand_source(Source(str(folder), lang="en"))
    assert found == [
        Source(str(folder / "b.txt"), lang="en"),
        Source(str(folder / "deep/a.txt"), lang="en"),
    ]


def test_a_glob_is_the_files_it_matches(tmp_path):
    for name in ("a.txt", "b.md", "c.txt"):
        (tmp_path / name).write_text("text")
    found = expand_source(Source(str(tmp_path / "*.txt")))
    assert [source.location for source in found] == [
        str(tmp_path / "a.txt"),
        str(tmp_path / "c.txt"),
    ]


@pytest.mark.parametrize("name", ["missing.txt", "none*.txt", ""])
def test_where_nothing_is_the_source_is_unusable(tmp_path, name):
    with pytest.raises(Unusable) as caught:
        expand_source(Source(str(tmp_path / name)))
    assert caught.value.error_type == "NotFound"


def test_every_file_of_a_folder_is_accounted_for(data, tmp_path, pipeline, http_policy):
    shutil.copy(data / "nested.opml", tmp_path / "list.opml")
    shutil.copy(data / "plain.txt", tmp_path / "plain.txt")
    (tmp_path / "packed.xml").write_bytes(gzip.compress((data / "rss092.xml").read_bytes()))
    (tmp_path / "empty.xml").write_bytes(b"")
    (tmp_path / "broken.rss").write_bytes(b"<rss")
    (tmp_path / "picture.html").write_bytes(b"\x89PNG\0")
    with open(os.fsencode(tmp_path) + b"/\xff.txt", "wb") as file:
        file.write(b"A text.")

    with pipeline as p:
        sources = p | beam.Create([Source(str(tmp_path)), Source(str(tmp_path / "missing"))])
        read = sources | ReadSources(http_policy(), 2, str(tmp_path / "lake"))
        entries = read["entries"] | "Places" >> beam.Map(lambda e: (e.location, e.kind))
        plain = (str(tmp_path / "plain.txt"), "text")
        assert_that(entries, equal_to([("https://valley.example/bridge", None), plain]), "entries")
        listed = read["listed"] | "Feeds" >> beam.Map(lambda source: source.name)
        assert_that(listed, equal_to(["Hill Courier", "Coast Notes"]), "listed")
        polls = read["polls"] | "Polled" >> beam.Map(
            lambda poll: (os.path.basename(poll.feed_url), poll.entries, poll.error is None)
        )
        expected = [("packed.xml", 1, True), ("list.opml", 2, True), ("broken.rss", 0, False)]
        assert_that(polls, equal_to(expected), "polls")
        errors = read["errors"] | "Letters" >> beam.Map(
            lambda letter: (os.path.basename(letter.key), letter.stage, letter.error_type)
        )
        expected = [
            ("list.opml#2", "read", "NoLink"),
            ("empty.xml", "read", "Empty"),
            ("broken.rss", "read", "NotAFeed"),
            ("picture.html", "read", "Binary"),
            (".txt", "read", "BadName"),
            ("missing", "read", "NotFound"),
        ]
        assert_that(errors, equal_to(expected), "errors")
