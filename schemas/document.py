"""Writes schemas/README.md, the page that documents the tables, from their definitions."""

from pathlib import Path

from schemas.table import Table
from schemas.tables import TABLES

PAGE = Path(__file__).with_name("README.md")
INTRODUCTION = """\
# Tables of the lake

Made by `python -m schemas.document` from `schemas/tables.py`; do not edit by hand.

Each table is a folder of Parquet files (zstd) in Hive partitions `date=YYYY-MM-DD`, in UTC.
Timestamps are UTC with microseconds.
"""


def table_section(table: Table) -> str:
    """The Markdown section of one table."""
    rows = "\n".join(
        f"| `{c.name}` | {c.type} | {'yes' if c.nullable else ''} | {c.doc} |"
        for c in table.columns
    )
    return (
        f"\n## {table.name}/ (version {table.version})\n\n{table.doc}\n\n"
        f"Partition `date`: {table.partition_doc}.\n\n"
        f"| column | type | may be null | meaning |\n|---|---|---|---|\n{rows}\n"
    )


def tables_page() -> str:
    """The whole page in Markdown."""
    return INTRODUCTION + "".join(table_section(table) for table in TABLES.values())


if __name__ == "__main__":
    PAGE.write_text(tables_page(), encoding="utf-8")
