"""What describes a table of the lake: pyarrow schema, version and documentation of each column.

Each table is a folder of Hive partitions ``date=YYYY-MM-DD`` (UTC). The partition
column stands in the path, not in the files (Apache Hive layout).
"""

import dataclasses

import pyarrow as pa


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a table, as it is stored and documented."""

    name: str
    type: pa.DataType
    doc: str
    nullable: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """One table of the lake. ``version`` rises when a column is added or changes meaning.

    A compaction sorts the rows by source, by the first of ``times`` that is not null, and by
    ``keys``. Rows that are alike in ``whole``, the first of the keys, stand in one file; of
    several copies of these, one is kept.
    """

    name: str
    version: int
    doc: str
    partition_doc: str
    columns: tuple[Column, ...]
    times: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        """The pyarrow schema of the table's files, without the partition column."""
        fields = [pa.field(c.name, c.type, c.nullable, {"doc": c.doc}) for c in self.columns]
        metadata = {"wirewatch.table": self.name, "wirewatch.schema_version": str(self.version)}
        return pa.schema(fields, metadata)
