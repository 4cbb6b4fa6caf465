"""What merged files hold, and how it lies in them."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from schemas.tables import ERRORS, PASSAGES, POLLS
from tests.lakes import DAY, article_rows, put_articles, put_letter, put_poll, unique
from transforms.lake import put_rows, table_files
from transforms.merge import Layout, Unmergeable, merge_files


def read(merged):
    return [row for path in merged.paths for row in pq.ParquetFile(path).read().to_pylist()]


@pytest.fixture
def merge(tmp_path):
    """Merges all files of a table of a lake."""

    def run(lake, table=PASSAGES, layout=None):
        folder = tmp_path / f"aside{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        return merge_files(table, table_files(str(lake), table), folder, layout)

    return run


def many(classified, sources=4, articles=30):
    made = []
    for number in range(sources * articles):
        published = DAY.replace(hour=0) + timedelta(minutes=(number * 37) % 1440)
        made.append(article_rows(classified, number, f"source {number % sources}", published))
    return made


def test_rows_are_sorted_by_source_time_and_position_and_unchanged(tmp_path, classified, merge):
    articles = many(classified)
    undated = article_rows(classified, "undated", "source 1", None)
    for start in range(0, len(articles), 7):
        put_articles(tmp_path / "lake", *articles[start : start + 7])
    put_rows(str(tmp_path / "lake"), PASSAGES, DAY.date(), ["undated"], undated)
    merged = merge(tmp_path / "lake")
    found = read(merged)
    everything = {row["passage_id"]: row for article in [*articles, undated] for row in article}
    assert len(found) == merged.rows == len(everything)
    for row in found:
        expected = everything[row["passage_id"]]
        expected = {**expected, "authors": list(expected["authors"]), "topics": ["nato"]}
        assert row == expected
    keys = [
        (
            row["source"],
            row["published_at"] or row["fetched_at"],
            row["article_id"],
            row["revision"],
            row["position"],
        )
        for row in found
    ]
    assert keys == sorted(keys)


def test_a_query_by_source_and_time_can_pass_over_row_groups(tmp_path, classified, merge):
    articles = many(classified)
    put_articles(tmp_path / "lake", *articles)
    merged = merge(tmp_path / "lake", layout=Layout(group_rows=10))
    (path,) = merged.paths
    meta = pq.read_metadata(path)
    names = [meta.schema.column(n).path for n in range(meta.num_columns)]
    source, time = names.index("source"), names.index("published_at")
    wanted, until = "source 2", DAY.replace(hour=6)
    needed = 0
    for number in range(meta.num_row_groups):
        group = meta.row_group(number)
        assert group.num_rows <= 10
        stats = group.column(source).statistics, group.column(time).statistics
        is_source = stats[0].min <= wanted <= stats[0].max
        needed += is_source and stats[1].min.replace(tzinfo=UTC) <= until
    matching = sum(row["source"] == wanted and row["published_at"] <= until for row in read(merged))
    assert matching >= 10
    assert needed <= matching / 10 + 3 < meta.num_row_groups / 4


def test_files_have_about_one_size_and_an_article_is_never_cut(tmp_path, classified, merge):
    articles = [
        article_rows(classified, n, text="\n".join(f"Line {n} {m}." for m in range(13)))
        for n in range(60)
    ]
    put_articles(tmp_path / "lake", *articles)
    merged = merge(tmp_path / "lake", layout=Layout(file_bytes=20_000, group_rows=40))
    assert len(merged.paths) > 2
    owners = [set(pq.read_table(path)["article_id"].to_pylist()) for path in merged.paths]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 60
    assert all(path.stat().st_size >= 20_000 for path in merged.paths[:-1])
    long = article_rows(classified, "long", text="\n".join("A line." for _ in range(100)))
    put_articles(tmp_path / "long", long, articles[0])
    (path,) = merge(tmp_path / "long", layout=Layout(group_rows=10)).paths
    assert sorted(pq.read_metadata(path).row_group(n).num_rows for n in range(2)) == [13, 100]


@pytest.mark.parametrize("table", [PASSAGES, ERRORS, POLLS], ids=lambda table: table.name)
def test_merged_files_keep_the_documented_schema(tmp_path, classified, merge, table):
    lake = tmp_path / "lake"
    for number in range(3):
        put_articles(lake, article_rows(classified, number))
        put_letter(lake, number)
        put_poll(lake, number)
    before = table_files(str(lake), table)
    (path,) = merge(lake, table).paths
    found = pq.read_schema(path)
    assert found.equals(table.schema)
    assert [field.metadata for field in found] == [field.metadata for field in table.schema]
    assert found.metadata.items() >= pq.read_schema(before[0]).metadata.items()
    assert pq.read_metadata(path).row_group(0).column(0).compression == "ZSTD"


def test_rows_of_an_older_version_keep_it_and_have_nulls(tmp_path, classified, merge):
    younger = ("publisher", "section", "text_from", "modified_at", "published_offset_minutes")
    columns = tuple(column for column in PASSAGES.columns if column.name not in younger)
    older = dataclasses.replace(PASSAGES, version=1, columns=columns)
    rows = [row | {"schema_version": 1} for row in article_rows(classified, 1)]
    rows = [{name: row[name] for name in older.schema.names} for row in rows]
    put_rows(str(tmp_path / "lake"), older, DAY.date(), ["a"], rows)
    put_articles(tmp_path / "lake", article_rows(classified, 2))
    merged = merge(tmp_path / "lake")
    found = {row["schema_version"]: row for row in read(merged)}
    assert found[1]["text_from"] is None and found[PASSAGES.version]["text_from"] == "page"
    schema = pq.read_schema(merged.paths[0])
    assert schema.field("text_from").nullable and not schema.field("text").nullable
    # And once more, from what was merged.
    again = tmp_path / "again"
    again.mkdir()
    second = merge_files(PASSAGES, [str(path) for path in merged.paths], again)
    assert read(second) == read(merged)


def test_what_is_there_twice_is_kept_once(tmp_path, classified, merge):
    lake = tmp_path / "lake"
    one, two = article_rows(classified, 1), article_rows(classified, 2)
    later = [row | {"fetched_at": row["fetched_at"] + timedelta(hours=1)} for row in one]
    # Read again with other limits: the same text, cut otherwise. The two are not to be mixed.
    later[0] |= {"text": "1 One", "end": 5}
    put_articles(lake, later, name="a")
    put_articles(lake, one, two, name="b")
    put_articles(lake, two, two, name="c")
    merged = merge(lake)
    assert merged.dropped == 6
    found = read(merged)
    assert {row["passage_id"] for row in found} == set(unique(one, two))
    assert {row["fetched_at"] for row in found} == {one[0]["fetched_at"]}
    assert len(found) == 4
    for name in ("x", "y"):
        put_letter(lake, 1, name=name)
    put_letter(lake, 1, DAY + timedelta(seconds=1), name="z")
    assert (len(read(merge(lake, ERRORS))), merge(lake, ERRORS).dropped) == (2, 1)


def test_a_day_too_large_for_one_sort_is_sorted_in_goes(tmp_path, classified, merge, monkeypatch):
    articles = many(classified)
    for start in range(0, len(articles), 10):
        put_articles(tmp_path / "lake", *articles[start : start + 10])
    put_articles(tmp_path / "lake", articles[0], name="a copy")
    monkeypatch.setattr("transforms.merge.SORT_BYTES", 30_000)
    merged = merge(tmp_path / "lake")
    assert Counter(row["passage_id"] for row in read(merged)) == unique(*articles)
    assert merged.dropped == 2


def test_a_column_that_is_not_known_is_not_lost(tmp_path, classified, merge):
    path = put_articles(tmp_path / "lake", article_rows(classified, 1))
    table = pq.ParquetFile(path).read()
    pq.write_table(table.append_column("mood", [["glad", "sad"]]), path)
    with pytest.raises(Unmergeable, match="mood: update wirewatch"):
        merge(tmp_path / "lake")


def test_names_with_signs_of_a_pattern_are_names(tmp_path, classified, merge):
    lake = tmp_path / "lake [1]*'?"
    put_articles(lake, article_rows(classified, 1))
    assert merge(lake).rows == 2


def test_a_file_that_is_no_parquet_is_said(tmp_path, classified, merge):
    path = put_articles(tmp_path / "lake", article_rows(classified, 1))
    with open(path, "wb") as file:
        file.write(b"PAR1 but not really")
    with pytest.raises(Unmergeable, match=r"\w"):
        merge(tmp_path / "lake")


def test_a_moment_is_the_same_moment_afterwards(tmp_path, classified, merge):
    moment = datetime(2024, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC)
    put_articles(tmp_path / "lake", article_rows(classified, 1, published=moment))
    assert {row["published_at"] for row in read(merge(tmp_path / "lake"))} == {moment}
