"""Records of files that others stand for: how a day is changed where there is no one rename.

On an object store, and on a disk that cannot exchange two folders, the new files of a day are put
beside the old ones. A record, ``LAKE/.unfinished/replaced/ID.STATE.json``, tells which is which:
while it is pending the new files are not there, once it is committed the old ones are not, for
whoever asks ``hidden_files``. A record is never changed; its states are files of their own, and
committed goes before pending.
"""

import dataclasses
import functools
import json
import platform
import uuid
from datetime import date, datetime

from schemas.table import Table
from transforms.storage import UNFINISHED, paths_below, put_bytes, read_bytes, remove_files

PENDING, COMMITTED = ".pending.json", ".committed.json"


@dataclasses.dataclass(frozen=True)
class Replacement:
    """Files of one day of a table, by name, and those that stand for them.

    ``host`` is the machine whose compaction made it, at ``made_at`` (UTC).
    """

    record_id: str
    table: str
    day: date
    old: tuple[str, ...]
    new: tuple[str, ...]
    host: str
    made_at: datetime
    is_committed: bool = False


def record_folder(lake: str) -> str:
    """Where the records of a lake lie."""
    return f"{lake.rstrip('/')}/{UNFINISHED}/replaced"


def record_paths(lake: str) -> tuple[str, ...]:
    """The records of a lake, in every state; two equal answers mean that nothing has changed."""
    return tuple(paths_below(record_folder(lake), "*.json"))


@functools.lru_cache(maxsize=1024)
def read_record(path: str) -> Replacement:
    """A record. Raises OSError where it is gone."""
    found = json.loads(read_bytes(path))
    return Replacement(
        record_id=path.rpartition("/")[2].partition(".")[0],
        table=found["table"],
        day=date.fromisoformat(found["date"]),
        old=tuple(found["old"]),
        new=tuple(found["new"]),
        host=found["host"],
        made_at=datetime.fromisoformat(found["made_at"]),
        is_committed=path.endswith(COMMITTED),
    )


def read_records(paths: tuple[str, ...]) -> list[Replacement]:
    """The records as they stand, oldest first. Raises OSError where one is gone meanwhile."""
    records: dict[str, Replacement] = {}
    for path in paths:
        record = read_record(path)
        if record.is_committed or record.record_id not in records:
            records[record.record_id] = record
    return sorted(records.values(), key=lambda record: record.made_at)


def hidden_files(records: list[Replacement], table: Table) -> set[tuple[date, str]]:
    """The files of a table that are not to be read, by day and name."""
    return {
        (record.day, name)
        for record in records
        if record.table == table.name
        for name in (record.old if record.is_committed else record.new)
    }


def begin(
    lake: str, table: Table, day: date, old: tuple[str, ...], new: tuple[str, ...], now: datetime
) -> Replacement:
    """Makes a pending record; only after this may the new files be put."""
    record = Replacement(uuid.uuid4().hex, table.name, day, old, new, platform.node(), now)
    put_bytes(lake, record_path(lake, record, PENDING), content(record), is_table=False)
    return record


def commit(lake: str, record: Replacement) -> Replacement:
    """From here on the new files are what the table has."""
    put_bytes(lake, record_path(lake, record, COMMITTED), content(record), is_table=False)
    return dataclasses.replace(record, is_committed=True)


def record_path(lake: str, record: Replacement, state: str) -> str:
    """Where a record lies in one of its states."""
    return f"{record_folder(lake)}/{record.record_id}{state}"


def content(record: Replacement) -> bytes:
    """A record as JSON."""
    found = {
        "table": record.table,
        "date": record.day.isoformat(),
        "old": record.old,
        "new": record.new,
        "host": record.host,
        "made_at": record.made_at.isoformat(),
    }
    return json.dumps(found, indent=1).encode()


def settle(lake: str, record: Replacement, forget: bool) -> None:
    """Ends what a record has begun: undoes a pending one, finishes a committed one.

    A committed record stays unless it is to be forgotten: a reader that listed the old files, or
    a writer that puts one again, may still be about.
    """
    folder = f"{lake.rstrip('/')}/{record.table}/date={record.day.isoformat()}"
    remove_files(folder, record.old if record.is_committed else record.new)
    remove_files(record_folder(lake), [record.record_id + PENDING])
    if forget:
        remove_files(record_folder(lake), [record.record_id + COMMITTED])
