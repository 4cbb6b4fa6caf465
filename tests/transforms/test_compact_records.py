"""Compaction by records: on a disk that cannot exchange folders, and on an object store."""

import errno
import platform
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from schemas.tables import POLLS
from tests.lakes import (
    DAY,
    article_rows,
    file_names,
    fill_day,
    glob_rows,
    our_rows,
    put_articles,
    relabel,
    unique,
)
from tests.stores import BucketFileSystem, Killed
from transforms import compact, swap
from transforms.compact import compact_lake
from transforms.replaced import record_paths

TODAY = (DAY + timedelta(days=2)).date()


@pytest.fixture
def no_exchange(monkeypatch):
    """A disk that cannot exchange two folders."""
    monkeypatch.setattr(swap, "exchange_call", lambda one, other: errno.EINVAL)


@pytest.fixture
def bucket(monkeypatch):
    monkeypatch.setattr(BucketFileSystem, "files", {})
    monkeypatch.setattr(BucketFileSystem, "changes_left", None)
    return "bucket://news/lake"


def test_a_disk_without_exchange_is_compacted_by_records(
    tmp_path, classified, no_exchange, meanwhile
):
    articles = fill_day(tmp_path, classified)
    late = article_rows(classified, "late")
    meanwhile(lambda: put_articles(tmp_path, late))
    result = compact_lake(str(tmp_path), TODAY)
    assert (result.days, result.skipped) == (3, ())
    assert glob_rows(tmp_path) == our_rows(tmp_path) == unique(*articles, late)
    assert len(file_names(tmp_path)) == 2
    # A writer that tries its bundle again puts a file of the old name: it is not there twice.
    put_articles(tmp_path, articles[0])
    assert our_rows(tmp_path) == unique(*articles, late)
    compact_lake(str(tmp_path), TODAY)
    assert glob_rows(tmp_path) == unique(*articles, late)


def test_a_replaced_file_is_noticed_without_exchange(tmp_path, classified, no_exchange, meanwhile):
    articles = fill_day(tmp_path, classified)
    meanwhile(lambda: relabel(tmp_path, "new model"))
    compact_lake(str(tmp_path), TODAY)
    assert our_rows(tmp_path) == unique(*articles)
    assert our_rows(tmp_path, key="model") == {"new model": 2, "test 1": 6}


def test_records_go_when_they_are_old(tmp_path, classified, no_exchange):
    lake = str(tmp_path)
    fill_day(tmp_path, classified)
    compact_lake(lake, TODAY)
    assert len(record_paths(lake)) == 3
    compact.clear(lake, datetime.now(UTC) + timedelta(hours=23))
    assert len(record_paths(lake)) == 3
    compact.clear(lake, datetime.now(UTC) + timedelta(hours=25))
    assert record_paths(lake) == ()


def test_a_bucket_is_compacted(bucket, classified):
    articles = fill_day(bucket, classified)
    result = compact_lake(bucket, TODAY)
    assert (result.days, result.files_before, result.files_after) == (3, 12, 3)
    assert our_rows(bucket) == unique(*articles)
    assert sum("/passages/" in path for path in BucketFileSystem.files) == 1


def test_a_compaction_of_a_bucket_that_ends_anywhere_is_made_good(bucket, classified):
    """It is ended before each change of the bucket; our readers never see a difference."""
    articles = fill_day(bucket, classified, 2)
    before = dict(BucketFileSystem.files)
    for step in range(200):
        BucketFileSystem.files.clear()
        BucketFileSystem.files.update(before)
        BucketFileSystem.changes_left = step
        try:
            compact_lake(bucket, TODAY)
            break
        except Killed:
            BucketFileSystem.changes_left = None
        assert our_rows(bucket) == unique(*articles), step
        assert our_rows(bucket, POLLS, "feed_url").total() == 2, step
        assert compact_lake(bucket, TODAY).skipped == ()
        assert our_rows(bucket) == unique(*articles), step
        tables = Counter(path.split("/")[4] for path in BucketFileSystem.files)
        assert [tables[table] for table in ("passages", "errors", "polls")] == [1, 1, 1], step
        assert not [path for path in BucketFileSystem.files if ".pending." in path]
    assert step >= 15


def test_a_day_that_another_machine_compacts_is_left_to_it(bucket, classified, monkeypatch):
    articles = fill_day(bucket, classified)
    name = platform.node()
    monkeypatch.setattr(platform, "node", lambda: "other")
    BucketFileSystem.changes_left = 2
    with pytest.raises(Killed):
        compact_lake(bucket, TODAY)
    BucketFileSystem.changes_left = None
    monkeypatch.setattr(platform, "node", lambda: name)
    found = compact_lake(bucket, TODAY)
    assert found.days == 2
    assert found.skipped == ("passages of 2024-03-01: a compaction on other is at work on it",)
    assert our_rows(bucket) == unique(*articles)
