"""The judge of the soak: what it must notice in a lake made by hand."""

import dataclasses
from datetime import timedelta

import pytest

from schemas.rows import passage_rows, passages_date
from schemas.tables import CHECKS, PASSAGES
from tests.soak.newsroom import Published
from tests.soak.reader import Reader, by_duckdb, by_pyarrow
from tests.soak.tally import check_files, judge, judge_query, read_looks, read_rows
from tests.soak.torment import WIREWATCH
from transforms.check import article_check
from transforms.lake import put_rows

URLS = ("https://a.example/1", "https://a.example/2")
TEXTS = ("First of one.\nSecond of one.", "First of one.\nNew second of one.")
OTHER = "First of two.\nSecond of two."


def fetched(made, minutes):
    """An article as it is when it was fetched so many minutes later."""
    article = made.split.article
    later = dataclasses.replace(article, fetched_at=article.fetched_at + timedelta(minutes=minutes))
    return dataclasses.replace(made, split=dataclasses.replace(made.split, article=later))


@pytest.fixture
def put(tmp_path, classified):
    """Puts an article into the lake, fetched some minutes after noon; returns its rows."""

    def put_article(url, text, minutes, change=lambda rows: rows):
        made = fetched(classified(url, text), minutes)
        later = made.split.article
        rows = change(list(passage_rows(made)))
        day = passages_date(later.published_at, later.fetched_at)
        put_rows(str(tmp_path), PASSAGES, day, [f"{url} {minutes}"], rows)
        return rows

    return put_article


@pytest.fixture
def whole(put):
    """A lake that is right: an article with two revisions, and one with one."""
    put(URLS[0], TEXTS[0], 0)
    put(URLS[0], TEXTS[1], 1)
    put(URLS[1], OTHER, 2)


@pytest.fixture
def published():
    """What the newsroom says of it."""
    one = Published(URLS[0], TEXTS, frozenset({0, 1}), False)
    return {one.url: one, URLS[1]: Published(URLS[1], (OTHER,), frozenset({0}), False)}


@pytest.fixture
def look(classified, tmp_path):
    """Puts a look into the lake that saw an article with this text, some minutes after noon."""

    def put_look(url, text, minutes):
        made = fetched(classified(url, text), minutes).split.article
        row = dataclasses.asdict(article_check(made, made.revision, True))
        put_rows(str(tmp_path), CHECKS, row["checked_at"].date(), [f"{url} {minutes}"], [row])

    return put_look


def wrong(lake, published):
    """The kinds of what is wrong, each with the number of lines."""
    verdict = judge(read_rows(lake), read_looks(lake), published)
    return {kind: len(lines) for kind, lines in verdict.kinds().items() if lines}


def test_a_lake_that_is_right(whole, published, tmp_path):
    assert wrong(tmp_path, published) == {}
    assert check_files(tmp_path).is_clean
    assert judge_query(WIREWATCH, tmp_path, read_rows(tmp_path), []).is_clean
    # What was withdrawn may be there or not.
    gone = Published("https://a.example/3", ("Gone.",), frozenset({0}), True)
    published[URLS[1]] = dataclasses.replace(published[URLS[1]], is_withdrawn=True)
    assert wrong(tmp_path, {**published, gone.url: gone}) == {}


def test_what_is_lost_is_noticed(put, whole, published, tmp_path):
    three = Published("https://a.example/3", ("One text.",), frozenset({0}), False)
    assert wrong(tmp_path, {**published, three.url: three}) == {"lost": 1}
    revised = dataclasses.replace(published[URLS[1]], texts=(OTHER, "Newer."))
    assert wrong(tmp_path, {**published, URLS[1]: revised}) == {"lost": 1}


def test_what_is_doubled_is_noticed(put, whole, published, tmp_path):
    put(URLS[1], OTHER, 3)
    found = wrong(tmp_path, published)
    assert found.pop("duplicated") >= 2
    rows = read_rows(tmp_path)
    assert not judge_query(WIREWATCH, tmp_path, rows[:-1], []).is_clean


def test_a_text_under_two_ids_is_noticed(put, published, tmp_path):
    def renamed(rows):
        return [row | {"article_id": "f" * 32, "passage_id": row["text"]} for row in rows]

    put(URLS[0], TEXTS[0], 0)
    put(URLS[0], TEXTS[1], 1, renamed)
    put(URLS[1], OTHER, 2)
    assert wrong(tmp_path, published) == {"duplicated": 1}


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [row | {"text": row["text"].replace("two", "too")} for row in rows],
        lambda rows: [row | {"separator": ""} for row in rows],
        lambda rows: rows[:1],
        lambda rows: rows[1:],
        lambda rows: [row | {"canonical_url": "https://a.example/9"} for row in rows],
    ],
    ids=["words", "separator", "cut", "headless", "address"],
)
def test_what_is_altered_is_noticed(put, published, tmp_path, change):
    put(URLS[0], TEXTS[0], 0)
    put(URLS[0], TEXTS[1], 1)
    put(URLS[1], OTHER, 2, change)
    found = wrong(tmp_path, published)
    assert found["unexpected"] >= 1
    assert found["lost"] == 1


def test_revisions_out_of_order_or_never_served_are_noticed(put, whole, published, tmp_path):
    one = published[URLS[0]]
    turned = dataclasses.replace(one, texts=(TEXTS[1], TEXTS[0]))
    assert wrong(tmp_path, {**published, URLS[0]: turned}) == {"lost": 1, "unexpected": 1}
    unserved = dataclasses.replace(one, served=frozenset({1}))
    assert wrong(tmp_path, {**published, URLS[0]: unserved}) == {"unexpected": 1}


def test_a_text_that_returned_counts_where_it_was_seen_again(put, look, whole, published, tmp_path):
    one = published[URLS[0]]
    returned = {
        **published,
        one.url: dataclasses.replace(one, texts=(*TEXTS, TEXTS[0]), served=frozenset({0, 1, 2})),
    }
    assert wrong(tmp_path, returned) == {"lost": 1}
    look(URLS[0], TEXTS[0], 3)
    assert wrong(tmp_path, returned) == {}
    rows, looks = read_rows(tmp_path), read_looks(tmp_path)
    assert judge_query(WIREWATCH, tmp_path, rows, looks).is_clean
    assert not judge_query(WIREWATCH, tmp_path, rows, []).is_clean
    # It never returned, as far as the newsroom knows.
    assert wrong(tmp_path, published) == {"lost": 1, "unexpected": 1}
    look(URLS[1], "A text that is not in the lake.", 4)
    assert wrong(tmp_path, returned) == {"unexpected": 1}


@pytest.mark.parametrize("read", [by_duckdb, by_pyarrow])
def test_the_reader_notices_what_goes_doubles_or_breaks(put, whole, tmp_path, read):
    reader = Reader(tmp_path)
    reader.look(read)
    assert reader.verdict.is_clean
    first, *_ = files = sorted(tmp_path.glob("passages/*/*.parquet"))
    content = first.read_bytes()
    first.unlink()
    reader.look(read)
    assert len(reader.verdict.lost) == 1
    first.write_bytes(content)
    copy = first.with_name("copy.parquet")
    copy.write_bytes(content)
    reader.look(read)
    assert len(reader.verdict.duplicated) == 1
    copy.unlink()
    files[1].write_bytes(content[:200])
    reader.look(read)
    assert len(reader.verdict.unreadable) == 1
    assert len(check_files(tmp_path).unreadable) == 1
