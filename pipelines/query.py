"""SQL over the lake, by DuckDB: its tables, and views made of them."""

import base64
import csv
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

import duckdb
import pyarrow as pa

from pipelines.views import NAMES, VIEWS
from schemas.table import Table
from schemas.tables import TABLES
from transforms.clean import escaped_json, one_line, spreadsheet_text
from transforms.lake import table_files

if TYPE_CHECKING:
    from rich.table import Table as RichTable

# What a column of a table takes beside its cells.
BORDER_WIDTH = 3
# How often a query begins again because files that it listed were compacted meanwhile: it is to
# outlast a compaction of a whole lake.
TRIES = 1000
Read = TypeVar("Read")


def open_lake(lake: str) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the lake's views, in UTC."""
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    for table in TABLES.values():
        create_view(connection, lake, table)
    for view in VIEWS:
        connection.execute(view)
    return connection


def query_problem(error: duckdb.Error) -> str:
    """What is wrong with a query, in one line; of an unknown view, which there are."""
    problem = " ".join(str(error).split())
    if isinstance(error, duckdb.CatalogException) and "Table with name" in problem:
        # What DuckDB takes for meant may be a name that only we use.
        problem = f"{problem.partition(' Did you mean')[0]} The views are {', '.join(NAMES)}."
    return problem


def answer(lake: str, sql: str, form: str, out: TextIO) -> bool:
    """Writes a query's result; False where there is no statement in it.

    Raises duckdb.Error.
    """

    def write(connection: duckdb.DuckDBPyConnection) -> bool:
        result = connection.execute(sql)
        if result is not None:
            write_result(result, form, out)
        return result is not None

    return read_lake(lake, write)


def read_lake(lake: str, read: Callable[[duckdb.DuckDBPyConnection], Read]) -> Read:
    """What ``read`` makes of the lake's views; it is called anew where files went meanwhile.

    A file may have been compacted after it was listed. ``read`` should fetch all it reads
    before it does anything else.
    """
    for _ in range(TRIES - 1):
        listed = [table_files(lake, table) for table in TABLES.values()]
        try:
            return read(open_lake(lake))
        except duckdb.IOException:
            if listed == [table_files(lake, table) for table in TABLES.values()]:
                raise
    return read(open_lake(lake))


def create_view(connection: duckdb.DuckDBPyConnection, lake: str, table: Table) -> None:
    """Creates the view of a table over the files it has now.

    An empty table stands before them, so that the view has every column, also where
    there are no files or only such as an older version wrote.
    """
    files = table_files(lake, table)
    empty = table.schema.append(pa.field("date", pa.date32())).empty_table()
    connection.register(f"no_{table.name}", empty)
    view = f"create view {table.name} as from no_{table.name}"
    if files:
        paths = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
        view += (
            f" union all by name from read_parquet([{paths}], "
            "hive_partitioning = true, hive_types = {'date': date}, union_by_name = true)"
        )
    connection.execute(view)


def write_result(result: Any, form: str, out: TextIO) -> None:
    """Writes a query's result as a table, as CSV (RFC 4180) or as JSON (a list of objects).

    What acts on a terminal is left out of a table and of CSV and is an escape in JSON; in CSV
    a text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    names = [column[0] for column in result.description or []]
    rows = result.fetchall() if names else []
    if form == "json":
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        text = json.dumps(objects, default=plain, ensure_ascii=False, indent=2)
        out.write(escaped_json(text) + "\n")
    elif form == "csv":
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(map(spreadsheet_text, names))
        writer.writerows([spreadsheet_cell(value) for value in row] for row in rows)
    else:
        write_table(names, rows, out)


def plain(value: Any) -> Any:
    """A value JSON has no form for, as ISO 8601, base64 (RFC 4648) or text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def spreadsheet_cell(value: Any) -> Any:
    """A value for a cell of a CSV file, which a spreadsheet shows and does not run."""
    cell = csv_cell(value)
    return spreadsheet_text(cell) if isinstance(cell, str) else cell


def csv_cell(value: Any) -> Any:
    """A value for a CSV cell: lists and structs as JSON, moments as ISO 8601, bytes as base64."""
    if isinstance(value, (list, dict, tuple)):
        return json.dumps(value, default=plain, ensure_ascii=False)
    return plain(value) if hasattr(value, "isoformat") or isinstance(value, bytes) else value


def shown(value: Any) -> str:
    """A value as a cell of a table: moments to the second, lists with commas, null as blank."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if isinstance(value, list) and not any(isinstance(item, dict) for item in value):
        return ", ".join(map(str, value))
    return str(csv_cell(value))


def write_table(names: list[str], rows: list[tuple], out: TextIO) -> None:
    """Writes rows as a table; cells are one line each, and none is cut.

    Where one does not fit the terminal, each row is a block of ``name value`` lines, which the
    terminal wraps: an address or a passage is copied from it, and found by grep, in one piece.
    """
    from rich.cells import cell_len
    from rich.console import Console

    console = Console(file=out)
    names = list(map(one_line, names))
    cells = [[one_line(shown(value)) for value in row] for row in rows]
    columns = zip(names, *cells, strict=True)
    widths = [max(map(cell_len, column)) + BORDER_WIDTH for column in columns]
    if sum(widths) + 1 <= console.width:
        console.print(made_table(names, cells))
    else:
        for number, row in enumerate(cells):
            console.rule(f"row {number + 1}", align="left")
            write_block(names, row, out)
    console.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")


def made_table(names: list[str], cells: list[list[str]]) -> "RichTable":
    """A table to print, of columns as wide as their cells."""
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable()
    for name in names:
        table.add_column(Text(name))
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def write_block(names: list[str], row: list[str], out: TextIO) -> None:
    """Writes a row as lines of a name and its value."""
    from rich.cells import cell_len, set_cell_size

    width = max(map(cell_len, names))
    for name, value in zip(names, row, strict=True):
        out.write(f"{set_cell_size(name, width)}  {value}".rstrip() + "\n")
