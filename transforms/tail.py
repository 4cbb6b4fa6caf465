"""Follows a table of a lake: which files are new, and which went without others for them."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import fs

from schemas.table import Table
from transforms.compacted import PREFIX, merged_names
from transforms.lake import file_date, file_name, is_remote, open_table, read_table, table_files

LOCAL = fs.LocalFileSystem()
# How often it lists again because files that it listed were compacted meanwhile: a compaction of a
# whole lake does a day every tenth of a second, and reading is to outlast it.
TRIES = 1000
Files = dict[date, set[str]]


@dataclasses.dataclass(frozen=True)
class Changes:
    """What has changed since the last look: paths to read, and days.

    The days ``lost`` had files that went: what was read of them is to be forgotten, and all
    their files are among the new. ``expired`` are days that the window has left behind.
    ``window`` and ``older`` are all files, by day: those within the window and those before it.
    """

    new: list[str]
    lost: frozenset[date]
    expired: frozenset[date]
    window: Files
    older: Files


class Tail:
    """The files of a table that were not read before, of the last ``days`` days or of all."""

    def __init__(self, lake: str, table: Table, days: int | None = None):
        self.lake, self.table, self.days = lake, table, days
        self._seen: Files = {}

    def first_day(self) -> date:
        """The first day of the window."""
        if self.days is None:
            return date.min
        return datetime.now(UTC).date() - timedelta(days=self.days)

    def follow(self, read: Callable[[Changes], None]) -> None:
        """Has the changes read; again, from a new listing, where files went in between."""
        for tries in range(1, TRIES + 1):
            changes = self.changes()
            try:
                read(changes)
            except OSError:
                now = set(table_files(self.lake, self.table))
                if tries == TRIES or now == all_paths(changes):
                    raise
                continue
            self._seen = changes.window
            return

    def note(self, path: str) -> None:
        """A file that needs no reading, since this process wrote it."""
        self._seen.setdefault(file_date(path), set()).add(path)

    def changes(self) -> Changes:
        """What has changed since files were last read.

        A compacted file names the files it stands for. Where these are all that went, nothing
        is lost; where they were all read, neither is it to be read.
        """
        first = self.first_day()
        window: Files = defaultdict(set)
        older: Files = defaultdict(set)
        for path in table_files(self.lake, self.table):
            day = file_date(path)
            (window if day >= first else older)[day].add(path)
        new: list[str] = []
        lost: set[date] = set()
        for day in {*window, *(day for day in self._seen if day >= first)}:
            had, now = self._seen.get(day, set()), window.get(day, set())
            found, gone = now - had, had - now
            if gone:
                stands = {path: names_within(path) for path in found if is_compacted(path)}
                if names(gone) <= set().union(*stands.values()):
                    known = {path for path in stands if stands[path] <= names({*had, path})}
                    found -= known
                else:
                    lost.add(day)
                    found = now
            new += found
        expired = frozenset(day for day in self._seen if day < first)
        return Changes(sorted(new), frozenset(lost), expired, dict(window), dict(older))

    def rows(self, paths: list[str], columns: list[str], where: pc.Expression) -> pa.Table:
        """Rows of files of the table; what an older version did not have is null."""
        if is_remote(self.lake):
            parts = [self.table.schema.empty_table(), *map(read_table, paths)]
            return pa.concat_tables(parts, promote_options="default").filter(where).select(columns)
        found = ds.dataset(paths, schema=self.table.schema, format="parquet", filesystem=LOCAL)
        return found.to_table(columns, where)


def all_paths(changes: Changes) -> set[str]:
    """Every file of the listing that changes were found in."""
    return set().union(*changes.window.values(), *changes.older.values())


def names(paths: Iterable[str]) -> set[str]:
    """The names of files."""
    return {file_name(path) for path in paths}


def is_compacted(path: str) -> bool:
    """Whether a compaction has made a file."""
    return file_name(path).startswith(PREFIX)


def names_within(path: str) -> set[str]:
    """The names of all files that a compacted file stands for, its own among them."""
    try:
        return merged_names(path, open_table(path).metadata)
    except OSError:
        return set()
