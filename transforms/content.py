"""What a page says, or why it says nothing: what a page's process hands back.

Free of Beam and of any heavy library, since every such process imports it.
"""

import dataclasses
import json


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """What a page itself says: its text and its own account of where it is from.

    ``published`` and ``modified`` hold every date the page states, best first, as text.
    """

    text: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    canonical: str | None = None
    source: str | None = None
    publisher: str | None = None
    section: str | None = None
    lang: str | None = None
    published: tuple[object, ...] = ()
    modified: tuple[object, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Refusal:
    """Why a page has no article; ``error_type`` and the rest are those of the dead letter."""

    error_type: str
    message: str
    retryable: bool = False


def to_json(result: Content | Refusal) -> bytes:
    """A result as JSON, for the way between two processes."""
    return json.dumps([type(result).__name__, dataclasses.asdict(result)]).encode()


def from_json(reply: bytes) -> Content | Refusal:
    """The result that ``to_json`` made."""
    name, fields = json.loads(reply)
    if name == "Refusal":
        return Refusal(**fields)
    for key in ("authors", "published", "modified"):
        fields[key] = tuple(fields[key])
    return Content(**fields)
