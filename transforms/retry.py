"""When to ask again: Retry-After, and a wait that grows with each attempt."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

MAX_WAIT = 5.0
# Nobody means a longer one; it also keeps the sum inside the calendar.
LONGEST = timedelta(days=366)


def parse_retry_after(value: str | None, now: datetime) -> datetime | None:
    """The moment a Retry-After names, in seconds or as an HTTP date (RFC 9110, 10.2.3).

    None where there is none, or one that means nothing. Never earlier than ``now``.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        seconds = int(text[:12])
        return now + min(timedelta(seconds=min(seconds, 10**8)), LONGEST)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    try:
        return min(max(moment.astimezone(UTC), now), now + LONGEST)
    except (ValueError, OverflowError):
        return None


def backoff(first: float, attempt: int) -> float:
    """Seconds to wait after a failed attempt: twice as long each time, half of it by chance."""
    return random.uniform(0.5, 1.0) * min(MAX_WAIT, first * 2 ** (attempt - 1))
