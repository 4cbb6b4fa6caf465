"""Where the tables lie: listing their files, and putting a file there whole or not at all.

A lake is a folder on local disk or on an object store that Beam has a filesystem for.
"""

import io
import os
import re
import uuid
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schemas.tables import Table, stable_id

COMPRESSION = "zstd"
# Not in a table's folder: Polars takes every file there for one of the table's.
UNFINISHED = ".unfinished"
PARTITION = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/[^/]+$")


def is_remote(path: str) -> bool:
    """Whether a path is an address on an object store, such as gs://bucket/lake."""
    return "://" in path


def _filesystems() -> Any:
    # Imported when needed: a query over a local lake need not wait for Beam.
    from apache_beam.io.filesystems import FileSystems

    return FileSystems


def table_files(lake: str, table: Table) -> list[str]:
    """The Parquet files of a table, sorted; empty where there is no such table yet."""
    folder = f"{lake.rstrip('/')}/{table.name}"
    if not is_remote(lake):
        return sorted(str(path) for path in Path(folder).glob("date=*/[!.]*.parquet"))
    matched = _filesystems().match([f"{folder}/date=*/*.parquet"])[0].metadata_list
    return sorted(metadata.path for metadata in matched)


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
    buffer = io.BytesIO()
    pq.write_table(rows, buffer, compression=COMPRESSION)
    if is_remote(path):
        # On an object store a put is atomic and a rename is a copy.
        with _filesystems().create(path) as file:
            file.write(buffer.getvalue())
    else:
        replace_file(Path(path), buffer.getvalue(), Path(lake) / UNFINISHED)


def read_table(path: str, columns: list[str] | None = None) -> pa.Table:
    """The rows of one Parquet file, all columns or some; without the partition's."""
    if not is_remote(path):
        return pq.ParquetFile(path).read(columns)
    with _filesystems().open(path) as file:
        return pq.ParquetFile(io.BytesIO(file.read())).read(columns)


def replace_file(path: Path, content: bytes, unfinished: Path) -> None:
    """Writes a local file so that it appears whole or not at all, also after a power cut.

    ``unfinished`` is the folder, on the same disk, where it lies until it is whole.
    """
    unfinished.mkdir(parents=True, exist_ok=True)
    temporary = unfinished / f"{path.name}.{uuid.uuid4().hex}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
