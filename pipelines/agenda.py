"""What a tick of the watcher has to do: the feeds that are due, files that are new, failures."""

import dataclasses
import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems

from pipelines.monitor import MonitorPlan
from schemas.records import DeadLetter, Entry, Poll, Source
from transforms.deadletter import Unusable, letter_input
from transforms.files import expand_source
from transforms.lake import is_remote
from transforms.ledger import Ledger
from transforms.listed import listed_by
from transforms.locate import locate
from transforms.poll import due, may_try_again
from transforms.urls import is_web

# The size and the time of the last change, by which a file is known to be the same.
Stamp = tuple[int, float]


@dataclasses.dataclass(frozen=True)
class Work:
    """What one tick reads; ``stamps`` are of the files among the sources."""

    sources: tuple[Source, ...] = ()
    listed: tuple[Source, ...] = ()
    letters: tuple[DeadLetter, ...] = ()
    stamps: dict[str, Stamp] = dataclasses.field(default_factory=dict)

    @property
    def is_nothing(self) -> bool:
        return not (self.sources or self.listed or self.letters)


class Agenda:
    """Remembers what this process has read; what feeds want stands in the lake.

    Nothing is remembered before the tick that read it has ended well.
    """

    def __init__(self, began: datetime):
        self._began = began
        self._stamps: dict[str, Stamp] = {}
        # When an address was read last, in this process and by a clock that is never set.
        self._read_at: dict[str, float] = {}
        self.watched: set[str] = set()
        self.missing: set[str] = set()

    def find(self, plan: MonitorPlan, ledger: Ledger, now: datetime) -> Work:
        """What is to be done now (UTC)."""
        self.missing = set()
        files, web = self._files(plan), [s for s in plan.sources if is_web(s.location)]
        new = {path: stamp for path, (_, stamp) in files.items() if self._is_new(path, stamp)}
        asked = [s for s in web if self._is_due(s.location, plan, ledger, now)]
        sources = [source for path, (source, _) in files.items() if path in new] + asked
        read = {source.location for source in sources}
        lists = [*files, *(source.location for source in web)]
        # A list that is read in this tick names its feeds itself.
        listed = {
            source.location: source
            for place in lists
            if place not in read
            for source in listed_by(place)
            if source.location not in lists
        }
        self.watched = set(lists).union(
            *({source.location for source in listed_by(place)} for place in lists)
        )
        wanted = [s for s in listed.values() if due_now(s, ledger, plan, now)]
        read |= {source.location for source in wanted}
        letters = tuple(self._letters(plan, ledger, now, read))
        return Work(tuple(dict.fromkeys(sources)), tuple(wanted), letters, new)

    def commit(self, work: Work) -> None:
        """Remembers that a tick has done its work."""
        self._stamps |= work.stamps
        moment = time.monotonic()
        self._read_at |= {source.location: moment for source in work.sources}

    def forget(self) -> None:
        """Forgets what was read, where another configuration or lake has to read it again."""
        self._stamps.clear()
        self._read_at.clear()

    def _files(self, plan: MonitorPlan) -> dict[str, tuple[Source, Stamp]]:
        """The files that the sources stand for now, those of the lake left out."""
        found: dict[str, tuple[Source, Stamp]] = {}
        lake = "" if is_remote(plan.lake) else os.path.join(os.path.abspath(plan.lake), "")
        for source in plan.sources:
            if is_web(source.location):
                continue
            is_there = False
            for file, stamp in stamped_files(source):
                is_there = True
                in_lake = lake and os.path.abspath(file.location).startswith(lake)
                if not in_lake:
                    found.setdefault(file.location, (file, stamp))
            if not is_there and not os.path.isdir(source.location):
                self.missing.add(source.location)
        for path in self._stamps.keys() - found.keys():
            del self._stamps[path]
        return found

    def _is_new(self, path: str, stamp: Stamp) -> bool:
        return self._stamps.get(path) != stamp

    def _is_due(self, location: str, plan: MonitorPlan, ledger: Ledger, now: datetime) -> bool:
        feed = ledger.feeds.last(location)
        read_at = self._read_at.get(location)
        if read_at is None:
            return due(feed, now, plan.polls.longest) or (feed is not None and may_be_list(feed))
        if feed is None:  # A page or a text: it has no polls.
            return time.monotonic() >= read_at + plan.polls.usual
        return due(feed, now, plan.polls.longest)

    def _letters(
        self, plan: MonitorPlan, ledger: Ledger, now: datetime, read: set[str]
    ) -> Iterator[DeadLetter]:
        """The failed entries whose next try is due and that no feed of this tick brings."""
        for letter in ledger.letters.all():
            if not letter.retryable or not may_try_again(letter, plan.polls, now):
                continue
            given = letter_input(letter)
            if not isinstance(given, Entry):
                continue
            # Earlier versions named a feed's file by its path from the current folder.
            feed = given.feed_url and locate(given.feed_url)
            # What stood in a file or a list is this process's concern where it met it.
            is_ours = feed is None and letter.occurred_at >= self._began
            if feed not in read and (is_ours or feed in self.watched):
                yield letter


def due_now(source: Source, ledger: Ledger, plan: MonitorPlan, now: datetime) -> bool:
    """Whether a feed of a list is due."""
    return due(ledger.feeds.last(source.location), now, plan.polls.longest)


def may_be_list(feed: Poll) -> bool:
    """Whether a source may be a list of feeds, by its last poll.

    A list has no validators, and no entries that could be new. A new process reads lists at
    once, for what they name stands nowhere else.
    """
    validators = feed.etag or feed.last_modified
    return not feed.gone and validators is None and feed.last_new_at is None


def stamped_files(source: Source) -> Iterable[tuple[Source, Stamp]]:
    """The files of a path, folder or glob, with their stamps; none where nothing is there."""
    try:
        files = expand_source(source)
    except Unusable:
        return
    for file in files:
        with_stamp = file_stamp(file.location)
        if with_stamp is not None:
            yield file, with_stamp


def file_stamp(path: str) -> Stamp | None:
    """The stamp of a file; None where it is not there any more."""
    try:
        if not is_remote(path):
            status = os.stat(path)
            return status.st_size, status.st_mtime_ns
        found = FileSystems.match([path])[0].metadata_list
    except (OSError, BeamIOError):
        return None
    return (found[0].size_in_bytes, found[0].last_updated_in_seconds) if found else None
