"""The newsroom's articles: what it publishes, revises, takes back and withdraws when, and what it
served.

``Newsroom`` is the ledger of truth that the lake is held against. Its plan depends on the seed
alone; moments count in seconds from its opening.
"""

import dataclasses
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

from tests.soak import prose

FEEDS, HOSTS = 40, 8
REVISED, WITHDRAWN, LISTED_TWICE = 0.35, 0.08, 0.3
# Of the changes after an article's first: those that bring back the text before.
RETURNING = 0.5
# Articles are dated back over so many days, so that the lake has several partitions. Those that
# are dated back further, a new process does not look at again.
DAYS = 3


@dataclasses.dataclass(frozen=True)
class Published:
    """What the newsroom knows of an article when all is over.

    ``texts`` is what its page showed, in order; one that returned stands there again. ``served``
    are the numbers of those that were sent whole at least once, counted from 0.
    """

    url: str
    texts: tuple[str, ...]
    served: frozenset[int]
    is_withdrawn: bool

    @property
    def returns(self) -> int:
        """How often an earlier text came back."""
        return len(self.texts) - len(set(self.texts))


@dataclasses.dataclass
class Article:
    """An article as it is at a moment."""

    serial: int
    url: str
    feeds: tuple[int, ...]
    published_at: datetime
    updated_at: datetime
    states: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    served: set[int] = dataclasses.field(default_factory=set)
    is_withdrawn: bool = False

    @property
    def title(self) -> str:
        return prose.title(self.serial)

    @property
    def revision(self) -> int:
        """The number of the latest state, counted from 0."""
        return len(self.states) - 1

    @property
    def texts(self) -> tuple[str, ...]:
        """Its states as trafilatura gives them: the headline, then a paragraph a line."""
        return tuple("\n".join((self.title, *paragraphs)) for paragraphs in self.states)

    def show(self, paragraphs: tuple[str, ...]) -> None:
        """Shows these paragraphs from now on."""
        self.states.append(paragraphs)
        self.updated_at = datetime.now(UTC)


@dataclasses.dataclass(frozen=True, order=True)
class Event:
    """Something that the newsroom does: publish, revise, return or withdraw."""

    at: float
    serial: int
    action: str


def make_plan(seed: int, articles: int, seconds: float) -> list[Event]:
    """What happens in ``seconds``, in order; a quarter of the articles is there at once."""
    events = []
    for serial in range(articles):
        chance = random.Random(f"{seed} plan {serial}")
        begun = 0.0 if serial < articles // 4 else chance.uniform(0, seconds)
        events.append(Event(begun, serial, "publish"))
        last = begun
        if chance.random() < REVISED:
            for change in range(chance.choice((1, 1, 2, 2, 3))):
                last += chance.uniform(1, 30)
                action = "return" if change and chance.random() < RETURNING else "revise"
                events.append(Event(min(last, seconds), serial, action))
        if chance.random() < WITHDRAWN:
            events.append(Event(min(last + chance.uniform(0, 40), seconds), serial, "withdraw"))
    # Stable: what befalls one article at one moment stays in order.
    return sorted(events, key=lambda event: event.at)


class Newsroom:
    """All articles, brought up to the moment with each look at them; safe with threads."""

    def __init__(self, seed: int, articles: int, seconds: float):
        self.seed = seed
        self.lock = threading.RLock()
        self.requests: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.has_faults = True
        self.last_asked = time.monotonic()
        self._plan = make_plan(seed, articles, seconds)
        self._done = 0
        self._opened = time.monotonic()
        self._bases: list[str] = []
        self._articles: dict[int, Article] = {}
        self._by_url: dict[str, Article] = {}

    def open(self, bases: list[str]) -> None:
        """Begins; ``bases`` are the addresses of its hosts, as http://127.0.0.1:8000."""
        self._bases, self._opened = bases, time.monotonic()

    def calm(self) -> None:
        """Ends the faults and does at once what is still planned."""
        with self.lock:
            self.has_faults = False
            self._advance(float("inf"))

    def bring_back(self, feeds: frozenset[int]) -> None:
        """Shows the text before the last of every article in these feeds that has had several."""
        with self.lock:
            for article in self._articles.values():
                if (
                    feeds.intersection(article.feeds)
                    and article.revision
                    and not article.is_withdrawn
                ):
                    article.show(article.states[-2])

    def find(self, url: str) -> Article | None:
        """The article at an address, also a withdrawn one."""
        with self.lock:
            self._advance(time.monotonic() - self._opened)
            return self._by_url.get(url)

    def listed(self, feed: int) -> list[Article]:
        """Copies of what a feed lists now, newest first."""
        with self.lock:
            self._advance(time.monotonic() - self._opened)
            found = [
                dataclasses.replace(article)
                for article in self._articles.values()
                if feed in article.feeds and not article.is_withdrawn
            ]
        return sorted(found, key=lambda article: article.serial, reverse=True)

    def ledger(self) -> dict[str, Published]:
        """Every article that was published so far, by its address."""
        with self.lock:
            return {
                url: Published(url, article.texts, frozenset(article.served), article.is_withdrawn)
                for url, article in self._by_url.items()
            }

    def _advance(self, now: float) -> None:
        while self._done < len(self._plan) and self._plan[self._done].at <= now:
            event = self._plan[self._done]
            self._done += 1
            if event.action == "publish":
                self._publish(event.serial)
                continue
            article = self._articles[event.serial]
            if event.action == "revise":
                number = article.revision + 2
                article.show(prose.revised(self.seed, event.serial, number, article.states[-1]))
            elif event.action == "return":
                article.show(article.states[-2])
            else:
                article.is_withdrawn = True

    def _publish(self, serial: int) -> None:
        chance = random.Random(f"{self.seed} place {serial}")
        feeds = (chance.randrange(FEEDS),)
        if chance.random() < LISTED_TWICE:
            feeds += (chance.randrange(FEEDS),)
        base = self._bases[chance.randrange(len(self._bases))]
        moment = datetime.now(UTC).replace(microsecond=0)
        moment -= timedelta(days=serial % DAYS, seconds=chance.randrange(60))
        url = f"{base}/news/{serial}-{chance.choice(prose.TOWNS).lower().replace(' ', '-')}"
        article = Article(serial, url, feeds, moment, moment)
        article.show(prose.first_text(self.seed, serial))
        self._articles[serial] = self._by_url[url] = article
