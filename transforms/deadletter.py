"""Dead letters: inputs that a stage could not use, never dropped and never fatal."""

from datetime import UTC, datetime
from typing import Literal

from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter
from transforms.clean import one_line

PAYLOAD_HEAD_CHARS = 200

# What a DoFn yields beside its main output.
ErrorOutput = TaggedOutput[Literal["errors"], DeadLetter]


class Unusable(Exception):
    """An input cannot be used. The message is one line; ``error_type`` groups such errors.

    ``retry_at`` is the moment before which a server asked not to be tried again.
    """

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        retryable: bool = False,
        attempt: int = 1,
        status: int | None = None,
        retry_at: datetime | None = None,
    ):
        super().__init__(message)
        self.error_type = error_type
        self.retryable = retryable
        self.attempt = attempt
        self.status = status
        self.retry_at = retry_at


def dead_letter(
    stage: str, key: str, source: str | None, error: Exception, payload: bytes | None = None
) -> DeadLetter:
    """The dead letter for an error that ``stage`` met at ``key``."""
    unusable = error if isinstance(error, Unusable) else None
    return DeadLetter(
        stage=stage,
        key=one_line(key) or "",
        source=source,
        error_type=unusable.error_type if unusable else type(error).__name__,
        message=one_line(str(error)) or type(error).__name__,
        retryable=unusable.retryable if unusable else False,
        attempt=unusable.attempt if unusable else 1,
        payload_head=payload_head(payload),
        occurred_at=datetime.now(UTC),
    )


def payload_head(payload: bytes | None) -> str | None:
    """The first characters of a payload, printable, for a look at what was wrong with it."""
    if not payload:
        return None
    return one_line(payload[: 4 * PAYLOAD_HEAD_CHARS].decode("utf-8", "replace"))[
        :PAYLOAD_HEAD_CHARS
    ]
