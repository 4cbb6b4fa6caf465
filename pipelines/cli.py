"""The command line: run, watch, retry, query, diff, topics, explain, reclassify, compact."""

import contextlib
import dataclasses
import json
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, NoReturn

from configs.settings import UserError
from pipelines.environment import MachineFailed, machine_failures, refusal
from transforms.clean import one_line

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipelines.monitor import MonitorPlan
    from pipelines.summary import Summary
    from transforms.writer import Lock

INTERRUPTED = 130
# A progress bar hides the cursor while it is shown (ECMA-48, DECTCEM).
SHOW_CURSOR = "\x1b[?25h"
# What Beam warns of at every start, and is of no use to who runs a pipeline.
BEAM_CHATTER = ("apitools not found", "Resource module is not available")


def run(arguments: list[str]) -> int:
    """``wirewatch run``: runs the monitor once and prints what it found."""
    from pipelines.options import parse_run
    from pipelines.prepare import make_plan

    flags, options = parse_run(arguments)
    plan = make_plan(flags)
    with hold_lake(plan.lake, "run"):
        summary = run_and_report(plan, options, flags.json)
    return 1 if flags.strict and any(summary.dead_letters.values()) else 0


def retry(arguments: list[str]) -> int:
    """``wirewatch retry``: puts dead letters through again and prints what came of it."""
    from pipelines.options import parse_retry
    from pipelines.retry import left_lines, make_retry_plan

    flags, options = parse_retry(arguments)
    plan = make_retry_plan(flags)
    with hold_lake(plan.monitor.lake, "retry"):
        if not flags.json:
            for line in left_lines(plan):
                print(line)
        if plan.monitor.letters or flags.json:
            run_and_report(plan.monitor, options, flags.json)
        else:
            print("No dead letter to try again.")
    return 0


@contextlib.contextmanager
def hold_lake(lake: str, command: str) -> Iterator["Lock"]:
    """Makes this process the one writer of a lake while the body runs.

    Raises UserError, MachineFailed.
    """
    from apache_beam.io.filesystem import BeamIOError

    from transforms.writer import LakeInUse, release_lake, take_lake

    try:
        lock = take_lake(lake, command)
    except LakeInUse as error:
        raise UserError(str(error)) from error
    except (OSError, BeamIOError) as error:
        raise refusal(lake, "locked", error) from error
    try:
        yield lock
    finally:
        with machine_failures(lake):
            release_lake(lake)


def run_and_report(plan: "MonitorPlan", options: "PipelineOptions", as_json: bool) -> "Summary":
    """Runs the monitor, prints its summary and returns it."""
    from pipelines.monitor import run_plan
    from pipelines.printout import summary_lines
    from pipelines.progress import show_progress
    from pipelines.query import plain
    from pipelines.summary import read_counters, summarise
    from transforms.identify import load_identifier

    # Its file is unpacked on a core that is idle while the pipeline is built.
    threading.Thread(target=load_identifier, daemon=True).start()
    began, start = datetime.now(UTC), time.monotonic()
    topics = [topic for topic, _ in plan.topics.thresholds]
    with machine_failures(plan.lake):
        with show_progress():
            counters = read_counters(run_plan(plan, options))
        summary = summarise(counters, topics, plan.lake, began, time.monotonic() - start)
    if as_json:
        print(json.dumps(dataclasses.asdict(summary), default=plain, indent=2))
    else:
        print("\n".join(summary_lines(summary)))
    return summary


def watch(arguments: list[str]) -> int:
    """``wirewatch watch``: runs the monitor again and again until a signal ends it."""
    from pipelines.watch import watch

    return watch(arguments)


def query(arguments: list[str]) -> int:
    """``wirewatch query``: prints the result of SQL over the lake."""
    import duckdb

    from pipelines.arguments import Parser
    from pipelines.query import answer, query_problem
    from pipelines.views import NAMES
    from schemas.tables import PASSAGES
    from transforms.lake import is_remote, table_files

    parser = Parser("query")
    parser.add_argument("sql", metavar="SQL", help="views: " + ", ".join(NAMES))
    parser.add_argument("--lake", default="lake", help="default: lake")
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table")
    flags = parser.parse_args(arguments)

    if not is_remote(flags.lake) and not os.path.isdir(flags.lake):
        raise UserError(f"{flags.lake}: no such lake")
    try:
        table_files(flags.lake, PASSAGES)
    except ValueError as error:
        raise UserError(f"{flags.lake}: the lake cannot be read: {error}") from error
    try:
        if not answer(flags.lake, flags.sql, flags.format, sys.stdout):
            raise UserError("query: there is no statement in it")
    except duckdb.Error as error:
        raise UserError(f"query: {query_problem(error)}") from error
    return 0


def diff(arguments: list[str]) -> int:
    """``wirewatch diff``: prints what changed in an article."""
    from pipelines.diff import diff

    return diff(arguments)


def topics(arguments: list[str]) -> int:
    """``wirewatch topics``: evaluates the model, fits custom topics, trains."""
    from pipelines.topics import topics

    return topics(arguments)


def explain(arguments: list[str]) -> int:
    """``wirewatch explain``: says why a text gets its topics."""
    from pipelines.explain import explain

    return explain(arguments)


def reclassify(arguments: list[str]) -> int:
    """``wirewatch reclassify``: applies the current model and topics to the lake."""
    from pipelines.reclassify import reclassify

    return reclassify(arguments)


def compact(arguments: list[str]) -> int:
    """``wirewatch compact``: merges the small files of closed days."""
    from pipelines.compact import compact

    return compact(arguments)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "run": run,
    "watch": watch,
    "retry": retry,
    "query": query,
    "diff": diff,
    "topics": topics,
    "explain": explain,
    "reclassify": reclassify,
    "compact": compact,
}
HELP = {
    "run": "read the sources once and add what is new to the lake",
    "watch": "go on reading the sources, each when it is due",
    "retry": "try again what could not be read or fetched",
    "query": "run SQL over the lake",
    "diff": "show what changed in an article since it was first read",
    "topics": "measure the model, or fit topics of your own",
    "explain": "say why a text gets the topics it gets",
    "reclassify": "apply the current model and topics to the passages in the lake",
    "compact": "merge the small files of closed days",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """The console script. Returns the exit code, which is 0 where all is done.

    1 is strict, or a full disk and its like; 2 a user's mistake.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    usage = "\n".join(f"  wirewatch {name:<10} {HELP[name]}" for name in COMMANDS)
    if not words or words[0] in ("-h", "--help"):
        print(f"usage: wirewatch COMMAND ...\n\n{usage}\n\nwirewatch COMMAND --help tells more.")
        return 0 if words else 2
    if words[0] == "--version":
        print(f"wirewatch {version('wirewatch')}")
        return 0
    if words[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        problem = f"unknown command {words[0]!r}; there are {known}; see wirewatch --help"
        print(f"wirewatch: {one_line(problem)}", file=sys.stderr)
        return 2
    configure_logging()
    # A handler, not an except clause: Beam wraps what is raised inside a stage.
    earlier = signal.signal(signal.SIGINT, leave_at_once)
    try:
        return COMMANDS[words[0]](words[1:])
    except UserError as error:
        # A message may quote what a page said.
        print(f"wirewatch: {one_line(str(error))}", file=sys.stderr)
        return 2
    except MachineFailed as error:
        print(f"wirewatch: {one_line(str(error))}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # The reader of our output, such as head, has gone: that is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        signal.signal(signal.SIGINT, earlier)


def configure_logging() -> None:
    """Warnings and our own progress on standard error; chatter of libraries left out."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger().handlers[0].addFilter(
        lambda record: not record.getMessage().startswith(BEAM_CHATTER)
    )
    # It logs what a step raises with its traceback; raised it is as well, and named or shown.
    logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)
    for noisy in ("trafilatura", "courlan", "htmldate", "httpx2", "charset_normalizer", "protego"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def leave_at_once(*_: object) -> NoReturn:
    """Ends the process on Ctrl-C, without waiting for requests that are under way.

    The lake has only whole files at any moment, so there is nothing to tidy.
    """
    if sys.stderr.isatty():
        print(SHOW_CURSOR, end="", file=sys.stderr)
    print("wirewatch: interrupted; the lake holds what was finished", file=sys.stderr)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(INTERRUPTED)
