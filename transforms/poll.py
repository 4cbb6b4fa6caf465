"""When to poll a feed: after what it asks for, within the limits of the configuration.

All that the next poll needs to know stands in the record of the last one, so that the
newest row a feed has in the table of polls is its whole state.
"""

import dataclasses
import hashlib
import itertools
import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from schemas.records import DeadLetter, Poll
from transforms.dates import believable, in_utc
from transforms.sources import Hints

# The ceiling of a policy that states none, in seconds.
LONGEST = 14_400.0
# A server may ask for silence; it is asked again after this, lest a feed be lost for good.
LONGEST_SILENCE = timedelta(days=7)
# Clocks of two machines that write to one lake may differ by so much.
CLOCK_SLACK = timedelta(minutes=1)
# A wait is stretched or cut by up to this part, the same way each time for one feed.
JITTER = 0.1
# A feed is quiet when nothing new has come for so many of its usual gaps, and for a day.
QUIET_GAPS = 10
ONE_DAY = timedelta(days=1)
# Of so many dates or fewer, a usual gap says nothing.
FEW_DATES = 4
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclasses.dataclass(frozen=True, slots=True)
class PollPolicy:
    """Limits of polling and of trying again, in seconds; ``tries`` counts runs.

    ``force`` polls and tries whatever asked to be left alone; ``only_due`` leaves the feeds
    of a list alone that are not due.
    """

    shortest: float = 300.0
    usual: float = 900.0
    longest: float = LONGEST
    full_every: float = 86_400.0
    retry_after: float = 300.0
    tries: int = 12
    force: bool = False
    only_due: bool = False


def due(feed: Poll | None, now: datetime, longest: float = LONGEST) -> bool:
    """Whether a feed is to be polled now; ``feed`` is its last poll, None if it had none.

    ``longest`` is the policy's. A poll in the future, or a next one further off than any
    wait, tells that the clock was set back: such a feed is due.
    """
    if feed is None:
        return True
    if refusal(feed, now) is not None:
        return False
    if feed.next_poll_at is None or feed.next_poll_at <= now or is_ahead(feed.polled_at, now):
        return True
    wait = timedelta(seconds=longest)
    return feed.next_poll_at > now + (wait if feed.retry_at is None else LONGEST_SILENCE)


def is_ahead(moment: datetime, now: datetime) -> bool:
    """Whether what is recorded of the past lies ahead: the clock was set back since."""
    return moment > now + CLOCK_SLACK


def refusal(feed: Poll | None, now: datetime) -> str | None:
    """Why a feed must not be polled now, by its own server's word; None where it may be."""
    if feed is None:
        return None
    if feed.gone:
        return f"gone for good since {feed.polled_at:%Y-%m-%d %H:%M} UTC (HTTP 410)"
    if feed.retry_at is not None and now < feed.retry_at <= now + LONGEST_SILENCE:
        return f"its server asks to wait until {feed.retry_at:%Y-%m-%d %H:%M} UTC"
    return None


def may_be_conditional(feed: Poll, now: datetime, policy: PollPolicy) -> bool:
    """Whether to send the validators of the last poll.

    Not always: some servers answer 304 whatever has changed. A clock that was set back
    counts as time that has passed.
    """
    if feed.last_full_at is None:
        return False
    return timedelta(0) <= now - feed.last_full_at < timedelta(seconds=policy.full_every)


def next_poll_at(
    feed_url: str,
    now: datetime,
    policy: PollPolicy,
    *,
    hints: Hints,
    headers: Mapping[str, str],
    failures: int,
    retry_at: datetime | None,
) -> datetime:
    """When a feed is due again, between the floor and the ceiling of the policy.

    A server's Retry-After goes beyond the ceiling, up to ``LONGEST_SILENCE``.
    """
    wishes = [hints.interval, header_interval(headers)]
    wait = max((wish for wish in wishes if wish is not None), default=policy.usual)
    if failures:
        # Two to the tenth is beyond every sensible ceiling.
        wait = max(wait, policy.usual) * 2 ** min(failures - 1, 10)
    wait *= 1 - JITTER + 2 * JITTER * fraction(feed_url, failures)
    longest = now + timedelta(seconds=policy.longest)
    moment = now + timedelta(seconds=min(max(wait, policy.shortest), policy.longest))
    while is_skipped(moment, hints) and moment < longest:
        moment = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    moment = min(moment, longest)
    return moment if retry_at is None else max(moment, min(retry_at, now + LONGEST_SILENCE))


def is_skipped(moment: datetime, hints: Hints) -> bool:
    """Whether a feed asks not to be polled at a moment (skipHours, skipDays)."""
    return moment.hour in hints.skip_hours or WEEKDAYS[moment.weekday()] in hints.skip_days


def fraction(*parts: object) -> float:
    """A number from 0 to 1 that is always the same for the same parts."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32


def header_interval(headers: Mapping[str, str]) -> float | None:
    """How long an answer stays fresh, by Cache-Control max-age, else Expires (RFC 9111)."""
    for directive in headers.get("cache-control", "").lower().split(","):
        name, _, value = directive.strip().partition("=")
        value = value.strip('"')
        if name == "max-age" and value.isascii() and value.isdigit():
            # Longer numbers are beyond what a float or any ceiling holds.
            return float(value[:12])
    expires, date = (header_date(headers.get(name)) for name in ("expires", "date"))
    if expires is None:
        return None
    seconds = (expires - (date or datetime.now(UTC))).total_seconds()
    return seconds if seconds > 0 else None


def header_date(value: str | None) -> datetime | None:
    """A moment from an HTTP date; None where there is none."""
    try:
        return in_utc(parsedate_to_datetime(value)) if value else None
    except (ValueError, OverflowError):
        return None


def usual_gap(
    dates: Iterable[datetime | None], feed: Poll | None, new_at: datetime | None
) -> float | None:
    """The usual seconds between two new entries of a feed.

    The median gap of its entries' dates; where they have none, a running mean of the
    time between polls that had something new, of which ``new_at`` is the latest.
    """
    found = sorted({date for date in dates if date is not None})
    if len(found) > FEW_DATES:
        gaps = [(b - a).total_seconds() for a, b in itertools.pairwise(found)]
        return float(statistics.median(gaps))
    if feed is None or new_at is None or feed.last_new_at is None or new_at <= feed.last_new_at:
        return feed.usual_gap_s if feed else None
    gap = (new_at - feed.last_new_at).total_seconds()
    return gap if feed.usual_gap_s is None else 0.8 * feed.usual_gap_s + 0.2 * gap


def latest_new(
    dates: Iterable[datetime | None], feed: Poll | None, now: datetime, has_new: bool
) -> datetime | None:
    """When a feed last had something new: its newest date, or the poll that saw it."""
    known = [date for date in dates if date is not None and believable(date, now) and date <= now]
    if feed and feed.last_new_at:
        known.append(feed.last_new_at)
    if has_new and not any(date is not None for date in dates):
        known.append(now)
    return max(known, default=None)


def is_quiet(feed: Poll, now: datetime) -> bool:
    """Whether a feed has had nothing new for much longer than is usual for it."""
    if feed.last_new_at is None or feed.usual_gap_s is None:
        return False
    usual = timedelta(seconds=min(QUIET_GAPS * feed.usual_gap_s, 10 * 365 * 86_400.0))
    return now - feed.last_new_at > max(usual, ONE_DAY)


def try_again_at(letter: DeadLetter, policy: PollPolicy) -> datetime | None:
    """When an entry that failed is tried again if a feed lists it; None after the last try.

    What will not get better by itself waits a day: a page that is not there may come yet.
    """
    if letter.tries >= policy.tries:
        return None
    longest = ONE_DAY.total_seconds()
    seconds = (
        policy.retry_after * 2 ** min(max(letter.tries - 1, 0), 20) if letter.retryable else longest
    )
    seconds *= 1 - JITTER + 2 * JITTER * fraction(letter.letter_id, letter.tries)
    moment = letter.occurred_at + timedelta(seconds=min(seconds, longest))
    return moment if letter.retry_at is None else max(moment, letter.retry_at)


def may_try_again(letter: DeadLetter, policy: PollPolicy, now: datetime) -> bool:
    """Whether an entry that failed is to be tried again now."""
    moment = try_again_at(letter, policy)
    return moment is not None and (moment <= now or is_ahead(letter.occurred_at, now))
