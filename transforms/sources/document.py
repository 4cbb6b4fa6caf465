"""What a reader takes and gives: a document, and the items it lists."""

import dataclasses
from pathlib import PurePosixPath

from schemas.records import DeadLetter, Entry, Source


@dataclasses.dataclass(frozen=True, slots=True)
class Document:
    """The bytes of one source. ``location`` is the path or URL it is known by; ``url`` is
    where it was found after redirects, for links that count from there."""

    source: Source
    location: str
    body: bytes
    content_type: str | None = None
    url: str | None = None

    @property
    def name(self) -> str:
        """The name to show for what comes from here, where the document has none."""
        return self.source.name or PurePosixPath(self.location).name or self.location

    @property
    def base(self) -> str:
        """What its links count from."""
        return self.url or self.location


@dataclasses.dataclass(frozen=True, slots=True)
class Hints:
    """What a feed says of when to poll it next; hours and days are those of UTC.

    ``whole`` is False where it looks cut off: the next poll must then not be conditional,
    lest the server say that nothing has changed.
    """

    interval: float | None = None
    skip_hours: frozenset[int] = frozenset()
    skip_days: frozenset[str] = frozenset()
    whole: bool = True


Item = Entry | Source | DeadLetter | Hints
