"""When to ask again."""

from datetime import UTC, datetime, timedelta

import pytest

from transforms.retry import LONGEST, MAX_WAIT, backoff, parse_retry_after

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Wed, 01 May 2024 12:02:00 GMT", 120),
        ("Wednesday, 01-May-24 12:02:00 GMT", 120),
        ("Wed May  1 12:02:00 2024", 120),
        ("Wed, 01 May 2024 14:02:00 +0200", 120),
        ("Wed, 01 May 2024 11:00:00 GMT", 0),
        ("99999999999999999999", LONGEST.total_seconds()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST.total_seconds()),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("\u0661\u0662", None),
        ("Wed, 32 May 2024 12:00:00 GMT", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    expected = None if seconds is None else NOW + timedelta(seconds=seconds)
    assert parse_retry_after(value, NOW) == expected


def test_waits_grow_to_a_limit():
    for attempt in range(1, 20):
        longest = min(MAX_WAIT, 0.5 * 2 ** (attempt - 1))
        assert longest / 2 <= backoff(0.5, attempt) <= longest
    assert backoff(0.0, 5) == 0
