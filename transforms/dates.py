"""Publication dates: parsed, in UTC with the offset they had, refused where they cannot be true."""

import contextlib
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from dateutil import parser, tz

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
# A clock or a time zone may be off by this much; anything later is a mistake.
FUTURE_TOLERANCE = timedelta(days=1)
# No form of a date is longer; a parser need not look at what is.
LONGEST = 100
# What the parser fills in for parts that a text leaves out: a part in which the two
# results differ was not there.
FILLED = (datetime(2000, 1, 1), datetime(2001, 2, 2))
# Hours ahead of UTC. The names of RFC 2822, section 4.3, then those that news uses and
# that mean one zone only. Any other name says nothing, also where this machine is in it.
ZONES = {
    "UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "EST": -5, "EDT": -4, "CST": -6, "CDT": -5,
    "MST": -7, "MDT": -6, "PST": -8, "PDT": -7, "WET": 0, "WEST": 1, "CET": 1, "CEST": 2,
    "EET": 2, "EEST": 3, "MSK": 3, "TRT": 3, "JST": 9, "KST": 9, "AEST": 10, "AEDT": 11,
}  # fmt: skip


class Moment(NamedTuple):
    """A moment in UTC, and the offset in minutes it was stated with; None where it had none."""

    at: datetime
    offset: int | None


def parse_moment(value: object) -> Moment | None:
    """A moment from a date, a datetime or text (ISO 8601, RFC 2822); None where it is no date.

    A value without an offset is taken as UTC, a date as its first moment. A text needs year,
    month and day: "10:30" or "2024" alone is no date.
    """
    if isinstance(value, str):
        value = parse_text(value)
    if isinstance(value, datetime):
        at = in_utc(value)
        return None if at is None else Moment(at, offset_minutes(value))
    if isinstance(value, date):
        return Moment(datetime(value.year, value.month, value.day, tzinfo=UTC), None)
    return None


def parse_text(text: str) -> datetime | None:
    """A datetime from text, by dateutil; None where it is no whole date."""
    if len(text) > LONGEST:
        return None
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat(text)  # Most dates, in a hundredth of the time.
    try:
        first, second = (parser.parse(text, default=d, tzinfos=zone) for d in FILLED)
    # Besides its own errors the parser lets out those of what it calls.
    except (ValueError, OverflowError, TypeError, ArithmeticError, AttributeError):
        return None
    return first if first.date() == second.date() else None


def zone(name: str | None, offset: int | None) -> tzinfo | None:
    """The time zone that a text names, or states as an offset in seconds."""
    if offset is not None:
        return tz.tzoffset(None, offset)
    hours = ZONES.get((name or "").upper())
    return None if hours is None else tz.tzoffset(None, hours * 3600)


def in_utc(moment: datetime) -> datetime | None:
    """A datetime in UTC; naive ones are taken as UTC. None where the calendar ends or
    the offset cannot be."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def offset_minutes(moment: datetime) -> int | None:
    """The minutes a datetime's zone is ahead of UTC; None for a naive one."""
    ahead = moment.utcoffset()
    return None if ahead is None else round(ahead.total_seconds() / 60)


def believable(moment: datetime | None, now: datetime) -> bool:
    """Whether a publication date can be true: not before 1900, not over a day ahead of now."""
    return moment is not None and EARLIEST <= moment <= now + FUTURE_TOLERANCE


def first_believable(values: Iterable[object], now: datetime) -> Moment | None:
    """The first of several dates that is a date and can be true."""
    for value in values:
        moment = parse_moment(value)
        if moment is not None and believable(moment.at, now):
            return moment
    return None
