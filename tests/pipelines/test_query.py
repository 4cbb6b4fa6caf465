"""What a query prints and exports, and the views over a lake."""

import csv
import dataclasses
import io
import json
from datetime import UTC, datetime, timedelta

import pyarrow.parquet as pq
import pytest

from pipelines.printout import summary_lines
from pipelines.query import open_lake, write_result
from pipelines.summary import summarise
from schemas.records import DeadLetter
from schemas.rows import passage_rows
from schemas.tables import ERRORS, PASSAGES
from transforms.lake import put_rows

DAY = datetime(2024, 3, 10, 12, tzinfo=UTC)
HOSTILE = [
    "=HYPERLINK(\"//evil.example\")", "+1+1", "-2", "@SUM(A1)", "\t=1", "red\x1b[31m\x9b1m",
    "back\u202ewards\u2066", "a\rb\x07", "<script>alert(1)</script>", "two\nlines", 'quo"te',
]  # fmt: skip
QUERY = "select unnest(?::varchar[]) as text, -1 as number, ['=1'] as list, null as nothing"


def written(form, names=("text", "number", "list", "nothing")):
    import duckdb

    out = io.StringIO()
    sql = QUERY
    for name in names:
        sql = sql.replace(f" as {name}", f' as "{name}"')
    write_result(duckdb.connect().execute(sql, [HOSTILE]), form, out)
    return out.getvalue()


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_nothing_that_acts_on_a_terminal_is_written(form):
    text = written(form)
    assert not set(text) & {"\x1b", "\x9b", "\x07", "\r", "\u202e", "\u2066"}


def test_json_means_what_was_stored():
    rows = json.loads(written("json"))
    assert [row["text"] for row in rows] == HOSTILE
    assert rows[0] == {"text": HOSTILE[0], "number": -1, "list": ["=1"], "nothing": None}


def test_no_cell_of_csv_is_a_formula():
    header, *rows = csv.reader(io.StringIO(written("csv")))
    assert header == ["text", "number", "list", "nothing"]
    texts = [row[0] for row in rows]
    assert texts[:5] == ["'" + text for text in HOSTILE[:5]]
    assert texts[8:] == HOSTILE[8:]
    # A number is one, whatever its sign; a list is text that starts with a bracket.
    assert rows[0][1:] == ["-1", '["=1"]', ""]


URL = "https://example.org/world/2026/02/" + "eu-sanctions-package-baltic-force/" * 3
PASSAGE = "Envoys close in on a package of sanctions. " * 12


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_table_cuts_nothing_and_keeps_a_value_on_one_line(columns, lake, wirewatch, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    for value in (URL, PASSAGE.strip(), "short"):
        for beside in ("", ", date '2024-03-10' as day, 7 as n"):
            sql = f"select '{value}' as found{beside}"
            assert value in wirewatch("query", sql, "--lake", lake).out


def test_a_row_that_fits_is_a_row_of_a_table_and_one_that_does_not_is_a_block(
    lake, wirewatch, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    sql = "select unnest(['short', '{}']) as \"a[b]\", 7 as number"
    lines = wirewatch("query", sql.format("x" * 67), "--lake", lake).out.splitlines()
    assert max(map(len, lines)) == 80 and "\u2502 short " in lines[3]
    lines = wirewatch("query", sql.format("x" * 68), "--lake", lake).out.splitlines()
    assert lines[0].startswith("row 1 ") and lines[3].startswith("row 2 ")
    block = [*lines[1:3], *lines[4:]]
    assert block == ["a[b]    short", "number  7", f"a[b]    {'x' * 68}", "number  7", "2 rows"]


def add_articles(lake, classified, day, lengths, source="Gazette"):
    for number, length in enumerate(lengths):
        one = classified(f"https://{source}.example/{day:%m%d}/{number}", "x" * length)
        article = dataclasses.replace(one.split.article, fetched_at=day, source=source)
        split = dataclasses.replace(one.split, article=article)
        rows = list(passage_rows(dataclasses.replace(one, split=split)))
        put_rows(lake, PASSAGES, day.date(), [row["passage_id"] for row in rows], rows)


def add_errors(lake, day, count, source="Gazette"):
    for number in range(count):
        letter = DeadLetter(
            "extract", f"https://{source}.example/e{number}", source, "NoArticle", "none", False,
            1, None, day, letter_id=f"{source}{number}",
        )  # fmt: skip
        row = dataclasses.asdict(letter)
        put_rows(lake, ERRORS, day.date(), [f"{source}{day}{number}"], [row])


@pytest.fixture
def lake(tmp_path, classified):
    """Two sources over two days; the pages of one give less on the second."""
    path, before = str(tmp_path / "lake"), DAY - timedelta(days=1)
    for source in ("Gazette", "Herald"):
        add_articles(path, classified, before, [900, 1000, 1100] * 4, source)
    add_articles(path, classified, DAY, [300] * 6)
    add_articles(path, classified, DAY, [800] * 6, "Herald")
    add_errors(path, DAY, 2)
    return path


def test_health_sets_a_sources_day_beside_its_earlier_days(lake):
    query = (
        "select pages, text_share, median_chars, earlier_pages, earlier_text_share, "
        "earlier_median_chars from health where source = 'Gazette' order by date"
    )
    assert open_lake(lake).execute(query).fetchall() == [
        (12, 1.0, 1000, 0, None, None),
        (8, 0.75, 300, 12, 1.0, 1000),
    ]


def test_a_source_that_gives_half_of_what_it_did_is_named(lake):
    summary = summarise({}, [], lake, DAY, 1.0)
    assert [drifted["source"] for drifted in summary.drifted_sources] == ["Gazette"]
    assert (
        "  Gazette: text in 75% of 8 pages, was 100%; median length 300, was 1,000"
        in summary_lines(summary)
    )


def test_a_source_without_any_text_is_named(tmp_path, classified):
    lake = str(tmp_path)
    add_articles(lake, classified, DAY - timedelta(days=1), [900] * 12)
    add_errors(lake, DAY, 5)
    (line,) = [x for x in summary_lines(summarise({}, [], lake, DAY, 1.0)) if "Gazette" in x]
    assert line == "  Gazette: text in 0% of 5 pages, was 100%; median length 0, was 900"


def test_files_of_an_earlier_version_have_nulls_for_younger_columns(lake, tmp_path):
    young = {"publisher", "section", "published_offset_minutes", "modified_at"}
    for path in (tmp_path / "lake" / "passages").rglob("*.parquet"):
        table = pq.read_table(path, partitioning=None)
        pq.write_table(table.drop_columns(list(young)), path)
    rows = open_lake(lake).execute(f"select distinct {', '.join(young)} from articles").fetchall()
    assert rows == [(None, None, None, None)]


def test_an_error_that_quotes_a_text_does_not_act_on_the_terminal(lake, wirewatch):
    outcome = wirewatch("query", "select 'red\x1b[31m'::integer", "--lake", lake)
    assert outcome.code == 2
    assert "red[31m" in outcome.err and "\x1b" not in outcome.err


def test_an_unknown_view_is_told_which_there_are(wirewatch, tmp_path):
    (tmp_path / "lake").mkdir()
    outcome = wirewatch("query", "from polled", "--lake", tmp_path / "lake")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "The views are passages, latest_passages, articles, " in outcome.err
    assert "no_polls" not in outcome.err
