"""What the lake holds of feeds, dead letters and checks: the newest row of each counts.

Each refresh makes the whole state anew and then sets it, so that threads that ask meanwhile
see the one before.
"""

import dataclasses
from datetime import UTC, datetime

import pyarrow.compute as pc

from schemas.records import DeadLetter, Poll
from schemas.tables import CHECKS, ERRORS, POLLS
from transforms.deadletter import letter_input
from transforms.known import id_number, site_number, text_number
from transforms.locate import locate
from transforms.poll import is_ahead
from transforms.tail import Changes, Tail
from transforms.urls import address_id

# A feed that was not polled for longer is as good as new, and a dead letter stays one.
EVENT_DAYS = 14


def is_newer(moment: datetime, earlier: datetime, now: datetime) -> bool:
    """Whether a row is to be believed before another: the later one.

    Unless only one lies ahead of now, from before the clock was set back.
    """
    ahead, was_ahead = is_ahead(moment, now), is_ahead(earlier, now)
    return was_ahead if ahead != was_ahead else moment >= earlier


class Feeds:
    """The last poll of each feed, and the last one that succeeded."""

    def __init__(self, lake: str, days: int | None = None):
        self._tail = Tail(lake, POLLS, days)
        self._last: dict[str, Poll] = {}
        self._succeeded: dict[str, datetime] = {}

    def refresh(self) -> None:
        """Reads the polls that were not read before."""
        self._tail.follow(self._read)

    def _read(self, changes: Changes) -> None:
        paths, is_anew = to_read(changes)
        last = {} if is_anew else dict(self._last)
        succeeded = {} if is_anew else dict(self._succeeded)
        if paths:
            found = self._tail.rows(paths, POLLS.schema.names, pc.scalar(True))
            now = datetime.now(UTC)
            for row in found.to_pylist():
                earlier = last.get(row["feed_url"])
                if earlier is None or is_newer(row["polled_at"], earlier.polled_at, now):
                    row["failures"] = row["failures"] or 0
                    row["gone"] = bool(row["gone"])
                    last[row["feed_url"]] = Poll(**row)
                if row["error"] is None:
                    moment = succeeded.get(row["feed_url"], row["polled_at"])
                    succeeded[row["feed_url"]] = max(moment, row["polled_at"])
        self._last, self._succeeded = last, succeeded

    def last(self, feed_url: str) -> Poll | None:
        """A feed's last poll; None for one that is new."""
        return self._last.get(feed_url)

    def succeeded_at(self, feed_url: str) -> datetime | None:
        """When a feed was last read, also where that was before the polls that are read here;
        None where it never was."""
        last = self._last.get(feed_url)
        return self._succeeded.get(feed_url) or (last.last_full_at if last else None)

    def all(self) -> list[Poll]:
        """The last poll of every feed, by name."""
        return sorted(self._last.values(), key=lambda poll: (poll.source, poll.feed_url))


class Visited:
    """Where addresses led that were looked at, or that led to an article that was known."""

    def __init__(self, lake: str, days: int | None = None):
        self._tail = Tail(lake, CHECKS, days)
        self._led_to: dict[str, tuple[int, int]] = {}

    def refresh(self) -> None:
        """Reads the checks that were not read before."""
        self._tail.follow(self._read)

    def _read(self, changes: Changes) -> None:
        paths, is_anew = to_read(changes)
        if not paths and not is_anew:
            return
        led_to = {} if is_anew else dict(self._led_to)
        if paths:
            columns = ["url", "article_id", "revision"]
            found = self._tail.rows(paths, columns, pc.scalar(True))
            for row in found.group_by(columns).aggregate([]).to_pylist():
                article = id_number(row["article_id"])
                text = row["revision"] and id_number(row["revision"])
                on_site = text_number(site_number(row["url"]), text) if text else article
                led_to[address_id(row["url"])] = article, on_site
        self._led_to = led_to

    def get(self, address: str) -> tuple[int, ...]:
        """The numbers of the article that an address, by its id, led to: its own, and that
        of its text on the site. Empty for an address that is not known."""
        return self._led_to.get(address, ())


@dataclasses.dataclass
class LetterState:
    """Open letters by id, when the others were closed, and the ids of each feed's."""

    open: dict[str, DeadLetter] = dataclasses.field(default_factory=dict)
    closed: dict[str, datetime] = dataclasses.field(default_factory=dict)
    of_feed: dict[str, set[str]] = dataclasses.field(default_factory=dict)

    def copy(self) -> "LetterState":
        """A state to change while this one is asked."""
        of_feed = {feed_url: set(names) for feed_url, names in self.of_feed.items()}
        return LetterState(dict(self.open), dict(self.closed), of_feed)

    def note(self, letter: DeadLetter, now: datetime) -> None:
        """Takes in a row, whenever it is read: the newest of an id says how it stands."""
        name, moment = letter.letter_id, letter.occurred_at
        earlier = self.open.get(name)
        if letter.done_at is not None:
            self.closed[name] = max(moment, self.closed.get(name, moment))
            if earlier is not None and earlier.occurred_at <= self.closed[name]:
                del self.open[name]
            return
        if name in self.closed and moment <= self.closed[name]:
            return
        if earlier is None or is_newer(moment, earlier.occurred_at, now):
            self.open[name] = letter
            feed_url = getattr(letter_input(letter), "feed_url", None)
            if feed_url is not None:
                # Earlier versions named a feed's file by its path from the current folder.
                self.of_feed.setdefault(locate(feed_url), set()).add(name)


class Letters:
    """The dead letters that are open: not done, and with what is needed to try again."""

    def __init__(self, lake: str, days: int | None = None):
        self._tail = Tail(lake, ERRORS, days)
        self._state = LetterState()

    def refresh(self) -> None:
        """Reads the dead letters that were not read before."""
        self._tail.follow(self._read)

    def _read(self, changes: Changes) -> None:
        paths, is_anew = to_read(changes)
        if not paths and not is_anew:
            return
        state = LetterState() if is_anew else self._state.copy()
        if paths:
            found = self._tail.rows(paths, ERRORS.schema.names, pc.field("input").is_valid())
            now = datetime.now(UTC)
            for row in found.to_pylist():
                state.note(DeadLetter(**row), now)
        self._state = state

    def all(self) -> list[DeadLetter]:
        """Every open letter, oldest first."""
        return sorted(self._state.open.values(), key=lambda letter: letter.occurred_at)

    def get(self, letter_id: str) -> DeadLetter | None:
        """The open letter with an id."""
        return self._state.open.get(letter_id)

    def of_feed(self, feed_url: str) -> list[DeadLetter]:
        """The open letters of a feed's entries."""
        state = self._state
        names = sorted(state.of_feed.get(locate(feed_url), ()))
        return [state.open[name] for name in names if name in state.open]


def to_read(changes: Changes) -> tuple[list[str], bool]:
    """The files to read, and whether what was read before is to be forgotten."""
    if changes.lost or changes.expired:
        return sorted(set().union(*changes.window.values())), True
    return changes.new, False
