"""Where the tables lie: listing their files, and putting a file there whole or not at all.

A lake is a folder on local disk or on an object store that Beam has a filesystem for.
"""

import io
import re
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.table import Table
from schemas.tables import stable_id
from transforms.replaced import hidden_files, read_records, record_paths
from transforms.storage import (
    Mark,
    is_remote,
    marked_files,
    paths_below,
    paths_unchanged_since,
    put_bytes,
    read_bytes,
    replace_bytes,
)

COMPRESSION = "zstd"
PARTITION = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/([^/]+)$")


def table_files(lake: str, table: Table) -> list[str]:
    """The Parquet files of a table, sorted; empty where there is no such table yet.

    Where a compaction works by records, the files are those that the records leave, as of one
    moment: it lists again where the records have changed meanwhile.
    """
    folder = f"{lake.rstrip('/')}/{table.name}"
    records = record_paths(lake)
    while True:
        paths = paths_below(folder, "date=*/*.parquet")
        hidden, now = hidden_now(lake, table, records)
        if now == records:
            return [path for path in paths if (file_date(path), file_name(path)) not in hidden]
        records = now


def hidden_now(
    lake: str, table: Table, records: tuple[str, ...]
) -> tuple[set[tuple[date, str]], tuple[str, ...]]:
    """The files that records hide, and the records there are now."""
    try:
        hidden = hidden_files(read_records(records), table)
    except OSError:
        # One of them went before it was read; if it is still listed, it cannot be read.
        now = record_paths(lake)
        if now == records:
            raise
        return set(), now
    return hidden, record_paths(lake)


def files_unchanged_since(lake: str, table: Table, moment: datetime) -> set[str]:
    """The files of a table that were last written before a moment, whatever day they are of."""
    folder = f"{lake.rstrip('/')}/{table.name}"
    return paths_unchanged_since(folder, "date=*/*.parquet", moment)


def day_files(lake: str, table: Table, day: date) -> dict[str, Mark]:
    """The files that one day of a table has now, each with its mark."""
    return files_with_marks(lake, table, day, "*.parquet")


def file_mark(lake: str, table: Table, path: str) -> Mark | None:
    """The mark of a table's file, as long as it is one; None after that."""
    return files_with_marks(lake, table, file_date(path), file_name(path)).get(path)


def files_with_marks(lake: str, table: Table, day: date, pattern: str) -> dict[str, Mark]:
    """Those of the files of a day that fit a glob."""
    folder = f"{lake.rstrip('/')}/{table.name}"
    marks = marked_files(folder, f"date={day.isoformat()}/{pattern}")
    records = record_paths(lake)
    hidden = hidden_files(read_records(records), table)
    return {
        path: mark for path, mark in sorted(marks.items()) if (day, file_name(path)) not in hidden
    }


def file_name(path: str) -> str:
    """The name of a file without its folder."""
    return path.rpartition("/")[2]


def file_date(path: str) -> date:
    """The partition date of a table's file."""
    match = PARTITION.search(path)
    if match is None:
        raise ValueError(f"{path} is not in a date=YYYY-MM-DD folder")
    return date.fromisoformat(match[1])


def put_rows(lake: str, table: Table, day: date, ids: Sequence[str], rows: list[dict]) -> str:
    """Writes rows as one Parquet file named by a hash of ``ids``; returns its path.

    The name depends on the content alone, so that a bundle tried again replaces its
    file instead of adding one.
    """
    folder = f"{lake.rstrip('/')}/{table.name}/date={day.isoformat()}"
    path = f"{folder}/{stable_id(*sorted(ids))}.parquet"
    # Spelt as table_files does, since the ledger compares paths.
    path = path if is_remote(lake) else str(Path(path))
    write_table(lake, path, pa.Table.from_pylist(rows, schema=table.schema))
    return path


def write_table(lake: str, path: str, rows: pa.Table) -> None:
    """Writes a Parquet file of a lake, whole or not at all; one that is there is replaced."""
    put_bytes(lake, path, parquet_bytes(rows))


def replace_table(lake: str, path: str, rows: pa.Table, mark: Mark) -> bool:
    """Puts other rows in the place of a file that has this mark; whether it was still there."""
    return replace_bytes(lake, path, parquet_bytes(rows), mark)


def parquet_bytes(rows: pa.Table) -> bytes:
    """Rows as the content of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression=COMPRESSION)
    return buffer.getvalue()


def open_table(path: str, dictionaries: list[str] | None = None) -> pq.ParquetFile:
    """A Parquet file to read from, some columns as dictionaries.

    Raises OSError where there is none.
    """
    source = io.BytesIO(read_bytes(path)) if is_remote(path) else path
    return pq.ParquetFile(source, read_dictionary=dictionaries)


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of one Parquet file, all columns or some; without the partition's."""
    return open_table(path).read(columns)
