import dataclasses
import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import apache_beam as beam
import duckdb
import pandas as pd
import polars as pl
import pyarrow.dataset as ds
import pytest

from schemas.records import DeadLetter, Poll
from schemas.rows import passage_rows
from schemas.tables import ERRORS, PASSAGES, POLLS
from transforms.lake import file_date, put_rows, table_files
from transforms.ledger import Ledger, open_ledger
from transforms.write import WriteClassified, WriteEvents, WritePassages

DAY = datetime(2024, 3, 1, 23, 30, tzinfo=UTC)
LETTER = DeadLetter("read", "/a#1", "desk", "NoLink", "no link", False, 1, None, DAY)
POLL = Poll("https://a.example/f", "desk", 200, None, None, 3, 2, 99, 5, None, DAY)


def put(lake, classified):
    rows = list(passage_rows(classified))
    return put_rows(lake, PASSAGES, DAY.date(), [row["passage_id"] for row in rows], rows)


def row_counts(table):
    """How many rows each reader finds in a table's folder, as its own documentation reads it."""
    return {
        "pyarrow": ds.dataset(table, partitioning="hive").count_rows(),
        "duckdb": duckdb.sql(f"select count(*) from '{table}/**/*.parquet'").fetchall()[0][0],
        "polars": pl.scan_parquet(f"{table}/**/*.parquet").collect().height,
        "pandas": len(pd.read_parquet(table)),
    }


def files(folder):
    found = (p.relative_to(folder) for p in Path(folder).rglob("*") if p.is_file())
    return sorted(path for path in found if path.name != "lock")


def write_all(lake, articles):
    with beam.Pipeline("FnApiRunner") as p:
        p | beam.Create(articles, reshuffle=False) | WritePassages(lake)


def test_passages_are_written_by_date_and_every_reader_counts_the_same(tmp_path, classified):
    articles = [classified(f"https://a.example/{n}", published_at=DAY) for n in range(3)]
    articles.append(classified("https://a.example/undated", topics=None))
    write_all(str(tmp_path), articles)
    folders = [str(file.parent) for file in files(tmp_path)]
    assert folders == ["passages/date=2024-03-01", "passages/date=2024-05-01"]
    assert set(row_counts(tmp_path / "passages").values()) == {8}


def test_a_long_bundle_is_written_soon_and_then_less_often(tmp_path, monkeypatch, classified):
    clock = SimpleNamespace(monotonic=lambda: clock.now, now=0.0)
    monkeypatch.setattr("transforms.write.time", clock)
    write, written = WriteClassified(str(tmp_path)), []
    write.setup()
    write.start_bundle()
    for second in range(100):
        clock.now = float(second)
        before = len(table_files(str(tmp_path), PASSAGES))
        write.process(classified(f"https://a.example/{second}", published_at=DAY))
        if len(table_files(str(tmp_path), PASSAGES)) > before:
            written.append(second)
    write.finish_bundle()
    # What is killed again and again has done something by then; what is not makes few files.
    assert written == [3, 9, 19, 37, 69]
    assert set(row_counts(tmp_path / "passages").values()) == {200}


def test_the_same_articles_in_another_order_give_the_same_files(tmp_path, classified):
    articles = [classified(f"https://a.example/{n}", published_at=DAY) for n in range(4)]
    write_all(str(tmp_path / "one"), articles)
    write_all(str(tmp_path / "two"), articles[::-1])
    write_all(str(tmp_path / "two"), articles)
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert len(files(tmp_path / "one")) == 1
    assert set(row_counts(tmp_path / "two" / "passages").values()) == {8}


def test_what_was_written_is_known_at_once(tmp_path, classified):
    one = classified("https://a.example/1")
    ledger = open_ledger(str(tmp_path))
    assert not ledger.knows_address("https://a.example/1")
    write_all(str(tmp_path), [one])
    assert open_ledger(str(tmp_path)).knows_content(one.split.article)


@pytest.mark.parametrize(("table", "event"), [(ERRORS, LETTER), (POLLS, POLL)])
def test_events_are_written_by_the_date_they_happened_on(pipeline, tmp_path, table, event):
    with pipeline as p:
        p | beam.Create([event]) | WriteEvents(str(tmp_path), table)
    (path,) = table_files(str(tmp_path), table)
    assert file_date(path) == DAY.date()
    (row,) = ds.dataset(path).to_table().to_pylist()
    assert type(event)(**row) == event


def test_a_files_name_depends_on_the_ids_and_not_on_their_order(tmp_path):
    row = dataclasses.asdict(LETTER)
    paths = [
        put_rows(str(tmp_path), ERRORS, DAY.date(), ids, [row])
        for ids in (["a", "b"], ["b", "a"], ["a", "c"])
    ]
    assert paths[0] == paths[1] != paths[2]
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("spelling", ["lake", "./lake", "lake/", "lake//"])
def test_a_lake_is_one_however_its_path_is_spelt(tmp_path, monkeypatch, classified, spelling):
    monkeypatch.chdir(tmp_path)
    path = put(spelling, classified("https://a.example/1"))
    assert table_files(spelling, PASSAGES) == [path] == table_files("lake", PASSAGES)


def test_a_crash_before_the_rename_leaves_nothing_that_a_reader_sees(
    tmp_path, monkeypatch, classified
):
    lake, before = str(tmp_path), {}
    put(lake, classified("https://a.example/1"))

    def crash(source, target):
        # What lies in the lake at this moment is what a power cut would leave.
        before["tables"] = files(tmp_path / "passages")
        before["written"] = Path(source).stat().st_size
        before["counts"] = row_counts(tmp_path / "passages")
        before["listed"] = len(table_files(lake, PASSAGES))
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        put(lake, classified("https://a.example/2"))

    assert len(before["tables"]) == 1 and before["written"] > 0
    assert set(before["counts"].values()) == {2} and before["listed"] == 1
    assert len(files(tmp_path)) == 1


def test_a_ledger_sees_new_replaced_and_removed_files(tmp_path, classified):
    lake = str(tmp_path)
    ledger = Ledger(lake)
    ledger.refresh()
    one, two, three = (classified(f"https://a.example/{n}") for n in (1, 2, 3))

    first = put(lake, one)
    assert not ledger.knows_content(one.split.article)
    ledger.refresh()
    assert ledger.knows_content(one.split.article)

    second = put(lake, two)
    ledger.refresh()
    assert ledger.knows_content(one.split.article) and ledger.knows_content(two.split.article)

    os.replace(second, Path(second).with_name("compacted.parquet"))
    put(lake, three)
    ledger.refresh()
    known = [ledger.knows_address(f"https://a.example/{n}") for n in (1, 2, 3)]
    assert known == [True, True, True]

    os.remove(first)
    ledger.refresh()
    known = [ledger.knows_address(f"https://a.example/{n}") for n in (1, 2, 3)]
    assert known == [False, True, True]


def test_a_ledger_knows_an_address_before_and_after_its_redirect(tmp_path, classified):
    one = classified("https://a.example/after")
    article = dataclasses.replace(one.split.article, url="https://short.example/before")
    split = dataclasses.replace(one.split, article=article)
    put(str(tmp_path), dataclasses.replace(one, split=split))
    ledger = Ledger(str(tmp_path))
    ledger.refresh()
    assert ledger.knows_address("https://short.example/before#x")
    assert ledger.knows_address("https://a.example/after")
    assert not ledger.knows_address("https://a.example/other")
