from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import DeadLetter, Poll
from transforms.poll import (
    PollPolicy,
    due,
    header_interval,
    is_quiet,
    latest_new,
    may_be_conditional,
    next_poll_at,
    refusal,
    try_again_at,
    usual_gap,
)
from transforms.sources import Hints

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)  # A Wednesday.
URL = "https://a.example/feed"
POLICY = PollPolicy(shortest=300, usual=900, longest=14_400)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def poll(**changed):
    shared = {"entries": 0, "new_entries": 0, "bytes": 0, "duration_ms": 0, "error": None}
    shared |= {"status": 200, "etag": None, "last_modified": None, "polled_at": NOW}
    return Poll(feed_url=URL, source="desk", **{**shared, **changed})


def wait(hints=None, headers=None, failures=0, retry_at=None, now=NOW):
    """Seconds until a feed is due again."""
    moment = next_poll_at(
        URL,
        now,
        POLICY,
        hints=hints or Hints(),
        headers=headers or {},
        failures=failures,
        retry_at=retry_at,
    )
    return (moment - now).total_seconds()


@pytest.mark.parametrize(
    ("hints", "headers", "expected"),
    [
        pytest.param(Hints(), {}, 900, id="nothing-said"),
        pytest.param(Hints(interval=3600), {}, 3600, id="ttl"),
        pytest.param(Hints(), {"cache-control": "public, max-age=1800"}, 1800, id="max-age"),
        pytest.param(Hints(interval=3600), {"cache-control": "max-age=60"}, 3600, id="longer-wins"),
        pytest.param(Hints(interval=10), {}, 300, id="floor"),
        pytest.param(Hints(interval=604_800), {}, 14_400, id="ceiling"),
        pytest.param(Hints(), {"cache-control": "max-age=x, no-cache"}, 900, id="nonsense"),
        pytest.param(
            Hints(),
            {
                "date": "Wed, 01 May 2024 12:00:00 GMT",
                "expires": "Wed, 01 May 2024 13:00:00 GMT",
            },
            3600,
            id="expires",
        ),
    ],
)
def test_a_feed_is_due_when_it_asks_for_it_within_the_limits(hints, headers, expected):
    assert abs(wait(hints, headers) - expected) <= 0.1 * expected
    assert 300 <= wait(hints, headers) <= 14_400


def test_the_wait_doubles_with_each_failure_and_ends_at_the_ceiling():
    waits = [wait(failures=n) for n in range(1, 8)]
    assert waits == sorted(waits)
    assert waits[0] < 1000 and waits[-1] == 14_400
    assert wait(failures=10_000) == 14_400


def test_jitter_is_the_same_each_time_for_a_feed_and_differs_between_feeds():
    def due_at(url):
        return next_poll_at(url, NOW, POLICY, hints=Hints(), headers={}, failures=0, retry_at=None)

    urls = [f"https://a.example/{n}" for n in range(100)]
    assert [due_at(url) for url in urls] == [due_at(url) for url in urls]
    assert len({due_at(url) for url in urls}) > 90


def test_skipped_hours_and_days_are_passed_over_but_never_beyond_the_ceiling():
    assert NOW + timedelta(seconds=wait(Hints(skip_hours=frozenset({12, 13})))) == NOW + 2 * HOUR
    assert wait(Hints(skip_days=frozenset({"wednesday"}))) == 14_400
    assert wait(Hints(skip_hours=frozenset(range(24)))) == 14_400


def test_retry_after_goes_beyond_the_ceiling_but_not_for_ever():
    assert wait(failures=1, retry_at=NOW + DAY) == DAY.total_seconds()
    assert wait(failures=1, retry_at=NOW + 400 * DAY) == (7 * DAY).total_seconds()
    assert wait(failures=1, retry_at=NOW) > 0


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_headers_may_say_anything(control, expires, date):
    found = header_interval({"cache-control": control, "expires": expires, "date": date})
    assert found is None or found >= 0


def test_due_and_refused():
    assert due(None, NOW) and refusal(None, NOW) is None
    assert due(poll(next_poll_at=NOW), NOW)
    assert not due(poll(next_poll_at=NOW + HOUR), NOW)
    assert not due(poll(gone=True), NOW)

    assert "HTTP 410" in refusal(poll(gone=True), NOW)
    assert "2024-05-01 13:00" in refusal(poll(retry_at=NOW + HOUR), NOW)
    assert refusal(poll(retry_at=NOW - HOUR), NOW) is None
    # A moment that a clock set wrong has made is not believed.
    assert refusal(poll(retry_at=NOW + 400 * DAY), NOW) is None


def test_a_feed_is_due_when_the_clock_was_set_back():
    asked = {"next_poll_at": NOW + 0.25 * HOUR}
    assert not due(poll(**asked), NOW)
    assert due(poll(polled_at=NOW + HOUR, **asked), NOW)
    assert due(poll(next_poll_at=NOW + DAY), NOW)
    # Its server asked for that, and for more than a week it is not believed.
    assert not due(poll(next_poll_at=NOW + DAY, retry_at=NOW + DAY), NOW)
    assert due(poll(next_poll_at=NOW + 8 * DAY, retry_at=NOW + 8 * DAY), NOW)


@pytest.mark.parametrize(
    ("since", "expected"),
    [(None, False), (HOUR, True), (DAY, False), (-HOUR, False)],
)
def test_a_poll_is_whole_when_the_last_whole_one_is_long_ago(since, expected):
    feed = poll(last_full_at=None if since is None else NOW - since)
    assert may_be_conditional(feed, NOW, POLICY) is expected


def test_a_feeds_usual_gap_is_the_median_of_its_dates():
    dates = [NOW - n * HOUR for n in (0, 1, 2, 3, 50)]
    assert usual_gap([*dates, None], None, NOW) == 3600
    assert usual_gap(dates[:2], None, NOW) is None


def test_without_dates_the_gap_is_that_of_polls_with_something_new():
    first = poll(last_new_at=NOW - 2 * HOUR)
    gap = usual_gap([None], first, NOW)
    assert gap == 7200
    second = poll(last_new_at=NOW, usual_gap_s=gap)
    assert usual_gap([None], second, NOW + HOUR) == pytest.approx(0.8 * 7200 + 0.2 * 3600)
    # A poll that brought nothing says nothing of it.
    assert usual_gap([NOW], second, NOW) == gap
    assert usual_gap([NOW], poll(last_new_at=NOW), NOW) is None


def test_the_newest_entry_is_the_latest_date_that_can_be_true():
    dates = [NOW - HOUR, NOW + 300 * DAY, None]
    assert latest_new(dates, None, NOW, True) == NOW - HOUR
    assert latest_new([None], None, NOW, True) == NOW
    assert latest_new([], poll(last_new_at=NOW - DAY), NOW, False) == NOW - DAY


@pytest.mark.parametrize(
    ("silence", "gap", "quiet"),
    [
        (timedelta(hours=20), 60, False),
        (timedelta(hours=30), 60, True),
        (timedelta(days=5), 86_400, False),
        (timedelta(days=11), 86_400, True),
        (timedelta(days=11), None, False),
        (timedelta(days=11), 1e300, False),
    ],
)
def test_a_feed_is_quiet_by_its_own_rhythm(silence, gap, quiet):
    assert is_quiet(poll(last_new_at=NOW - silence, usual_gap_s=gap), NOW) is quiet


def letter(tries, retryable=True, retry_at=None):
    return DeadLetter(
        "fetch", URL, None, "Http503", "", retryable, 1, None, NOW, "id", tries, retry_at
    )


def test_an_entry_is_tried_again_later_each_time_and_then_no_more():
    waits = [try_again_at(letter(tries), POLICY) - NOW for tries in range(1, POLICY.tries)]
    assert waits == sorted(waits)
    assert timedelta(minutes=4) < waits[0] < timedelta(minutes=6)
    assert waits[-1] <= DAY
    assert try_again_at(letter(POLICY.tries), POLICY) is None
    assert try_again_at(letter(1, retryable=False), POLICY) - NOW > 0.9 * DAY
    assert try_again_at(letter(1, retry_at=NOW + 2 * DAY), POLICY) == NOW + 2 * DAY
