"""One lake, the same answers from every reader."""

import base64
import csv
import dataclasses
import io
import json
import unicodedata
from datetime import UTC, datetime

import duckdb
import pandas
import polars
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet
import pytest

from schemas.records import Check
from schemas.tables import CHECKS, ERRORS, PASSAGES, POLLS, TABLES, stable_id
from transforms.lake import put_rows

KEY = {"passages": "passage_id", "errors": "key", "polls": "feed_url", "checks": "url"}


def by_duckdb(folder):
    found = duckdb.sql(f"from read_parquet('{folder}/date=*/*.parquet', hive_partitioning = true)")
    return found.to_arrow_table().to_pylist()


def by_pyarrow(folder):
    return pyarrow.dataset.dataset(folder, partitioning="hive").to_table().to_pylist()


def by_polars(folder):
    return polars.scan_parquet(folder, hive_partitioning=True).collect().to_dicts()


def by_pandas(folder):
    frame = pandas.read_parquet(folder, dtype_backend="pyarrow")
    return pa.Table.from_pandas(frame, preserve_index=False).to_pylist()


READERS = {"duckdb": by_duckdb, "pyarrow": by_pyarrow, "polars": by_polars, "pandas": by_pandas}


@pytest.fixture(scope="module", autouse=True)
def check(lake):
    """A look at an article that was withdrawn, as a later run puts it into the lake."""
    now, url = datetime.now(UTC), "https://a.example/1"
    check = Check(stable_id("a"), url, "desk", None, now, 404, None, None, None, False, "HTTP 404")
    put_rows(str(lake), CHECKS, now.date(), [url], [dataclasses.asdict(check)])


@pytest.fixture(scope="module")
def files(lake):
    """The Parquet files of each table."""
    return {name: sorted((lake / name).rglob("*.parquet")) for name in TABLES}


@pytest.fixture
def query(wirewatch, lake):
    """Asks ``wirewatch query`` and gives what it prints."""

    def ask(sql: str, form: str = "json") -> str:
        outcome = wirewatch("query", sql, "--lake", lake, "--format", form)
        assert outcome.code == 0, outcome.err
        return outcome.out

    return ask


def normal(found: list[dict], table: str) -> list[dict]:
    """Rows in one order, the partition as text: readers differ in the type they give it."""
    shown = [{**row, "date": str(row["date"])[:10]} for row in found]
    return sorted(shown, key=lambda row: row[KEY[table]])


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("reader", READERS)
def test_every_reader_finds_what_the_files_hold(reader, table, lake, files):
    expected = []
    for file in files[table]:
        day = file.parent.name.removeprefix("date=")
        for row in pyarrow.parquet.ParquetFile(file).read().to_pylist():
            expected.append({**row, "date": day})
    assert expected
    assert normal(READERS[reader](lake / table), table) == normal(expected, table)


@pytest.mark.parametrize("table", TABLES)
def test_the_views_of_query_hold_the_same_rows(table, query, lake):
    rows = json.loads(query(f"from {table}"))
    expected = by_pyarrow(lake / table)
    moments = [field.name for field in TABLES[table].schema if pa.types.is_timestamp(field.type)]
    binary = [field.name for field in TABLES[table].schema if pa.types.is_binary(field.type)]
    for row in rows:
        for name in moments:
            row[name] = row[name] and datetime.fromisoformat(row[name])
        for name in binary:
            row[name] = row[name] and base64.b64decode(row[name])
    assert normal(rows, table) == normal(expected, table)


def test_the_readers_count_the_same_hits_by_day(query, lake):
    folder, hive = lake / "passages", "hive_partitioning = true, hive_types = {date: date}"
    dataset = pyarrow.dataset.dataset(folder, partitioning="hive").to_table(["date", "topics"])
    frame = pandas.read_parquet(folder)
    lazy = polars.scan_parquet(folder, hive_partitioning=True)
    sql = "select date::varchar, count(*) from {} where len(topics) > 0 group by 1 order by 1"
    counts = {
        "duckdb": duckdb.sql(sql.format(f"read_parquet('{folder}/**/*.parquet', {hive})")),
        "query": csv.reader(io.StringIO(query(sql.format("passages"), "csv"))),
    }
    expected = dict(counts["duckdb"].fetchall())
    assert sum(expected.values()) > 0
    assert {day: int(n) for day, n in list(counts["query"])[1:]} == expected
    hit = [row["date"] for row in dataset.to_pylist() if row["topics"]]
    assert {day: hit.count(day) for day in hit} == expected
    hit = frame[frame["topics"].map(len) > 0].groupby("date", observed=True).size()
    assert {str(day): n for day, n in hit.items()} == expected
    hit = lazy.filter(polars.col("topics").list.len() > 0).group_by("date").len().collect()
    assert {str(day): n for day, n in hit.iter_rows()} == expected


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_file_has_the_schema_of_its_table(table, files):
    for file in files[table.name]:
        schema = pyarrow.parquet.read_schema(file)
        assert schema.equals(table.schema)
        assert schema.metadata[b"wirewatch.schema_version"] == str(table.version).encode()
        assert "date" not in schema.names


def test_moments_are_utc_microseconds_and_lists_are_lists():
    utc = pa.timestamp("us", tz="UTC")
    schema = PASSAGES.schema
    assert schema.field("published_at").type == schema.field("fetched_at").type == utc
    assert ERRORS.schema.field("occurred_at").type == POLLS.schema.field("polled_at").type == utc
    assert schema.field("authors").type == schema.field("topics").type == pa.list_(pa.string())
    score = pa.struct([("topic", pa.string()), ("score", pa.float32())])
    assert schema.field("scores").type == pa.list_(score)


def test_every_column_is_zstd(files):
    for file in [path for paths in files.values() for path in paths]:
        metadata = pyarrow.parquet.read_metadata(file)
        assert metadata.num_rows > 0
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                assert metadata.row_group(group).column(column).compression == "ZSTD"


def test_duckdb_and_polars_see_the_types(lake):
    folder = lake / "passages"
    relation = duckdb.sql(f"from read_parquet('{folder}/*/*.parquet', hive_partitioning = true)")
    types = dict(zip(relation.columns, map(str, relation.types), strict=True))
    assert types["published_at"] == types["fetched_at"] == "TIMESTAMP WITH TIME ZONE"
    assert types["topics"] == "VARCHAR[]"
    assert types["scores"] == "STRUCT(topic VARCHAR, score FLOAT)[]"
    schema = polars.scan_parquet(folder, hive_partitioning=True).collect_schema()
    assert schema["published_at"] == polars.Datetime("us", "UTC")
    assert schema["topics"] == polars.List(polars.String)
    score = polars.Struct({"topic": polars.String, "score": polars.Float32})
    assert schema["scores"] == polars.List(score)


def test_articles_has_one_row_an_article_with_its_text(query, lake):
    articles = json.loads(query("from articles"))
    texts, passages = {}, by_pyarrow(lake / "passages")
    for row in sorted(passages, key=lambda row: row["position"]):
        texts[row["article_id"]] = texts.get(row["article_id"], "") + row["text"] + row["separator"]
    assert {row["article_id"]: row["text"] for row in articles} == texts
    assert len(articles) == len(texts)
    assert sum(row["passages"] for row in articles) == len(passages)
    for row in articles:
        own = [passage for passage in passages if passage["article_id"] == row["article_id"]]
        assert row["topics"] == sorted({topic for passage in own for topic in passage["topics"]})


def test_csv_is_read_back_by_a_csv_reader(query):
    sql = "select title, published_at, topics, text from passages order by passage_id"
    as_json, as_csv = json.loads(query(sql)), csv.DictReader(io.StringIO(query(sql, "csv")))
    read_back = [
        {**row, "topics": json.loads(row["topics"]), "published_at": row["published_at"] or None}
        for row in as_csv
    ]
    assert read_back == as_json


def test_an_empty_result_is_empty_in_every_form(query):
    sql = "select title, date from passages where false"
    assert json.loads(query(sql)) == []
    assert query(sql, "csv") == "title,date\n"
    assert query(sql, "table").splitlines()[-1] == "0 rows"


def test_the_table_shows_every_row(query, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    sql = "select distinct canonical_url, title from passages order by 1"
    shown, expected = query(sql, "table"), json.loads(query(sql))
    assert f"{len(expected)} rows" in shown
    assert all(row["canonical_url"] in shown and row["title"] in shown for row in expected)


@pytest.mark.parametrize(
    "sql",
    [
        "select title, text from passages where feed_url like '%feed.json'",
        r"select e'\x1b[31mred\x07\r\n' || chr(8238) || chr(155) || 'x' as made",
        r"select [e'\x1b]0;t\x07'] as listed, {'k': chr(27) || '[2J'} as struct",
        'select 1 as "a\x1b[31mb\u202e"',
        "select payload_head from errors where error_type = 'Binary'",
    ],
)
def test_no_control_character_reaches_the_table(sql, query):
    shown = query(sql, "table").replace("\n", "")
    assert shown.endswith("row") or shown.endswith("rows")
    assert [char for char in shown if unicodedata.category(char) in ("Cc", "Cf", "Cs")] == []


def test_titles_are_stored_without_control_characters(query):
    titles = json.loads(query("select distinct title from passages where title like '%Red%'"))
    assert titles == [{"title": "[31mRed alert here"}]


def test_a_lake_without_tables_has_empty_views(wirewatch, tmp_path):
    sql = "select (select count(*) from {}) n, (select count(*) from articles) m"
    for table in TABLES:
        outcome = wirewatch("query", sql.format(table), "--lake", tmp_path, "--format", "json")
        assert json.loads(outcome.out) == [{"n": 0, "m": 0}]


def test_moments_are_printed_in_utc(query):
    sql = "select distinct published_at from passages where title = 'Late at night'"
    moment = datetime(2024, 3, 2, 4, 30, tzinfo=UTC)
    assert json.loads(query(sql)) == [{"published_at": moment.isoformat()}]
    assert query(sql, "csv") == f"published_at\n{moment.isoformat()}\n"
