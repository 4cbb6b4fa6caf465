"""A ledger follows a lake that is written, compacted, moved and emptied, beside plain sets."""

import dataclasses
import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from schemas.rows import passage_rows
from schemas.tables import PASSAGES
from tests.lakes import put_articles
from transforms import known, tail
from transforms import ledger as ledger_module
from transforms.compact import compact_lake
from transforms.known import KnownIds
from transforms.lake import day_files, table_files
from transforms.ledger import Ledger, LedgerPolicy

TODAY = datetime.now(UTC).replace(hour=12)
# The window of the test is 10 days: some of these lie before it.
AGES = (1, 2, 15, 16)
NUMBERS = range(5)


def made(classified, number, age, text="A text."):
    one = classified(
        f"https://a.example/{number}/{age}", f"{number} {text}", TODAY - timedelta(age)
    )
    article = dataclasses.replace(one.split.article, url=f"https://short.example/{number}/{age}")
    return dataclasses.replace(one, split=dataclasses.replace(one.split, article=article))


class LedgerMachine(RuleBasedStateMachine):
    """The model is ``files``: the numbers and ages of the articles in each file, by path."""

    def __init__(self):
        super().__init__()
        self.lake = tempfile.mkdtemp()
        self.files: dict[str, set[tuple[int, int]]] = {}
        self.ledger = Ledger(self.lake, LedgerPolicy(look_back_days=10))

    def teardown(self):
        shutil.rmtree(self.lake)

    @rule(numbers=st.sets(st.sampled_from(NUMBERS), min_size=1), age=st.sampled_from(AGES))
    def write(self, numbers, age):
        rows = [list(passage_rows(made(self.classified, n, age))) for n in sorted(numbers)]
        path = put_articles(self.lake, *rows)
        self.files[path] = {(number, age) for number in numbers}

    @rule()
    def refresh(self):
        self.ledger.refresh()

    @rule(least=st.integers(1, 3))
    def compact(self, least):
        compact_lake(self.lake, (TODAY + timedelta(days=1)).date(), least)
        merged: dict[str, set[tuple[int, int]]] = {}
        for path, articles in self.files.items():
            merged.setdefault(str(Path(path).parent), set()).update(articles)
        self.files = {
            path: self.files.get(path) or merged[str(Path(path).parent)]
            for path in table_files(self.lake, PASSAGES)
        }

    @rule(data=st.data())
    def remove(self, data):
        if self.files:
            path = data.draw(st.sampled_from(sorted(self.files)))
            Path(path).unlink()
            del self.files[path]

    @rule()
    def empty(self):
        shutil.rmtree(Path(self.lake, "passages"), ignore_errors=True)
        self.files = {}

    @invariant()
    def it_knows_what_the_lake_has(self):
        self.ledger.refresh()
        there = set().union(*self.files.values())
        for age in AGES:
            for number in NUMBERS:
                article = made(self.classified, number, age).split.article
                other = made(self.classified, number, age, "Other.").split.article
                is_there = (number, age) in there
                assert self.ledger.knows_article(article) == is_there
                assert self.ledger.knows_content(article) == any(
                    (number, each) in there and (each < 10 or each == age) for each in AGES
                )
                assert not self.ledger.knows_content(other)
                for url in (article.url, article.canonical_url):
                    assert self.ledger.knows_address(url) == (is_there and age < 10)


@pytest.mark.parametrize("limit", [3, 50_000], ids=["sorted in", "as they come"])
def test_a_ledger_knows_what_plain_sets_do(classified, monkeypatch, limit):
    monkeypatch.setattr(known, "NEW_IDS", limit)
    run_state_machine_as_test(
        type("Machine", (LedgerMachine,), {"classified": staticmethod(classified)}),
        settings=settings(
            max_examples=6,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_what_is_compacted_is_neither_forgotten_nor_read_again(tmp_path, classified, monkeypatch):
    lake, articles = str(tmp_path), [made(classified, n, 1) for n in range(4)]
    for one in articles[:3]:
        put_articles(lake, list(passage_rows(one)))
    ledger = Ledger(lake)
    ledger.refresh()
    read, first_rows = [], ledger_module.first_rows
    monkeypatch.setattr(
        ledger_module, "first_rows", lambda path: read.append(path) or first_rows(path)
    )
    tomorrow = (TODAY + timedelta(days=1)).date()
    compact_lake(lake, tomorrow)
    ledger.refresh()
    assert read == []
    # One that comes and is compacted between two looks is read.
    put_articles(lake, list(passage_rows(articles[3])))
    compact_lake(lake, tomorrow)
    ledger.refresh()
    assert read == table_files(lake, PASSAGES)
    assert all(ledger.knows_article(one.split.article) for one in articles)


def test_files_that_are_compacted_while_they_are_read_are_read_after_all(
    tmp_path, classified, monkeypatch
):
    lake, one = str(tmp_path), made(classified, 1, 1)
    put_articles(lake, list(passage_rows(one)))
    listed, done = tail.table_files, []

    def list_then_compact(*arguments):
        paths = listed(*arguments)
        if not done:
            done.append(compact_lake(lake, (TODAY + timedelta(days=1)).date()).days)
        return paths

    monkeypatch.setattr(tail, "table_files", list_then_compact)
    ledger = Ledger(lake)
    ledger.refresh()
    assert done == [1]
    assert ledger.knows_article(one.split.article)


def test_reading_outlasts_a_compaction_of_many_days(tmp_path, classified, monkeypatch):
    lake, articles = str(tmp_path), [made(classified, n, 20 - n) for n in range(10)]
    for one in articles:
        put_articles(lake, list(passage_rows(one)))
    listed, left = tail.table_files, [TODAY - timedelta(days=19 - n) for n in range(10)]

    def list_then_compact_a_day(*arguments):
        paths = listed(*arguments)
        if left:
            compact_lake(lake, left.pop(0).date())
        return paths

    monkeypatch.setattr(tail, "table_files", list_then_compact_a_day)
    ledger = Ledger(lake)
    ledger.refresh()
    assert not left
    assert all(ledger.knows_article(one.split.article) for one in articles)


def test_a_day_before_the_window_is_looked_up_though_it_was_compacted(tmp_path, classified):
    lake, one = str(tmp_path), made(classified, 1, 15)
    put_articles(lake, list(passage_rows(one)))
    ledger = Ledger(lake, LedgerPolicy(look_back_days=10))
    ledger.refresh()
    compact_lake(lake, TODAY.date())
    assert ledger.knows_content(one.split.article)
    late = made(classified, 2, 15)
    assert not ledger.knows_content(late.split.article)
    ledger.add(late.split.article, put_articles(lake, list(passage_rows(late))))
    assert ledger.knows_content(late.split.article)
    assert len(day_files(lake, PASSAGES, (TODAY - timedelta(15)).date())) == 2


def test_an_id_of_two_days_is_known_until_both_are_gone():
    ids = KnownIds()
    for day in (5, 6):
        ids.add(7, day)
    assert 7 in ids.without({5}, 0) and 7 in ids.without(set(), 6)
    assert 7 not in ids.without({5, 6}, 0) and 8 not in ids
