"""Lakes for tests: rows put into them, and readers that know nothing of us."""

import dataclasses
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow.dataset as ds

from schemas.records import Check, DeadLetter, Poll
from schemas.rows import passage_rows, passages_date
from schemas.tables import CHECKS, ERRORS, PASSAGES, POLLS, stable_id
from transforms.deadletter import Unusable, dead_letter
from transforms.lake import day_files, put_rows, read_table, replace_table, table_files
from transforms.urls import address_id

DAY = datetime(2024, 3, 1, 8, tzinfo=UTC)


def article_rows(classified, number, source="desk", published=DAY, text="One.\nTwo."):
    """The rows of an article of a source; numbers make articles."""
    one = classified(f"https://a.example/{number}", f"{number} {text}", published)
    article = dataclasses.replace(one.split.article, source=source)
    return list(
        passage_rows(
            dataclasses.replace(one, split=dataclasses.replace(one.split, article=article))
        )
    )


def put_articles(lake, *articles, name=None):
    """Puts articles into one file of the first one's day."""
    rows = [row for article in articles for row in article]
    day = (rows[0]["published_at"] or rows[0]["fetched_at"]).date()
    ids = [name] if name else [row["passage_id"] for row in rows]
    return put_rows(str(lake), PASSAGES, day, ids, rows)


def put_poll(lake, number, day=DAY):
    poll = Poll(f"https://a.example/{number}", "desk", 200, None, None, 3, 2, 99, 5, None, day)
    return put_rows(str(lake), POLLS, day.date(), [str(number)], [dataclasses.asdict(poll)])


def put_letter(lake, number, day=DAY, name=""):
    key = f"https://a.example/{number}"
    letter = DeadLetter("fetch", key, None, "Gone", "gone", True, 1, None, day, str(number))
    row = dataclasses.asdict(letter) | {"content": b"\x00x"}
    return put_rows(str(lake), ERRORS, day.date(), [f"{number}{name}"], [row])


def put_open_letter(lake, stage, given):
    """Puts the open letter of a source or entry, which is to be tried again."""
    error = Unusable("Http503", "HTTP 503", retryable=True)
    letter = dead_letter(stage, given.location, None, error, given=given)
    row = dataclasses.asdict(letter)
    return put_rows(str(lake), ERRORS, letter.occurred_at.date(), [letter.letter_id], [row])


def put_revision(lake, made, moment, **changed):
    """Puts a classified article as it was read at a moment, with other fields of the article."""
    article = dataclasses.replace(made.split.article, fetched_at=moment, **changed)
    made = dataclasses.replace(made, split=dataclasses.replace(made.split, article=article))
    rows = list(passage_rows(made))
    day = passages_date(article.published_at, moment)
    return put_rows(str(lake), PASSAGES, day, [row["passage_id"] for row in rows], rows)


def put_look(lake, url, text, moment, **changed):
    """Puts a look at an article that saw a text, or none."""
    seen = text and stable_id("text", text)
    look = Check(address_id(url), url, "desk", None, moment, 200, None, None, seen, True)
    row = dataclasses.asdict(dataclasses.replace(look, **changed))
    return put_rows(str(lake), CHECKS, moment.date(), [f"{url} {moment}"], [row])


def fill_day(lake, classified, files=4):
    """Fills a lake with one day of several files in each table, and returns the articles."""
    articles = [article_rows(classified, n) for n in range(files)]
    for number, article in enumerate(articles):
        put_articles(lake, article)
        put_poll(lake, number)
        put_letter(lake, number)
    return articles


def file_names(lake, table=PASSAGES):
    """The names of a table's files."""
    return [Path(path).name for path in table_files(str(lake), table)]


def relabel(lake, label):
    """Replaces the first file as reclassify does."""
    path, mark = next(iter(day_files(str(lake), PASSAGES, DAY.date()).items()))
    rows = read_table(path)
    models = [[label] * rows.num_rows]
    rows = rows.set_column(rows.schema.names.index("model"), rows.schema.field("model"), models)
    return replace_table(str(lake), path, rows, mark)


def glob_rows(lake, table="passages", key="passage_id"):
    """The rows of a table as DuckDB and pyarrow find them by a bare glob, which must agree."""
    pattern = f"{lake}/{table}/date=*/*.parquet"
    found = duckdb.sql(f"select {key} from read_parquet('{pattern}', union_by_name = true)")
    counts = Counter(row[0] for row in found.fetchall())
    files = ds.dataset(Path(lake) / table, partitioning="hive")
    assert Counter(files.to_table(columns=[key])[key].to_pylist()) == counts
    return counts


def our_rows(lake, table=PASSAGES, key="passage_id"):
    """The rows of a table as our own readers find them."""
    return Counter(
        value
        for path in table_files(str(lake), table)
        for value in read_table(path, [key])[key].to_pylist()
    )


def unique(*articles):
    return Counter(row["passage_id"] for article in articles for row in article)
