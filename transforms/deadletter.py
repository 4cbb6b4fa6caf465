"""Dead letters: inputs that a stage could not use, never dropped and never fatal."""

import dataclasses
import json
from datetime import UTC, datetime
from typing import Literal

from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry, Source
from schemas.tables import stable_id
from transforms.clean import one_line
from transforms.urls import address_id, is_web

PAYLOAD_HEAD_CHARS = 200

# What a DoFn yields beside its main output.
ErrorOutput = TaggedOutput[Literal["errors"], DeadLetter]
# A dead letter of an earlier run, beside what is tried again for it.
TriedOutput = TaggedOutput[Literal["tried"], DeadLetter]


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
    stage: str,
    key: str,
    source: str | None,
    error: Exception,
    payload: bytes | None = None,
    given: Source | Entry | None = None,
) -> DeadLetter:
    """The dead letter for an error that ``stage`` met at ``key``.

    ``given`` is what the stage was given, so that a later run can try it again.
    """
    unusable = error if isinstance(error, Unusable) else None
    entry = given if isinstance(given, Entry) else None
    attempt = unusable.attempt if unusable else 1
    return DeadLetter(
        stage=stage,
        key=one_line(key) or "",
        source=source,
        error_type=unusable.error_type if unusable else type(error).__name__,
        message=one_line(str(error)) or type(error).__name__,
        retryable=unusable.retryable if unusable else False,
        attempt=attempt,
        payload_head=payload_head(payload),
        occurred_at=datetime.now(UTC),
        letter_id=letter_id(given) if given else stable_id("item", one_line(key)),
        # Where nothing was asked, since the host rests, nothing was tried.
        tries=(entry.tries if entry else 0) + min(attempt, 1),
        retry_at=unusable.retry_at if unusable else None,
        input=given_json(given) if given else None,
        content=entry.content if entry else None,
    )


def letter_id(given: Source | Entry) -> str:
    """The id that all dead letters of one input have, in whichever stage and run."""
    location = given.location
    if isinstance(given, Source):
        return stable_id("source", location)
    if given.archive is not None:
        return stable_id("entry", given.archive, str(given.offset))
    return stable_id("entry", address_id(location) if is_web(location) else location)


def entry_place(entry: Entry) -> str:
    """Where an entry's page lies: its address or path, or its place in an archive."""
    return entry.location if entry.archive is None else f"{entry.archive}#{entry.offset}"


def given_json(given: Source | Entry) -> str:
    """A source or entry as JSON, without its content and its count of tries."""
    fields = {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in dataclasses.asdict(given).items()
        # A nought says something: the place of an archive's first page, an offset of UTC.
        if value not in (None, ()) and name not in ("content", "tries", "look")
    }
    return json.dumps({type(given).__name__.lower(): fields}, ensure_ascii=False)


def letter_input(letter: DeadLetter) -> Source | Entry | None:
    """The source or entry of a dead letter, to try again; None where it names none."""
    found = json.loads(letter.input) if letter.input else {}
    if "source" in found:
        return Source(**found["source"])
    if "entry" not in found:
        return None
    fields = found["entry"]
    for name in ("published_at", "updated_at"):
        moment = fields.get(name)
        fields[name] = datetime.fromisoformat(moment) if moment else None
    fields["authors"] = tuple(fields.get("authors", ()))
    return Entry(**fields, content=letter.content, tries=letter.tries)


def payload_head(payload: bytes | None) -> str | None:
    """The first characters of a payload, printable, for a look at what was wrong with it."""
    if not payload:
        return None
    return one_line(payload[: 4 * PAYLOAD_HEAD_CHARS].decode("utf-8", "replace"))[
        :PAYLOAD_HEAD_CHARS
    ]
