"""Merges Parquet files of one day of a table into few, sorted by source and time.

DuckDB sorts, within a fixed memory and on disk beyond it; pyarrow writes, so that the files keep
the schema that is documented.
"""

import contextlib
import dataclasses
import glob
import json
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.table import Table
from transforms.compacted import MERGED, PREFIX, merged_names

# What DuckDB may take; a day of 1.1 GB then peaks at 790 MB for the whole process. With more
# threads the same sort takes longer and needs more.
SORT_MEMORY = "512MB"
SORT_THREADS = 1
# Files of more bytes than this are sorted in several goes, each sorted by itself.
SORT_BYTES = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Layout:
    """How large files grow, in bytes, and row groups, in rows, before the next one begins.

    A row group is what a query by source and time reads or skips.
    """

    file_bytes: int = 128_000_000
    group_rows: int = 8_192


@dataclasses.dataclass(frozen=True)
class Merged:
    """What a merge has made. ``dropped`` counts the rows that were there twice."""

    paths: tuple[Path, ...]
    rows: int
    dropped: int


class Unmergeable(Exception):
    """Files that are not to be merged, and why."""


def merge_files(
    table: Table, paths: list[str], folder: Path, layout: Layout | None = None
) -> Merged:
    """Merges local files into files ``merged/compacted-ID-0001.parquet`` and so on in a folder.

    Rows and their columns stay as they are; a column that an older version did not have is null.
    The files are flushed to disk. Raises Unmergeable.
    """
    spill, target = folder / "spill", folder / "merged"
    target.mkdir()
    try:
        metas = {path: pq.read_metadata(path) for path in paths}
        schema = merged_schema(table, metas)
        with contextlib.closing(open_sorter(spill)) as sorter:
            rows = sorted_rows(sorter, table, paths)
            writer = MergedFiles(target, schema, table.whole, layout or Layout())
            written = writer.write_all(rows)
    except (pa.ArrowInvalid, duckdb.Error) as error:
        raise Unmergeable(" ".join(str(error).split())) from error
    before = sum(meta.num_rows for meta in metas.values())
    return Merged(tuple(writer.paths), written, before - written)


def merged_schema(table: Table, metas: dict[str, pq.FileMetaData]) -> pa.Schema:
    """The table's schema; where a file lacks a column, or may have nulls in it, that may be null.

    Raises Unmergeable where a file has a column that the table does not know.
    """
    schema, names = table.schema, set()
    for path, meta in metas.items():
        found = meta.schema.to_arrow_schema()
        unknown = set(found.names) - set(schema.names)
        if unknown:
            raise Unmergeable(
                f"{path}: made by a newer version, with column {min(unknown)}: update wirewatch"
            )
        for number, field in enumerate(schema):
            if field.name not in found.names or found.field(field.name).nullable:
                schema = schema.set(number, field.with_nullable(True))
        names |= merged_names(path, meta)
    listed = json.dumps(sorted(names)).encode()
    return schema.with_metadata({**table.schema.metadata, MERGED: listed})


def open_sorter(spill: Path) -> duckdb.DuckDBPyConnection:
    """A DuckDB of bounded memory, which writes what it cannot hold to a folder."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": SORT_MEMORY,
        "threads": SORT_THREADS,
        "temp_directory": str(spill),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
    }
    sorter = duckdb.connect(config=config)
    sorter.execute("set timezone = 'UTC'")
    return sorter


def sorted_rows(
    sorter: duckdb.DuckDBPyConnection, table: Table, paths: list[str]
) -> Iterator[pa.RecordBatch]:
    """The rows of files in the table's order, without those that are there twice."""
    sorter.register("no_rows", table.schema.empty_table())
    columns = ", ".join(f'"{name}"' for name in table.schema.names)
    source = "(from no_rows union all by name from {})"
    if not table.whole:
        source = f"(select distinct {columns} from {source})"
    elif has_copies(sorter, table, reading(paths)):
        # Of each article one copy, and of that each passage once.
        source = (
            f"(select distinct on ({', '.join(table.keys)}) * from (from no_rows union all by name "
            f"select rows.* exclude (filename) from {{}} as rows "
            f"join kept using ({', '.join(table.whole)}, filename)))"
        )
    for part in parts(paths):
        query = f"select {columns} from {source.format(reading(part))} order by {order(table)}"
        yield from sorter.sql(query).to_arrow_reader(Layout.group_rows)


def reading(paths: list[str]) -> str:
    """SQL that reads files, with a column ``filename``."""
    # A name of a folder may have characters of a pattern in it.
    files = ", ".join("'" + glob.escape(path).replace("'", "''") + "'" for path in paths)
    flags = "union_by_name = true, hive_partitioning = false, filename = true"
    return f"read_parquet([{files}], {flags})"


def parts(paths: list[str]) -> Iterator[list[str]]:
    """Files in groups that one sort can take."""
    part: list[str] = []
    size = 0
    for path in paths:
        length = os.path.getsize(path)
        if part and size + length > SORT_BYTES:
            yield part
            part, size = [], 0
        part.append(path)
        size += length
    yield part


def order(table: Table) -> str:
    """The order of a table's rows as SQL."""
    names = [name for name in ("source",) if name in table.schema.names]
    times = [f"coalesce({', '.join(table.times)})"] if table.times else []
    return ", ".join(f"{each} nulls last" for each in [*names, *times, *table.keys]) or "all"


def has_copies(sorter: duckdb.DuckDBPyConnection, table: Table, read: str) -> bool:
    """Whether any article is in two files, or has a passage twice in one.

    Leaves the table ``kept``: the file of each article's earliest copy.
    """
    whole, time = ", ".join(table.whole), table.times[-1]
    sorter.execute(
        f"create temp table copies as select {whole}, filename, min({time}) as earliest, "
        f"count(*) > count(distinct {table.keys[-1]}) as is_double from {read} group by all"
    )
    sorter.execute(
        f"create temp table kept as select {whole}, filename from copies qualify row_number() "
        f"over (partition by {whole} order by earliest, filename) = 1"
    )
    query = (
        "select (select count(*) from copies) > (select count(*) from kept) "
        "or coalesce((select bool_or(is_double) from copies), false)"
    )
    # All is fetched: a result that is not read to its end keeps the connection.
    return bool(sorter.execute(query).fetchall()[0][0])


class MergedFiles:
    """Writes sorted rows to files of about one size; see ``merge_files``."""

    def __init__(self, folder: Path, schema: pa.Schema, whole: tuple[str, ...], layout: Layout):
        self.paths: list[Path] = []
        self._folder, self._name, self._schema = folder, uuid.uuid4().hex, schema
        self._whole, self._layout = whole, layout
        self._file: Any = None
        self._writer: pq.ParquetWriter | None = None

    def write_all(self, batches: Iterator[pa.RecordBatch]) -> int:
        """Writes all rows; how many they were."""
        rows, waiting = 0, self._schema.empty_table()
        try:
            for batch in batches:
                # Nullability comes from the schema, and not from DuckDB.
                more = pa.Table.from_batches([batch]).cast(self._schema)
                waiting = pa.concat_tables([waiting, more])
                rows += batch.num_rows
                while size := self._group_size(waiting):
                    self._write(waiting.slice(0, size))
                    waiting = waiting.slice(size).combine_chunks()
            if waiting.num_rows:
                self._write(waiting)
        finally:
            self._close()
        return rows

    def _group_size(self, waiting: pa.Table) -> int:
        """How many rows to write as a group; 0 where more are to be waited for.

        A group ends where an article does.
        """
        limit = self._layout.group_rows
        if waiting.num_rows <= limit or not self._whole:
            return min(limit, waiting.num_rows) if waiting.num_rows > limit else 0
        differs = pa.scalar(False)
        for name in self._whole:
            column = waiting[name].combine_chunks()
            differs = pc.or_(differs, pc.not_equal(column[1:], column[:-1]))
        ends = [end + 1 for end in pc.indices_nonzero(differs).to_pylist()]
        return max((end for end in ends if end <= limit), default=min(ends, default=0))

    def _write(self, rows: pa.Table) -> None:
        if self._writer is None:
            path = self._folder / f"{PREFIX}{self._name}-{len(self.paths) + 1:04}.parquet"
            self._file = open(path, "wb")  # noqa: SIM115
            self._writer = pq.ParquetWriter(self._file, self._schema, compression="zstd")
            self.paths.append(path)
        self._writer.write_table(rows, row_group_size=rows.num_rows)
        if self._file.tell() >= self._layout.file_bytes:
            self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._writer = None
