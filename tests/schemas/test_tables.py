import dataclasses
from datetime import UTC, date, datetime

import pyarrow as pa
import pytest

from schemas.document import PAGE, tables_page
from schemas.records import DeadLetter, Poll
from schemas.rows import event_date, passage_rows, passages_date
from schemas.tables import ERRORS, PASSAGES, POLLS, TABLES, stable_id


def test_the_documentation_is_the_one_made_from_the_tables():
    assert PAGE.read_text(encoding="utf-8") == tables_page()


@pytest.mark.parametrize(("record", "table"), [(DeadLetter, ERRORS), (Poll, POLLS)])
def test_a_record_has_a_field_for_each_column(record, table):
    assert [field.name for field in dataclasses.fields(record)] == table.schema.names


def test_each_table_carries_its_name_version_and_the_meaning_of_its_columns():
    for name, table in TABLES.items():
        assert table.schema.metadata[b"wirewatch.table"].decode() == name
        assert table.schema.metadata[b"wirewatch.schema_version"].decode() == str(table.version)
        assert all(field.metadata[b"doc"] for field in table.schema)
        assert "date" not in table.schema.names


@pytest.mark.parametrize("topics", [("nato",), (), None])
def test_the_rows_of_an_article_are_rows_of_the_table(classified, topics):
    rows = list(passage_rows(classified("https://a.example/1", topics=topics)))
    assert all(set(row) == set(PASSAGES.schema.names) for row in rows)

    table = pa.Table.from_pylist(rows, schema=PASSAGES.schema)
    table.validate(full=True)
    first, second = table.to_pylist()

    assert first["topics"] == (None if topics is None else list(topics))
    scores = None if topics is None else [{"topic": "nato", "score": 0.75}]
    assert first["scores"] == scores
    assert (first["position"], second["position"]) == (0, 1)
    assert (first["text"], first["separator"]) == ("One line.", "\n")
    assert (second["start"], second["end"], second["separator"]) == (10, 23, "")
    assert first["authors"] == ["Ada", "Bo"]
    assert first["published_at"] is None
    assert first["fetched_at"] == datetime(2024, 5, 1, 12, tzinfo=UTC)


def test_rows_and_results_must_be_as_many(classified):
    one = classified("https://a.example/1")
    with pytest.raises(ValueError):
        list(passage_rows(dataclasses.replace(one, results=one.results[:1])))


def test_ids_are_the_same_on_every_machine(classified):
    assert stable_id("text", "Same text.") == "1ab72c299a88dd925f2b201edae2b4be"
    rows = list(passage_rows(classified("https://a.example/1")))
    assert rows[0]["article_id"] == "6f43ec913e42728d833148f639d9bfa8"
    assert [row["passage_id"] for row in rows] == [
        "d64ffff1286a7ec4dea43c939a9f9d29",
        "6fd33333daed421851e5e9058b1fff93",
    ]


def test_ids_of_different_parts_differ():
    assert len({stable_id("a", "b"), stable_id("ab"), stable_id("b", "a"), stable_id("a b")}) == 4


def test_partitions_are_utc_dates(classified):
    late = datetime(2024, 3, 1, 23, 59, tzinfo=UTC)
    assert passages_date(late, datetime(2024, 5, 1, tzinfo=UTC)) == date(2024, 3, 1)
    assert passages_date(None, late) == date(2024, 3, 1)
    letter = DeadLetter("read", "/a", None, "E", "m", False, 1, None, late)
    poll = Poll("/f", "s", None, None, None, 0, 0, 0, 0, "e", late)
    assert event_date(letter) == event_date(poll) == date(2024, 3, 1)
