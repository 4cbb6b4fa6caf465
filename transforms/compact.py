"""Compacts a lake: the many small files of a closed day become few, without a moment between.

The merged files of a day are made aside and take the place of the others in one step: on a local
disk its folder is exchanged, elsewhere a record says which files count (``transforms.replaced``).
What a crash leaves aside is of no use to anybody; the next compaction clears it.
"""

import contextlib
import dataclasses
import errno
import fcntl
import os
import platform
import shutil
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from schemas.table import Table
from schemas.tables import TABLES, stable_id
from transforms.compacted import PREFIX
from transforms.lake import day_files, file_date, file_name, table_files
from transforms.merge import Layout, Merged, Unmergeable, merge_files
from transforms.replaced import begin, commit, read_records, record_paths, settle
from transforms.storage import (
    UNFINISHED,
    Mark,
    is_remote,
    lake_lock,
    open_lock,
    put_file,
    read_bytes,
    sync_folder,
)
from transforms.swap import CannotExchange, exchange_folders, link_file

# How often a day is begun again because its files were replaced meanwhile.
TRIES = 3
# For so long a reader may be at work on what it listed, or a writer at a file not yet whole.
PATIENCE = timedelta(days=1)


@dataclasses.dataclass(frozen=True)
class CompactResult:
    """What a compaction has done; sizes in bytes. ``skipped`` says what it could not do."""

    days: int = 0
    files_before: int = 0
    files_after: int = 0
    rows: int = 0
    rows_dropped: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    skipped: tuple[str, ...] = ()

    def plus(self, other: "CompactResult") -> "CompactResult":
        """Both together."""
        mine, more = dataclasses.astuple(self), dataclasses.astuple(other)
        return CompactResult(*(one + two for one, two in zip(mine, more, strict=True)))


class CompactionRunning(Exception):
    """Another compaction is at work on the lake."""


def compact_lake(
    lake: str, before: date, least: int = 1, layout: Layout | None = None
) -> CompactResult:
    """Compacts the days before one that have at least so many files not yet compacted.

    Raises CompactionRunning, and OSError where the lake cannot be changed at all.
    """
    total = CompactResult()
    with compaction_lock(lake):
        clear(lake, datetime.now(UTC))
        for table in TABLES.values():
            for day in due_days(lake, table, before, least):
                try:
                    total = total.plus(compact_day(lake, table, day, layout))
                except (Unmergeable, OSError) as error:
                    # Of a full disk no file is of interest, and it is said of all days at once.
                    is_full = getattr(error, "errno", None) == errno.ENOSPC
                    reason = "the disk is full" if is_full else error
                    skipped = f"{table.name} of {day.isoformat()}: {reason}"
                    total = total.plus(CompactResult(skipped=(skipped,)))
    return total


def due_days(lake: str, table: Table, before: date, least: int) -> list[date]:
    """The days before one with at least so many files not yet compacted."""
    loose: dict[date, int] = defaultdict(int)
    for path in table_files(lake, table):
        loose[file_date(path)] += not file_name(path).startswith(PREFIX)
    return sorted(day for day, files in loose.items() if day < before and files >= least)


def compact_day(lake: str, table: Table, day: date, layout: Layout | None = None) -> CompactResult:
    """Compacts one day of a table. Raises Unmergeable, and OSError; the day is then as it was."""
    for _ in range(TRIES):
        with workspace(lake) as folder:
            marks = day_files(lake, table, day)
            try:
                merged = merge_files(table, local_copies(marks, folder), folder, layout)
            except (Unmergeable, OSError):
                if day_files(lake, table, day) == marks:
                    raise
                continue
            sizes = sum(path.stat().st_size for path in merged.paths)
            if not merged.rows or put_in_place(lake, table, day, marks, merged):
                before = int(sum(mark[-1] for mark in marks.values()))
                counts = (len(marks), len(merged.paths), merged.rows, merged.dropped)
                return CompactResult(1, *counts, before, sizes)
    raise Unmergeable("its files were replaced while it was compacted")


def local_copies(marks: dict[str, Mark], folder: Path) -> list[str]:
    """Files of a lake as files of this machine, under their own names."""
    paths = []
    for path in marks:
        if is_remote(path):
            copy = folder / file_name(path)
            copy.write_bytes(read_bytes(path))
            path = str(copy)
        paths.append(path)
    return paths


def put_in_place(
    lake: str, table: Table, day: date, marks: dict[str, Mark], merged: Merged
) -> bool:
    """Lets merged files stand for those with these marks; whether these were still the same."""
    if not is_remote(lake):
        with contextlib.suppress(CannotExchange):
            return put_by_exchange(lake, table, day, marks, merged)
    return put_by_record(lake, table, day, marks, merged)


def put_by_exchange(
    lake: str, table: Table, day: date, marks: dict[str, Mark], merged: Merged
) -> bool:
    """Exchanges the day's folder for that of the merged files, in one rename.

    Files that have come since are given a second name in the new folder. Raises CannotExchange.
    """
    old, new = Path(lake, table.name, f"date={day.isoformat()}"), merged.paths[0].parent
    with lake_lock(lake, shared=False):
        if not are_same(marks, day_files(lake, table, day)):
            return False
        for path in old.iterdir():
            if str(path) not in marks:
                link_file(path, new)
        sync_folder(new)
        exchange_folders(new, old)
    # Only now may the old files, which lie aside, be removed.
    sync_folder(old.parent)
    sync_folder(new.parent)
    return True


def put_by_record(
    lake: str, table: Table, day: date, marks: dict[str, Mark], merged: Merged
) -> bool:
    """Puts the merged files beside the others, and says by a record which of them count."""
    folder = f"{lake.rstrip('/')}/{table.name}/date={day.isoformat()}"
    old = tuple(file_name(path) for path in marks)
    new = tuple(path.name for path in merged.paths)
    record = begin(lake, table, day, old, new, datetime.now(UTC))
    others = [
        each
        for each in read_records(record_paths(lake))
        if (each.table, each.day, each.is_committed) == (table.name, day, False)
    ]
    if len(others) > 1:
        settle(lake, record, forget=True)
        raise Unmergeable(f"a compaction on {others[0].host} is at work on it")
    for path in merged.paths:
        put_file(lake, f"{folder}/{path.name}", path)
    with lake_lock(lake, shared=False):
        same = are_same(marks, day_files(lake, table, day))
        if same:
            record = commit(lake, record)
    settle(lake, record, forget=not same)
    return same


def are_same(marks: dict[str, Mark], now: dict[str, Mark]) -> bool:
    """Whether files are what they were when they were marked."""
    return all(now.get(path) == mark for path, mark in marks.items())


def clear(lake: str, now: datetime) -> None:
    """Removes what crashed writers left, and finishes or undoes what records have begun.

    Only for who holds the compaction's lock.
    """
    if not is_remote(lake):
        aside = Path(lake, UNFINISHED)
        for path in aside.glob(f"{PREFIX}*"):
            shutil.rmtree(path)
        for path in aside.glob("*.tmp"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - PATIENCE.total_seconds():
                    path.unlink()
    for record in read_records(record_paths(lake)):
        is_old = now - record.made_at > PATIENCE
        # The pending record of another machine may be that of a compaction that is at work.
        if record.is_committed or is_old or record.host == platform.node():
            settle(lake, record, forget=is_old or not record.is_committed)


@contextlib.contextmanager
def workspace(lake: str) -> Iterator[Path]:
    """A folder for the merged files: hidden, on the lake's disk; elsewhere for remote lakes."""
    if is_remote(lake):
        with tempfile.TemporaryDirectory(prefix="wirewatch-") as temporary:
            yield Path(temporary)
        return
    folder = Path(lake, UNFINISHED, f"{PREFIX}{uuid.uuid4().hex}")
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def compaction_lock(lake: str) -> Iterator[None]:
    """Keeps other compactions of this machine from a lake. Raises CompactionRunning."""
    name = f"wirewatch-{os.getuid()}-{stable_id(lake)}.lock"
    remote = Path(tempfile.gettempdir(), name)
    with open_lock(remote if is_remote(lake) else Path(lake, UNFINISHED, "compact.lock")) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CompactionRunning(lake) from None
        yield
