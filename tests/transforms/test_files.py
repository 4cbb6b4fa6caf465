import gzip

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Entry, Source
from tests.stores import ShelfFileSystem
from tests.transforms.test_archives import MEMBERS, RECORDS, URLS
from transforms.deadletter import Unusable
from transforms.fetch import fetch_page
from transforms.files import expand_source, read_file
from transforms.lanes import wait_through
from transforms.read import ReadSources


@pytest.fixture
def shelf(monkeypatch):
    files = {
        "shelf://news/a.txt": b"One article.",
        "shelf://news/deep/b.txt.gz": gzip.compress(b"Another."),
        "shelf://news/crawl.warc.gz": b"".join(MEMBERS),
        "shelf://news/.hidden": b"x",
    }
    monkeypatch.setattr(ShelfFileSystem, "files", files)
    return files


def test_folders_and_globs_of_an_object_store_are_their_files(shelf):
    found = {source.location for source in expand_source(Source("shelf://news/"))}
    assert found == {path for path in shelf if "hidden" not in path}
    assert len(expand_source(Source("shelf://news/*.txt"))) == 1
    with pytest.raises(Unusable):
        expand_source(Source("shelf://other/*"))


def test_files_of_an_object_store_are_read_within_the_limit(shelf):
    assert read_file("shelf://news/deep/b.txt.gz", 100) == b"Another."
    with pytest.raises(Unusable, match="over 3 bytes"):
        read_file("shelf://news/a.txt", 3)
    with pytest.raises(Unusable) as caught:
        read_file("shelf://news/missing", 3)
    assert caught.value.retryable


def test_an_archive_on_an_object_store_is_read_by_place(shelf, pipeline, http_policy, tmp_path):
    archive = "shelf://news/crawl.warc.gz"
    with pipeline as p:
        sources = p | beam.Create([Source(archive)])
        read = sources | ReadSources(http_policy(), 2, str(tmp_path))
        places = read["entries"] | beam.Map(lambda entry: (entry.location, entry.archive))
        assert_that(places, equal_to([(url, archive) for url in URLS]), "entries")
        polls = read["polls"] | "Polled" >> beam.Map(lambda poll: (poll.entries, poll.bytes))
        assert_that(polls, equal_to([(4, len(shelf[archive]))]), "polls")
    entry = Entry(URLS[2], "crawl", archive=archive, offset=sum(map(len, MEMBERS[:2])))
    page = wait_through(fetch_page(entry, http_policy()))
    assert (page.url, page.body) == (URLS[2], f"<p>{URLS[2]}</p>".encode())


@pytest.mark.parametrize("parts", [RECORDS, MEMBERS], ids=["plain", "gzip"])
def test_an_archive_on_the_web_is_asked_for_once(
    httpserver, http_policy, tmp_path, parts, pipeline
):
    httpserver.expect_request("/crawl").respond_with_data(b"".join(parts), content_type="x/y")
    archive = httpserver.url_for("/crawl")
    with pipeline as p:
        sources = p | beam.Create([Source(archive)])
        read = sources | ReadSources(http_policy(), 2, str(tmp_path))
        bodies = read["entries"] | beam.Map(
            lambda entry: wait_through(fetch_page(entry, http_policy())).body
        )
        assert_that(bodies, equal_to([f"<p>{url}</p>".encode() for url in URLS]))
    assert len(httpserver.log) == 1


@pytest.mark.parametrize(("name", "kind"), [("/crawl.warc.gz", None), ("/crawl", "warc")])
def test_an_archive_on_the_web_may_be_larger_than_a_page(
    httpserver, http_policy, tmp_path, name, kind, pipeline
):
    body = b"".join(MEMBERS)
    httpserver.expect_request(name).respond_with_data(body, content_type="x/y")
    policy = http_policy(max_bytes=len(body) // 2)
    with pipeline as p:
        sources = p | beam.Create([Source(httpserver.url_for(name), kind=kind)])
        read = sources | ReadSources(policy, 2, str(tmp_path))
        bodies = read["entries"] | beam.Map(
            lambda entry: wait_through(fetch_page(entry, policy)).body
        )
        assert_that(bodies, equal_to([f"<p>{url}</p>".encode() for url in URLS]))
    assert len(httpserver.log) == 1


def test_an_archive_on_the_web_has_a_limit_of_its_own(httpserver, http_policy, tmp_path):
    httpserver.expect_request("/crawl.warc.gz").respond_with_data(b"".join(MEMBERS))
    policy = http_policy(max_archive_bytes=100)
    with TestPipeline("FnApiRunner") as p:
        sources = p | beam.Create([Source(httpserver.url_for("/crawl.warc.gz"))])
        read = sources | ReadSources(policy, 2, str(tmp_path))
        types = read["errors"] | beam.Map(lambda letter: letter.error_type)
        assert_that(types, equal_to(["TooLarge"]))
