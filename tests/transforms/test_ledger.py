import dataclasses
import itertools
from datetime import UTC, datetime, timedelta

import pytest

from schemas.records import DeadLetter, Entry, Poll, Source
from schemas.rows import event_date, passage_rows
from schemas.tables import ERRORS, PASSAGES, POLLS, stable_id
from transforms.deadletter import Unusable, dead_letter, letter_id, letter_input
from transforms.lake import put_rows
from transforms.ledger import Feeds, Ledger, Letters

# A while ago: what lies ahead is taken for the work of a clock that was wrong.
NOW = datetime.now(UTC) - timedelta(minutes=30)
URL = "https://a.example/1"
ENTRY = Entry(
    URL, "desk", "html", "https://a.example/feed", "A title", ("Ada",), "en", NOW, content=b"x"
)


def put(lake, event):
    table = ERRORS if isinstance(event, DeadLetter) else POLLS
    row = dataclasses.asdict(event)
    put_rows(str(lake), table, event_date(event), [stable_id(*map(str, row.values()))], [row])


def letter(minutes=0, done=False, given=ENTRY):
    error = Unusable("Http503", "HTTP 503", retryable=True, retry_at=NOW)
    made = dead_letter("fetch", URL, "desk", error, given=given)
    moment = NOW + timedelta(minutes=minutes)
    done_at = moment + timedelta(seconds=1) if done else None
    return dataclasses.replace(made, occurred_at=moment, done_at=done_at)


def poll(minutes, **changed):
    moment = NOW + timedelta(minutes=minutes)
    return Poll(URL, "desk", 200, None, None, 0, 0, 0, 0, None, moment, **changed)


def test_a_dead_letter_gives_back_what_was_put_in(tmp_path):
    put(tmp_path, letter())
    source = Source("https://a.example/feed", "Feed", "feed", "en")
    put(tmp_path, letter(given=source))
    letters = Letters(str(tmp_path))
    letters.refresh()
    found = [letter_input(one) for one in letters.all()]
    assert dataclasses.replace(ENTRY, tries=1) in found
    assert source in found
    assert [one.key for one in letters.of_feed("https://a.example/feed")] == [URL]


def test_addresses_that_are_the_same_have_one_letter():
    same = (URL, "http://a.example/1", f"{URL}?utm_source=rss", f"{URL}#top")
    assert len({letter_id(Entry(url, "desk")) for url in same}) == 1
    assert letter_id(Entry(URL, "desk")) != letter_id(Source(URL))
    parts = [Entry(URL, "desk", archive="/a.warc", offset=n) for n in (0, 1)]
    assert len({letter_id(part) for part in parts}) == 2


EVENTS = [letter(0), letter(1), letter(1, done=True)]


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_a_closing_row_closes_in_whatever_order_files_are_read(tmp_path, order):
    letters = Letters(str(tmp_path))
    for number in order:
        put(tmp_path, EVENTS[number])
        letters.refresh()
    assert letters.all() == []
    put(tmp_path, letter(2))
    letters.refresh()
    assert [one.occurred_at for one in letters.all()] == [NOW + timedelta(minutes=2)]


def test_the_last_poll_is_the_feeds_state(tmp_path):
    feeds = Feeds(str(tmp_path))
    for minutes in (5, 1, 3):
        put(tmp_path, poll(minutes, failures=minutes))
        feeds.refresh()
    assert feeds.last(URL).failures == 5
    assert feeds.last("https://a.example/other") is None


def test_a_poll_that_lies_ahead_gives_way_since_the_clock_was_set_back(tmp_path):
    feeds = Feeds(str(tmp_path))
    for minutes in (90, 0, 95):
        put(tmp_path, poll(minutes, failures=minutes))
        feeds.refresh()
    assert feeds.last(URL).failures == 0


def test_a_failure_after_the_clock_was_set_back_is_the_one_that_counts(tmp_path):
    letters = Letters(str(tmp_path))
    for minutes in (90, 0):
        put(tmp_path, letter(minutes))
        letters.refresh()
    assert [one.occurred_at for one in letters.all()] == [NOW]


def test_what_is_older_than_the_window_is_not_read(tmp_path):
    put(tmp_path, poll(-20 * 1440))
    put(tmp_path, letter(-20 * 1440))
    feeds, letters, every = (
        Feeds(str(tmp_path), 14),
        Letters(str(tmp_path), 14),
        Letters(str(tmp_path)),
    )
    for one in (feeds, letters, every):
        one.refresh()
    assert (feeds.all(), letters.all()) == ([], [])
    assert len(every.all()) == 1


def test_files_of_an_older_version_are_read(tmp_path):
    old = [name for name in POLLS.schema.names if name != "moved_to"][:11]
    table = dataclasses.replace(
        POLLS, columns=tuple(column for column in POLLS.columns if column.name in old)
    )
    row = {name: value for name, value in dataclasses.asdict(poll(0)).items() if name in old}
    put_rows(str(tmp_path), table, NOW.date(), ["a"], [row])
    feeds = Feeds(str(tmp_path))
    feeds.refresh()
    last = feeds.last(URL)
    assert (last.failures, last.gone, last.last_full_at) == (0, False, None)


def test_one_text_of_a_site_is_known_under_every_address(tmp_path, classified):
    first = classified("https://www.a.example/1", "A text.")
    put_rows(str(tmp_path), PASSAGES, NOW.date(), ["a"], list(passage_rows(first)))
    ledger = Ledger(str(tmp_path))
    ledger.refresh()
    assert ledger.knows_content(classified("https://a.example/2", "A text.").split.article)
    assert not ledger.knows_content(classified("https://b.example/1", "A text.").split.article)
    assert ledger.knows_address("http://www.a.example/1")


def test_a_letter_keeps_what_is_nought():
    entry = Entry(
        "https://a.example/1", "desk", archive="a.warc", offset=0, published_offset_minutes=0
    )
    letter = dead_letter("fetch", "a.warc#0", "desk", Unusable("NotFound", "gone"), given=entry)
    assert letter_input(letter) == dataclasses.replace(entry, tries=1)
