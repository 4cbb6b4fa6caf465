"""``wirewatch compact``: few large files in place of the many small ones of closed days."""

import dataclasses
import json
import os
import sys
from collections import defaultdict
from datetime import UTC, date, datetime

from configs.settings import UserError
from pipelines.arguments import Parser, day
from pipelines.environment import machine_failures, refusal
from transforms.clean import counted, one_line
from transforms.compact import CompactionRunning, CompactResult, compact_lake
from transforms.storage import is_remote

MEGABYTE = 1_000_000


def compact(arguments: list[str]) -> int:
    """Compacts a lake and prints what became of it; 1 where a day could not be compacted."""
    parser = Parser("compact")
    parser.add_argument(
        "--before",
        type=day,
        metavar="DATE",
        help="only days before this one: YYYY-MM-DD; default: today in UTC",
    )
    parser.add_argument(
        "--least",
        type=int,
        default=1,
        metavar="N",
        help="only days with so many files, or more, that are not compacted; default: 1",
    )
    parser.add_argument("--lake", default="lake", help="default: lake")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    flags = parser.parse_args(arguments)
    check_remote(flags.lake)
    if not is_remote(flags.lake) and not os.path.isdir(flags.lake):
        raise UserError(f"{flags.lake}: no such lake")
    with machine_failures(flags.lake):
        result = compact_days(flags.lake, flags.before or datetime.now(UTC).date(), flags.least)
    for skipped in skipped_lines(result):
        print(f"wirewatch: not compacted: {one_line(skipped)}", file=sys.stderr)
    print(json.dumps(dataclasses.asdict(result), indent=2) if flags.json else line(result))
    return 1 if result.skipped else 0


def compact_days(lake: str, before: date, least: int) -> CompactResult:
    """Compacts the days before one. Raises UserError, MachineFailed, BeamIOError."""
    try:
        return compact_lake(lake, before, least)
    except CompactionRunning as error:
        raise UserError(f"{lake}: another compaction is at work on this lake") from error
    except OSError as error:
        raise refusal(lake, "compacted", error) from error


def check_remote(lake: str) -> None:
    """Raises UserError for a lake of a kind that no installed filesystem of Beam's reads."""
    if is_remote(lake):
        # Imported when needed: a local lake need not wait for Beam.
        from pipelines.prepare import check_filesystem

        check_filesystem(lake)


def skipped_lines(result: CompactResult) -> list[str]:
    """What was not compacted and why, a line for each reason."""
    days = defaultdict(list)
    for skipped in result.skipped:
        day, _, reason = skipped.partition(": ")
        days[reason].append(day)
    lines = []
    for reason, (first, *more) in days.items():
        others = f" and {counted(len(more), 'partition')} more" if more else ""
        lines.append(f"{first}{others}: {reason}")
    return lines


def line(result: CompactResult) -> str:
    """What was done in one line."""
    if not result.days:
        return "Nothing was compacted." if result.skipped else "Nothing to compact."
    text = (
        f"{counted(result.days, 'partition')} compacted: "
        f"{result.files_before:,} files are now "
        f"{result.files_after:,}, {result.bytes_before / MEGABYTE:,.1f} MB are "
        f"{result.bytes_after / MEGABYTE:,.1f} MB, {result.rows:,} rows"
    )
    return f"{text}, {result.rows_dropped:,} were there twice" if result.rows_dropped else text
