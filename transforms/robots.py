"""robots.txt (RFC 9309): what a site lets be fetched, and how fast, by the protego library."""

import dataclasses
import re
import time

from protego import Protego

# All of a file that is read; the rest does not count.
ROBOTS_BYTES = 500 * 1024
# A file that could not be had is asked for again after so long.
FORGET_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, slots=True)
class Robots:
    """A site's rules; ``problem`` says why nothing may be fetched for now, where that is so."""

    rules: Protego | None = None
    problem: str | None = None
    read_at: float = dataclasses.field(default_factory=time.monotonic)

    def is_stale(self) -> bool:
        """Whether the file is to be asked for, or for another time."""
        return self.problem is not None and time.monotonic() >= self.read_at + FORGET_SECONDS

    def allows(self, url: str, user_agent: str) -> bool:
        """Whether a page may be fetched."""
        return self.rules is None or bool(self.rules.can_fetch(url, product(user_agent)))

    def crawl_delay(self, user_agent: str) -> float:
        """The pause between requests that the site asks for, in seconds; 0 where it does not."""
        delay = self.rules.crawl_delay(product(user_agent)) if self.rules else None
        return delay or 0.0


# Of a site that was not asked yet.
UNREAD = Robots(problem="it was not read", read_at=float("-inf"))


def parse_robots(body: bytes) -> Robots:
    """The rules of a robots.txt; what it holds beside rules is passed over."""
    return Robots(Protego.parse(body[:ROBOTS_BYTES].decode("utf-8-sig", "replace")))


def product(user_agent: str) -> str:
    """The name that robots.txt knows a User-Agent by: wirewatch of wirewatch/0.1 (+...)."""
    found = re.match(r"[A-Za-z_-]+", user_agent)
    return found.group() if found else user_agent
