"""Reads sources: folders and globs into files, feeds and lists into entries."""

import dataclasses
import glob
import os
import time
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry, Poll, Source
from transforms.clean import one_line
from transforms.count import count
from transforms.deadletter import Unusable, dead_letter
from transforms.decode import gunzip
from transforms.http import HttpPolicy, Response, lane_of, open_client
from transforms.lake import is_remote
from transforms.ledger import Ledger, open_ledger
from transforms.pool import ConcurrentDoFn
from transforms.sources import KINDS, POLLED, Document, Item, detect_kind
from transforms.urls import is_web

STAGE = "read"


def expand_source(source: Source) -> list[Source]:
    """The files that a folder or glob stands for, sorted; any other source as it is.

    Hidden files and folders are passed over. Raises Unusable where nothing is there.
    """
    location = source.location
    if is_web(location) or os.path.isfile(location):
        return [source]
    is_folder = os.path.isdir(location)
    pattern = os.path.join(glob.escape(location), "**") if is_folder else location
    paths = [path for path in match_files(pattern) if not is_hidden(path, location)]
    if not paths:
        raise Unusable("NotFound", "no such file" if not is_folder else "the folder is empty")
    # The name of a folder or glob says less than the name of the file.
    return [dataclasses.replace(source, location=path) for path in paths]


def match_files(pattern: str) -> list[str]:
    """The files that match a glob on any filesystem Beam knows, sorted."""
    if not is_remote(pattern):
        # Beam's own matching of local files finds nothing for a bare "*.txt".
        return sorted(path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path))
    try:
        return sorted(file.path for file in FileSystems.match([pattern])[0].metadata_list)
    except (BeamIOError, ValueError) as error:
        raise Unusable("NotFound", f"cannot be listed: {error}", retryable=True) from error


def is_hidden(path: str, root: str) -> bool:
    """Whether a file, or a folder between it and ``root``, has a name that starts with a dot."""
    inside = path[len(root) :] if path.startswith(root) else os.path.basename(path)
    return any(part.startswith(".") for part in inside.replace("\\", "/").split("/"))


def is_utf8(text: str) -> bool:
    """Whether a text can be stored: it holds no lone surrogate, as a file's name may."""
    return text == text.encode("utf-8", "ignore").decode()


def read_file(path: str, max_bytes: int) -> bytes:
    """The content of a file on any filesystem Beam knows, decompressed by its suffix.

    Raises Unusable where it cannot be read or is over ``max_bytes``.
    """
    try:
        with FileSystems.open(path) as file:
            content = file.read(max_bytes + 1)
    except (OSError, BeamIOError, EOFError, ValueError) as error:
        raise Unusable(type(error).__name__, f"cannot be read: {error}", retryable=True) from error
    if len(content) > max_bytes:
        raise Unusable("TooLarge", f"file is over {max_bytes:,} bytes")
    return content


def read_document(document: Document, kind: str) -> list[Item]:
    """What a document of a kind lists. Raises Unusable."""
    try:
        return list(KINDS[kind](document))
    except Unusable:
        raise
    except Exception as error:  # A parser may fail in any way on hostile bytes.
        raise Unusable(type(error).__name__, f"cannot be read as {kind}: {error}") from error


class _Reading:
    """What is known so far of one reading of a source, also where it fails half way."""

    def __init__(self, source: Source):
        self.source = source
        self.kind = source.kind
        self.began = datetime.now(UTC)
        self.start = time.monotonic()
        self.seconds = 0.0
        self.answer: Response | None = None
        self.body = b""
        self.items: list[Item] = []
        self.failure: Unusable | None = None


def make_poll(reading: _Reading, ledger: Ledger) -> Poll:
    """The record of a feed's reading, whether it succeeded or not."""
    entries = [item for item in reading.items if isinstance(item, Entry)]
    listed = [item for item in reading.items if isinstance(item, Source)]
    answer, failure, source = reading.answer, reading.failure, reading.source
    return Poll(
        feed_url=source.location,
        source=entries[0].source if entries else source.name or source.location,
        status=answer.status if answer else failure.status if failure else None,
        etag=answer.headers.get("etag") if answer else None,
        last_modified=answer.headers.get("last-modified") if answer else None,
        entries=len(entries) + len(listed),
        new_entries=sum(not ledger.knows_address(entry.location) for entry in entries),
        bytes=len(reading.body),
        duration_ms=round(reading.seconds * 1000),
        error=one_line(str(failure)) if failure else None,
        polled_at=reading.began,
    )


class ReadSource(ConcurrentDoFn):
    """Opens each source and reads what it lists; see ReadSources."""

    _ledger: Ledger

    def __init__(self, http: HttpPolicy, threads: int, lake: str, nested: bool):
        super().__init__(threads)
        self._http = http
        self._lake = lake
        self._nested = nested

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake)

    def lane(self, element: Source) -> str | None:
        return lane_of(element.location)

    def pause(self, lane: str) -> float:
        return open_client(self._http).hosts.pause(lane)

    def work(self, element: Source) -> list:
        reading = _Reading(element)
        try:
            self._read(reading)
        except Unusable as error:
            reading.failure = error
        outputs = [self._tag(item) for item in reading.items]
        if reading.failure is not None:
            letter = dead_letter(
                STAGE, element.location, element.name, reading.failure, reading.body
            )
            outputs.append(TaggedOutput("errors", letter))
        # An address that gave nothing may have been a feed: the failure is on record as a poll.
        unknown = reading.kind is None and is_web(element.location)
        if reading.kind in POLLED or unknown:
            outputs.append(TaggedOutput("polls", make_poll(reading, self._ledger)))
        return outputs

    def _read(self, reading: "_Reading") -> None:
        location, limit = reading.source.location, self._http.max_bytes
        try:
            if is_web(location):
                reading.answer = open_client(self._http).get(location)
                reading.body = reading.answer.body
            else:
                reading.body = read_file(location, limit)
        finally:
            reading.seconds = time.monotonic() - reading.start
        reading.body = gunzip(reading.body, limit)
        content_type = reading.answer.content_type if reading.answer else None
        document = Document(reading.source, location, reading.body, content_type)
        reading.kind = reading.kind or detect_kind(document)
        reading.items = read_document(document, reading.kind)

    def _tag(self, item: Item) -> Entry | TaggedOutput:
        if isinstance(item, DeadLetter):
            return TaggedOutput("errors", item)
        if isinstance(item, Source):
            if not self._nested:
                return TaggedOutput("listed", item)
            error = Unusable("TooDeep", "a list inside a list inside a list is not followed")
            return TaggedOutput("errors", dead_letter(STAGE, item.location, item.name, error))
        return item

    def tally(self, output: Entry | TaggedOutput) -> None:
        if isinstance(output, Entry):
            count("entries")
        elif output.tag == "polls":
            count("feeds")
            count("feeds_failed", int(output.value.error is not None))
        elif output.tag == "errors":
            count(f"errors_{output.value.stage}")


class ExpandSource(beam.DoFn):
    """Gives the files of a folder or glob."""

    def process(self, element: Source):
        try:
            expanded = expand_source(element)
        except Unusable as error:
            yield self._error(element, error)
            return
        count("sources", len(expanded))
        for source in expanded:
            if is_utf8(source.location):
                yield source
            else:
                yield self._error(source, Unusable("BadName", "the file's name is not UTF-8"))

    @staticmethod
    def _error(source: Source, error: Unusable) -> TaggedOutput:
        count(f"errors_{STAGE}")
        return TaggedOutput("errors", dead_letter(STAGE, source.location, source.name, error))


class ReadSources(beam.PTransform):
    """Sources to entries, with outputs entries, listed, polls and errors.

    ``listed`` holds the feeds that lists among the sources name, to be read by a second
    ReadSources with ``nested`` true.
    """

    def __init__(self, http: HttpPolicy, threads: int, lake: str, nested: bool = False):
        super().__init__()
        self._read = ReadSource(http, threads, lake, nested)

    def expand(self, pcoll):
        expand = beam.ParDo(ExpandSource()).with_output_types(Source, errors=DeadLetter)
        read = beam.ParDo(self._read).with_output_types(
            Entry, listed=Source, polls=Poll, errors=DeadLetter
        )
        expanded = pcoll | "Expand" >> expand.with_outputs("errors", main="sources")
        spread = expanded.sources | "Spread" >> beam.Reshuffle()
        listed = spread | "Read" >> read.with_outputs("listed", "polls", "errors", main="entries")
        errors = (expanded.errors, listed.errors) | "Errors" >> beam.Flatten()
        return {
            "entries": listed.entries,
            "listed": listed.listed,
            "polls": listed.polls,
            "errors": errors,
        }
