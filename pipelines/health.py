"""Which feeds need a look: failing, quiet, moved, gone, or asked to be left alone."""

import dataclasses
from datetime import UTC, datetime

from schemas.records import Poll
from transforms.events import EVENT_DAYS, Feeds
from transforms.poll import is_quiet, refusal
from transforms.urls import is_web

FAILED_ONCE = "has failed: "


@dataclasses.dataclass(frozen=True)
class FeedHealth:
    """One feed that is not as it should be; ``state`` is failing, quiet, moved, gone or
    waiting."""

    feed_url: str
    source: str
    state: str
    message: str


def feed_health(lake: str, began: datetime) -> list[FeedHealth]:
    """The feeds of a run that need a look; those that it left alone are among them."""
    feeds = Feeds(lake, EVENT_DAYS)
    feeds.refresh()
    now = datetime.now(UTC)
    seen = [feed for feed in feeds.all() if feed.polled_at >= began or refusal(feed, now)]
    return [health for feed in seen for health in feed_states(feed, now)]


def feed_states(feed: Poll, now: datetime) -> list[FeedHealth]:
    """What is wrong with a feed, by its last poll. A file is never quiet."""
    found: list[tuple[str, str]] = []
    reason = refusal(feed, now)
    if reason is not None:
        found.append(("gone" if feed.gone else "waiting", reason))
    elif feed.failures > 1:
        found.append(("failing", f"has failed {feed.failures} times in a row: {feed.error}"))
    elif feed.failures:
        found.append(("failing", f"{FAILED_ONCE}{feed.error}"))
    if feed.moved_to is not None:
        found.append(("moved", f"has moved to {feed.moved_to}: change it in the configuration"))
    if is_web(feed.feed_url) and not feed.gone and is_quiet(feed, now):
        found.append(("quiet", quiet_message(feed)))
    return [FeedHealth(feed.feed_url, feed.source, *each) for each in found]


def quiet_message(feed: Poll) -> str:
    """Since when a feed has been quiet, and how often it usually is not."""
    return (
        f"nothing new since {feed.last_new_at:%Y-%m-%d %H:%M} UTC; "
        f"usually every {span(feed.usual_gap_s or 0.0)}"
    )


def span(seconds: float) -> str:
    """A length of time in its largest fitting unit."""
    for unit, size in (("days", 86_400), ("hours", 3_600), ("minutes", 60)):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
