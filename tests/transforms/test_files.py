import gzip
import io

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import FileMetadata, FileSystem
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from schemas.records import Entry, Source
from tests.transforms.test_archives import MEMBERS, RECORDS, URLS
from transforms.deadletter import Unusable
from transforms.fetch import fetch_page
from transforms.files import expand_source, read_file
from transforms.lanes import wait_through
from transforms.read import ReadSources


class ShelfFileSystem(FileSystem):
    """Files in memory under shelf://, so that what object stores share is run."""

    files: dict[str, bytes] = {}

    @classmethod
    def scheme(cls):
        return "shelf"

    def open(self, path, mime_type=None, compression_type="auto"):
        if path not in self.files:
            raise OSError(f"{path} is not on the shelf")
        if compression_type == "auto" and path.endswith(".gz"):
            return io.BytesIO(gzip.decompress(self.files[path]))
        return io.BytesIO(self.files[path])

    def _list(self, dir_or_prefix):
        for path, body in self.files.items():
            if path.startswith(dir_or_prefix):
                yield FileMetadata(path, len(body))

    def has_dirs(self):
        return False

    def split(self, path):
        head, _, tail = path.rpartition("/")
        return head, tail

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def exists(self, path):
        return path in self.files

    def size(self, path):
        return len(self.files[path])

    def metadata(self, path):
        return FileMetadata(path, self.size(path))

    def last_updated(self, path):
        return 0.0

    def _unused(self, *arguments, **named):
        raise NotImplementedError

    mkdirs = create = copy = rename = checksum = delete = _unused


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
