"""Compaction beside readers and writers, on a disk that exchanges folders."""

import json
import threading
from collections import Counter
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from pipelines.cli import main
from pipelines.query import read_lake
from pipelines.upkeep import LEAST_FILES
from schemas.tables import ERRORS, PASSAGES, POLLS
from tests.lakes import (
    DAY,
    article_rows,
    file_names,
    fill_day,
    glob_rows,
    put_articles,
    relabel,
    unique,
)
from transforms import compact
from transforms.compact import compact_lake
from transforms.lake import day_files, read_table, replace_table
from transforms.storage import lake_lock

NOW = DAY + timedelta(days=2)
TODAY = NOW.date()


def aside(lake):
    """What lies in the hidden folder, but for the locks."""
    return sorted(
        path.name
        for path in (Path(lake) / ".unfinished").iterdir()
        if path.suffix != ".lock" and path.name != "lock"
    )


def test_closed_days_of_every_table_become_one_file(tmp_path, classified):
    articles = fill_day(tmp_path, classified)
    put_articles(tmp_path, article_rows(classified, "today", published=NOW))
    result = compact_lake(str(tmp_path), TODAY)
    assert (result.days, result.files_before, result.files_after) == (3, 12, 3)
    assert (result.rows, result.rows_dropped, result.skipped) == (16, 0, ())
    assert all(len(day_files(str(tmp_path), t, DAY.date())) == 1 for t in (PASSAGES, ERRORS, POLLS))
    assert len(file_names(tmp_path)) == 2
    today = article_rows(classified, "today", published=NOW)
    assert glob_rows(tmp_path) == unique(*articles, today)
    assert sum(glob_rows(tmp_path, "polls", "feed_url").values()) == 4
    assert sum(glob_rows(tmp_path, "errors", "letter_id").values()) == 4
    assert aside(tmp_path) == []
    before = file_names(tmp_path)
    assert compact_lake(str(tmp_path), TODAY).days == 0
    assert file_names(tmp_path) == before


def test_a_watcher_takes_up_days_of_many_small_files(tmp_path, classified):
    lake = str(tmp_path)
    fill_day(tmp_path, classified, LEAST_FILES - 1)
    assert compact_lake(lake, TODAY, LEAST_FILES).days == 0
    put_articles(tmp_path, article_rows(classified, 7))
    assert compact_lake(lake, DAY.date(), LEAST_FILES).days == 0
    assert compact_lake(lake, TODAY, LEAST_FILES).days == 1
    put_articles(tmp_path, article_rows(classified, 8))
    assert compact_lake(lake, TODAY, LEAST_FILES).days == 0
    assert (len(file_names(tmp_path)), len(file_names(tmp_path, POLLS))) == (2, 7)


def test_what_comes_while_a_day_is_merged_is_kept(tmp_path, classified, meanwhile):
    articles = fill_day(tmp_path, classified)
    late = article_rows(classified, "late")
    meanwhile(lambda: put_articles(tmp_path, late))
    compact_lake(str(tmp_path), TODAY)
    assert glob_rows(tmp_path) == unique(*articles, late)
    assert len(file_names(tmp_path)) == 2
    compact_lake(str(tmp_path), TODAY)
    assert glob_rows(tmp_path) == unique(*articles, late)
    assert len(file_names(tmp_path)) == 1


def test_a_file_that_is_replaced_meanwhile_is_merged_as_it_is_now(tmp_path, classified, meanwhile):
    articles = fill_day(tmp_path, classified)
    meanwhile(lambda: relabel(tmp_path, "new model"))
    assert compact_lake(str(tmp_path), TODAY).skipped == ()
    assert glob_rows(tmp_path) == unique(*articles)
    assert glob_rows(tmp_path, key="model") == {"new model": 2, "test 1": 6}


def test_a_day_that_changes_all_the_time_is_left_as_it_is(tmp_path, classified, meanwhile):
    articles = fill_day(tmp_path, classified)
    meanwhile(*[lambda n=n: relabel(tmp_path, f"{n}") for n in range(3)])
    (reason,) = compact_lake(str(tmp_path), TODAY).skipped
    assert reason == "passages of 2024-03-01: its files were replaced while it was compacted"
    assert glob_rows(tmp_path) == unique(*articles)
    assert aside(tmp_path) == []


def test_what_was_compacted_meanwhile_is_not_put_again(tmp_path, classified):
    """A reclassification that read a file before it was merged must not bring it back."""
    articles = fill_day(tmp_path, classified)
    path, mark = next(iter(day_files(str(tmp_path), PASSAGES, DAY.date()).items()))
    rows = read_table(path)
    compact_lake(str(tmp_path), TODAY)
    assert not replace_table(str(tmp_path), path, rows, mark)
    assert glob_rows(tmp_path) == unique(*articles)


def test_a_day_does_not_change_while_a_writer_puts_a_file(tmp_path, classified):
    fill_day(tmp_path, classified)
    with lake_lock(str(tmp_path), shared=True):
        other = threading.Thread(target=compact_lake, args=(str(tmp_path), TODAY))
        other.start()
        other.join(0.5)
        assert other.is_alive() and len(file_names(tmp_path)) == 4
    other.join()
    assert len(file_names(tmp_path)) == 1


def test_of_two_compactions_one_is_refused(tmp_path, classified, capsys):
    fill_day(tmp_path, classified)
    with compact.compaction_lock(str(tmp_path)):
        assert main(["compact", "--lake", str(tmp_path)]) == 2
        assert "another compaction is at work on this lake" in capsys.readouterr().err
    assert main(["compact", "--lake", str(tmp_path)]) == 0


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_readers_of_a_bare_glob_see_every_row_once_at_every_moment(tmp_path, classified):
    """Readers and a writer go on while days are compacted over and over."""
    articles = fill_day(tmp_path, classified, 8)
    fixed, ended, seen = unique(*articles), threading.Event(), Counter()

    def watch():
        pattern = f"{tmp_path}/passages/date=*/*.parquet"
        connection = duckdb.connect()
        while not ended.is_set():
            try:
                ids = connection.sql(f"select passage_id from '{pattern}'").fetchall()
            except duckdb.IOException:
                seen["gone"] += 1  # A file went after it was listed; the reader says so.
                continue
            counts = Counter(row[0] for row in ids)
            seen["wrong"] += any(counts[name] != 1 for name in fixed)
            seen["right"] += 1

    def read_ours():
        sql = "select count(*) - count(distinct passage_id) from passages"
        while not ended.is_set():
            found = read_lake(str(tmp_path), lambda lake: lake.execute(sql).fetchall())
            seen["ours wrong"] += found != [(0,)]

    threads = [threading.Thread(target=target) for target in (watch, read_ours)]
    for thread in threads:
        thread.start()
    for number in range(12):
        put_articles(tmp_path, article_rows(classified, f"more {number}"))
        compact_lake(str(tmp_path), TODAY)
    ended.set()
    for thread in threads:
        thread.join()
    assert seen["right"] > 0
    assert (seen["wrong"], seen["ours wrong"]) == (0, 0)


def test_a_query_outlasts_a_compaction_of_many_days(tmp_path, classified):
    left = [NOW - timedelta(days=25 - n) for n in range(25)]
    for number, day in enumerate(left):
        put_articles(tmp_path, article_rows(classified, f"one {number}", published=day))

    def read(lake):
        if left:
            compact_lake(str(tmp_path), (left.pop(0) + timedelta(days=1)).date())
        return lake.execute("select count(distinct article_id) from passages").fetchone()

    assert read_lake(str(tmp_path), read) == (25,)
    assert not left


def test_the_command_says_what_it_did(tmp_path, classified, capsys):
    lake = tmp_path / "lake"
    articles = fill_day(lake, classified)
    put_articles(lake, articles[0], name="again")
    assert main(["compact", "--lake", str(lake), "--before", "2024-03-01"]) == 0
    assert capsys.readouterr().out == "Nothing to compact.\n"
    assert main(["compact", "--lake", str(lake)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("3 partitions compacted: 13 files are now 3, ")
    assert out.endswith(" 16 rows, 2 were there twice\n")
    path = put_articles(lake, article_rows(classified, "bad"))
    Path(path).write_bytes(b"not parquet")
    assert main(["compact", "--lake", str(lake), "--json"]) == 1
    found = capsys.readouterr()
    assert json.loads(found.out)["days"] == 0
    assert found.err.startswith("wirewatch: not compacted: passages of 2024-03-01: ")
    assert main(["compact", "--lake", str(tmp_path / "gone")]) == 2
    assert not (tmp_path / "gone").exists()
    assert main(["compact", "--lake", "nowhere://lake"]) == 2


def test_a_lake_that_cannot_be_changed_is_said(tmp_path, capsys):
    (tmp_path / ".unfinished").write_text("in the way")
    assert main(["compact", "--lake", str(tmp_path)]) == 2
    assert "the lake cannot be compacted: File exists" in capsys.readouterr().err
