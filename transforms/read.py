"""Reads sources: feeds, lists, archives, pages and texts into entries."""

import dataclasses
import time

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry, Poll, Source
from transforms.count import count
from transforms.deadletter import Unusable, dead_letter, letter_id, letter_input
from transforms.decode import gunzip
from transforms.expand import STAGE, ExpandSource, first_source
from transforms.files import looks_like_archive, open_archive, read_file, read_head, web_archives
from transforms.http import HttpPolicy, lane_of, open_client
from transforms.ledger import Ledger, LedgerPolicy, open_ledger
from transforms.listed import remember_listed
from transforms.poll import PollPolicy, due, may_be_conditional, refusal
from transforms.pool import ConcurrentDoFn
from transforms.reading import Reading, make_poll
from transforms.recent import Recent, RevisionPolicy, open_recent
from transforms.sources import KINDS, POLLED, Document, Hints, Item, detect_kind
from transforms.sources.archives import HEAD_BYTES, archive_items, is_archive
from transforms.urls import is_web


def read_document(document: Document, kind: str) -> list[Item]:
    """What a document of a kind lists. Raises Unusable."""
    try:
        return list(KINDS[kind](document))
    except Unusable:
        raise
    except Exception as error:  # A parser may fail in any way on hostile bytes.
        raise Unusable(type(error).__name__, f"cannot be read as {kind}: {error}") from error


class ReadSource(ConcurrentDoFn):
    """Opens each source and reads what it lists; see ReadSources."""

    _ledger: Ledger
    _recent: Recent

    def __init__(
        self,
        http: HttpPolicy,
        threads: int,
        lake: str,
        polls: PollPolicy,
        ledger: LedgerPolicy | None,
        revisions: RevisionPolicy,
        nested: bool,
    ):
        super().__init__(threads)
        self._http = http
        self._lake = lake
        self._polls = polls
        self._revisions = revisions
        self._nested = nested
        self._policy = ledger

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)
        self._recent = open_recent(self._lake, self._revisions)

    def lane(self, element: Source) -> str | None:
        return lane_of(element.location)

    def pause(self, lane: str) -> float:
        return open_client(self._http).hosts.pause(lane)

    def work(self, element: Source) -> list:
        reading = Reading(element, self._ledger.feeds.last(element.location))
        reason = self._why_not(reading)
        if reason is not None:
            return [TaggedOutput("skipped", f"{element.location}: {reason}")]
        try:
            self._read(reading)
            if not self._nested and not reading.is_unchanged:
                remember_listed(element.location, reading.listed)
        except Unusable as error:
            reading.failure = error
        outputs = [self._tag(item) for item in reading.items if not isinstance(item, Hints)]
        outputs += self._waiting(reading)
        outputs += self._recent.due_of_feed(reading.source.location, reading.began)
        outputs += self._letters(reading)
        if reading.is_polled:
            poll = make_poll(reading, self._ledger, self._polls)
            outputs.append(TaggedOutput("polls", poll))
        return outputs

    def _why_not(self, reading: Reading) -> str | None:
        """Why a source is not to be read now; None where it is."""
        policy = self._polls
        if policy.force:
            return None
        if self._nested and policy.only_due:
            is_due = due(reading.feed, reading.began, policy.longest)
            return None if is_due else "not due"
        return refusal(reading.feed, reading.began)

    def _read(self, reading: Reading) -> None:
        location = reading.source.location
        if is_web(location) and (reading.kind == "warc" or looks_like_archive(location)):
            self._download(reading)
            return
        if is_web(location):
            self._ask(reading)
            if reading.is_unchanged:
                return
        elif reading.kind == "warc" or is_archive(read_head(location)):
            self._read_archive(reading)
            return
        else:
            reading.body = read_file(location, self._http.max_bytes)
            reading.seconds = time.monotonic() - reading.start
        if is_archive(reading.body[:HEAD_BYTES]):
            web_archives.keep(location, reading.body)
        else:
            reading.body = gunzip(reading.body, self._http.max_bytes)
        reading.size = len(reading.body)
        answer = reading.answer
        document = Document(
            reading.source,
            location,
            reading.body,
            answer.content_type if answer else None,
            answer.url if answer else None,
        )
        kind = reading.kind or detect_kind(document)
        if kind not in POLLED and reading.was_feed:
            reason = "it was a feed when it was last read, and is a page now"
            raise Unusable("NotAFeed", reason, retryable=True)
        reading.kind = kind
        reading.items = read_document(document, reading.kind)

    def _ask(self, reading: Reading) -> None:
        """Asks the server, conditionally where that can be trusted."""
        feed, policy = reading.feed, self._polls
        etag = last_modified = None
        if feed is not None and may_be_conditional(feed, reading.began, policy):
            etag, last_modified = feed.etag, feed.last_modified
        url = (feed and feed.moved_to) or reading.source.location
        try:
            reading.answer = open_client(self._http).get(url, etag, last_modified)
            reading.body = reading.answer.body
        finally:
            reading.seconds = time.monotonic() - reading.start

    def _download(self, reading: Reading) -> None:
        """Reads an archive from the web, by way of a file on disk."""
        location = reading.source.location
        url = (reading.feed and reading.feed.moved_to) or location
        try:
            reading.answer = web_archives.fetch(location, url, self._http)
        finally:
            reading.seconds = time.monotonic() - reading.start
        self._read_archive(reading)

    def _read_archive(self, reading: Reading) -> None:
        """Reads an archive as a stream: it may be larger than memory."""
        reading.kind = "warc"
        document = Document(reading.source, reading.source.location, b"")
        with open_archive(document.location, self._http) as stream:
            for item in archive_items(stream, document):
                reading.items.append(item)
            reading.size = stream.seek(0, 2) or stream.tell()
        reading.seconds = time.monotonic() - reading.start

    def _waiting(self, reading: Reading) -> list[Entry]:
        """The feed's entries that failed in earlier runs and that it did not list now.

        Whatever it answered: a feed that has not changed does not name them again.
        """
        letters = self._ledger.letters.of_feed(reading.source.location)
        listed = {letter_id(entry) for entry in reading.entries} if letters else set()
        waiting = [
            letter_input(letter)
            for letter in letters
            if letter.retryable and letter.letter_id not in listed
        ]
        return [entry for entry in waiting if isinstance(entry, Entry)]

    def _letters(self, reading: Reading) -> list[TaggedOutput]:
        """The source's dead letter where it failed; the open one of an earlier run."""
        source, failure = reading.source, reading.failure
        earlier = self._ledger.letters.get(letter_id(source))
        outputs = [] if earlier is None else [TaggedOutput("tried", earlier)]
        if failure is not None:
            letter = dead_letter(
                STAGE, source.location, source.name, failure, reading.body, given=source
            )
            tries = letter.tries + (earlier.tries if earlier else 0)
            outputs.append(TaggedOutput("errors", dataclasses.replace(letter, tries=tries)))
        return outputs

    def _tag(self, item: Item) -> Entry | TaggedOutput:
        if isinstance(item, DeadLetter):
            return TaggedOutput("errors", item)
        if isinstance(item, Source):
            if not self._nested:
                return TaggedOutput("listed", item)
            error = Unusable("TooDeep", "a list inside a list inside a list is not followed")
            return TaggedOutput("errors", dead_letter(STAGE, item.location, item.name, error))
        assert isinstance(item, Entry)
        return item

    def tally(self, output: Entry | TaggedOutput) -> None:
        if isinstance(output, Entry):
            count("entries")
        elif output.tag == "polls":
            count("feeds")
            count("feeds_failed", int(output.value.error is not None))
            count("feeds_unchanged", int(output.value.status == 304))
        elif output.tag == "errors":
            count(f"errors_{output.value.stage}")
        elif output.tag == "skipped":
            count("feeds_skipped")


class ReadSources(beam.PTransform):
    """Sources to entries, with outputs entries, listed, polls, tried and errors.

    ``listed`` holds the feeds that lists among the sources name, to be read by a second
    ReadSources with ``nested`` true; ``tried`` the dead letters of earlier runs whose
    source was read again.
    """

    def __init__(
        self,
        http: HttpPolicy,
        threads: int,
        lake: str,
        polls: PollPolicy | None = None,
        ledger: LedgerPolicy | None = None,
        revisions: RevisionPolicy | None = None,
        nested: bool = False,
    ):
        super().__init__()
        self._read = ReadSource(
            http,
            threads,
            lake,
            polls or PollPolicy(),
            ledger,
            revisions or RevisionPolicy(),
            nested,
        )

    def expand(self, pcoll):
        expand = beam.ParDo(ExpandSource()).with_output_types(Source, errors=DeadLetter)
        read = beam.ParDo(self._read).with_output_types(
            Entry, listed=Source, polls=Poll, errors=DeadLetter, tried=DeadLetter, skipped=str
        )
        expanded = pcoll | "Expand" >> expand.with_outputs("errors", main="sources")
        # Grouping spreads them over workers, too.
        spread = (
            expanded.sources
            | "ByLocation"
            >> beam.Map(lambda source: (source.location, source)).with_output_types(
                tuple[str, Source]
            )
            | "Group" >> beam.GroupByKey()
            | "Once" >> beam.Map(first_source).with_output_types(Source)
        )
        found = spread | "Read" >> read.with_outputs(
            "listed", "polls", "errors", "tried", "skipped", main="entries"
        )
        errors = (expanded.errors, found.errors) | "Errors" >> beam.Flatten()
        return {
            "entries": found.entries,
            "listed": found.listed,
            "polls": found.polls,
            "tried": found.tried,
            "errors": errors,
        }
