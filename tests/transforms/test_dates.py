from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.dates import first_believable, parse_moment

NOW = datetime(2024, 5, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected", "offset"),
    [
        ("2024-03-07", "2024-03-07T00:00", None),
        ("2024-03-07T10:00:00", "2024-03-07T10:00", None),
        ("2024-03-07T10:00:00Z", "2024-03-07T10:00", 0),
        ("2024-03-07T10:00:00.123+05:30", "2024-03-07T04:30:00.123", 330),
        ("20240307T100000-0800", "2024-03-07T18:00", -480),
        ("Thu, 07 Mar 2024 10:00:00 GMT", "2024-03-07T10:00", 0),
        ("Thu, 07 Mar 2024 10:00:00 EST", "2024-03-07T15:00", -300),
        ("Thu, 07 Mar 2024 10:00:00 +0200", "2024-03-07T08:00", 120),
        ("March 7, 2024 10:00 pm CET", "2024-03-07T21:00", 60),
        # A zone that several places use, or none, is no offset.
        ("2024-03-07 10:00 IST", "2024-03-07T10:00", None),
        ("2024-03-07 10:00 XYZ", "2024-03-07T10:00", None),
        (date(2024, 3, 7), "2024-03-07T00:00", None),
        (datetime(2024, 3, 7, 10), "2024-03-07T10:00", None),
        (datetime(2024, 3, 7, 10, tzinfo=timezone(timedelta(hours=-3))), "2024-03-07T13:00", -180),
    ],
)
def test_a_moment_is_in_utc_and_keeps_its_offset(value, expected, offset):
    at = datetime.fromisoformat(expected).replace(tzinfo=UTC)
    assert parse_moment(value) == (at, offset)


@pytest.mark.parametrize(
    "value",
    ["", "10:30", "2024", "March 2024", "7 March", "10", "Monday", "2024-02-30", "whenever",
     "1" * 200, "2024-01-01T00:00:00+99:00", "0001-01-01T00:00:00+23:00", None, 5, True, [], b"x"],
)  # fmt: skip
def test_what_is_no_whole_date_is_none(value):
    assert parse_moment(value) is None


@given(st.one_of(st.text(), st.from_regex(r"[0-9T:+\-. /GMTadnp,]{1,40}", fullmatch=True)))
def test_any_text_is_a_date_in_utc_or_none(text):
    moment = parse_moment(text)
    assert moment is None or moment.at.utcoffset() == timedelta(0)


def test_the_first_that_can_be_true_is_taken():
    values = ("soon", "2999-01-01", "1899-12-31", "2024-04-01", "2024-04-02")
    assert first_believable(values, NOW) == (datetime(2024, 4, 1, tzinfo=UTC), None)
    assert first_believable(values[:3], NOW) is None
