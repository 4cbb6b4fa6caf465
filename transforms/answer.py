"""Answers of servers: what is kept of one, and which are failures."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime

import httpx2

from transforms.deadletter import Unusable
from transforms.retry import parse_retry_after

RETRYABLE_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
PERMANENT_REDIRECTS = frozenset({301, 308})
TOO_MANY_REQUESTS, NOT_MODIFIED = 429, 304


@dataclasses.dataclass(frozen=True, slots=True)
class Response:
    """A whole answer: 2xx, or 304 (with an empty body) to a conditional request.

    ``url`` is where redirects ended; ``moved_to`` is the same where every redirect on the
    way was permanent (301 or 308), else None. The names of ``headers`` are in lower case.
    """

    url: str
    status: int
    body: bytes
    headers: dict[str, str]
    attempts: int
    moved_to: str | None = None

    @property
    def content_type(self) -> str | None:
        """Content-Type as sent."""
        return self.headers.get("content-type")


def check_status(status: int, headers: Mapping[str, str]) -> None:
    """Raises Unusable for a status that is no success."""
    if 200 <= status < 300:
        return
    is_retryable = status in RETRYABLE_STATUS
    now = datetime.now(UTC)
    retry_at = parse_retry_after(headers.get("retry-after"), now) if is_retryable else None
    message = f"HTTP {status} {httpx2.codes.get_reason_phrase(status)}".strip()
    if retry_at is not None:
        message += f", not to be asked again before {retry_at:%Y-%m-%d %H:%M:%S} UTC"
    raise Unusable(
        f"Http{status}", message, retryable=is_retryable, status=status, retry_at=retry_at
    )


def joined(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name in lower case, those given several times joined by commas.

    Latin-1 gives every byte back as it was: a validator goes back as it came.
    """
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def readable(header: str) -> str:
    """A header's value as UTF-8, which some servers put into Location, where it is that."""
    try:
        return header.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return header
