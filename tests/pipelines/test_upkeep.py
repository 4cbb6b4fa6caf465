"""What a watcher does for its lake between ticks."""

import json
import logging
import threading

from pipelines.upkeep import Upkeep
from tests.lakes import article_rows, glob_rows, put_articles


def test_a_watcher_compacts_days_of_many_small_files_and_says_so(tmp_path, classified, caplog):
    for number in range(8):
        put_articles(tmp_path, article_rows(classified, number))
    before = glob_rows(tmp_path)
    caplog.set_level(logging.INFO, "wirewatch")
    upkeep = Upkeep(threading.Event())
    upkeep.after_tick(str(tmp_path))
    assert [record.getMessage() for record in caplog.records] == [
        "8 files of 1 partition are now 1"
    ]
    assert glob_rows(tmp_path) == before
    assert len(list(tmp_path.glob("passages/date=*/*.parquet"))) == 1
    for number in range(8, 16):
        put_articles(tmp_path, article_rows(classified, number))
    upkeep.after_tick(str(tmp_path))  # Not again so soon.
    assert len(list(tmp_path.glob("passages/date=*/*.parquet"))) == 9


def test_a_stop_ends_a_compaction(tmp_path, classified, caplog):
    for number in range(8):
        put_articles(tmp_path, article_rows(classified, number))
    stop = threading.Event()
    upkeep = Upkeep(stop)
    stop.set()
    upkeep.after_tick(str(tmp_path))
    assert caplog.records == []
    assert len(list(tmp_path.glob("passages/date=*/*.parquet"))) == 8


def test_only_days_with_so_many_files_are_compacted(tmp_path, classified, wirewatch):
    for number in range(3):
        put_articles(tmp_path, article_rows(classified, number))
    words = ("compact", "--lake", tmp_path, "--json", "--least")
    assert json.loads(wirewatch(*words, 4).out)["days"] == 0
    assert json.loads(wirewatch(*words, 3).out)["days"] == 1
