"""Publication dates: parsed, in UTC, and refused where they cannot be true."""

from datetime import UTC, date, datetime, timedelta

from dateutil import parser

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
# A clock or a time zone may be off by this much; anything later is a mistake.
FUTURE_TOLERANCE = timedelta(days=1)


def parse_date(value: object) -> datetime | None:
    """A moment in UTC from a date, a datetime or text (ISO 8601, RFC 2822); else None.

    A value without an offset is taken as UTC, a date as its first moment.
    """
    if isinstance(value, str):
        try:
            value = parser.parse(value)
        except (ValueError, OverflowError):
            return None
    if isinstance(value, datetime):
        return in_utc(value)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return None


def in_utc(moment: datetime) -> datetime | None:
    """A datetime in UTC; naive ones are taken as UTC. None where the calendar ends or
    the offset cannot be."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except (OverflowError, ValueError):
        return None


def believable(moment: datetime | None, now: datetime) -> bool:
    """Whether a publication date can be true: not before 1900, not over a day ahead of now."""
    return moment is not None and EARLIEST <= moment <= now + FUTURE_TOLERANCE
