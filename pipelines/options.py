"""The flags of ``wirewatch run`` and ``retry``: ours, and all of Beam's; those of ``watch``."""

import argparse
import dataclasses
import re
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import create_runner

from configs.settings import UserError
from pipelines.arguments import Parser

# DirectRunner is a switch that may try to download another engine and hang where the
# network swallows packets; this is the engine it stands for.
LOCAL_RUNNER = "FnApiRunner"
LOCAL_ALIASES = ("DirectRunner", "direct", "directrunner", "SwitchingDirectRunner")
LONGEST_INTERVAL = 86_400.0


@dataclasses.dataclass(frozen=True)
class RunFlags:
    """The flags of a run that are ours."""

    sources: tuple[str, ...]
    config: Path | None
    lake: str | None
    strict: bool
    json: bool
    force: bool = False


@dataclasses.dataclass(frozen=True)
class WatchFlags:
    """The flags of a watch; ``every`` is in seconds."""

    sources: tuple[str, ...]
    config: Path | None
    lake: str | None
    every: float
    metrics_port: int | None
    log_format: str


@dataclasses.dataclass(frozen=True)
class RetryFlags:
    """The flags of a retry that are ours."""

    stage: str | None
    everything: bool
    config: Path | None
    lake: str | None
    json: bool


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that ``run`` and ``retry`` share."""
    add_place_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def add_place_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say where configuration and lake are."""
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--lake", help="folder or object store for the tables; default: lake")


def parse_run(arguments: list[str]) -> tuple[RunFlags, PipelineOptions]:
    """Our flags of a run and Beam's options; raises UserError for a mistake."""
    parser = command_parser("run", "[SOURCE ...] [flags]")
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a path, glob, folder or URL in place of the configuration's sources; "
        "- reads URLs from standard input",
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 if there are dead letters")
    parser.add_argument(
        "--force",
        action="store_true",
        help="poll feeds that are gone or asked to wait, and try failed pages at once",
    )
    values, options = parse(parser, arguments)
    values["sources"] = tuple(values["sources"])
    return RunFlags(**values), options


def parse_retry(arguments: list[str]) -> tuple[RetryFlags, PipelineOptions]:
    """Our flags of a retry and Beam's options; raises UserError for a mistake."""
    parser = command_parser("retry", "[flags]")
    parser.add_argument(
        "--stage",
        choices=("read", "fetch", "extract"),
        help="only dead letters of this stage; default: all",
    )
    parser.add_argument(
        "--all",
        dest="everything",
        action="store_true",
        help="also those that trying again is not expected to help",
    )
    values, options = parse(parser, arguments)
    return RetryFlags(**values), options


def parse_watch(arguments: list[str]) -> WatchFlags:
    """The flags of a watch; raises UserError for a mistake."""
    parser = Parser("watch")
    add_place_arguments(parser)
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a path, glob, folder or URL in place of the configuration's sources",
    )
    parser.add_argument(
        "--every",
        type=interval,
        default=300.0,
        metavar="TIME",
        help="how often to look which feeds are due, as 30s, 5m or 1h; default: 5m",
    )
    parser.add_argument(
        "--metrics-port",
        type=port,
        metavar="N",
        help="serve /metrics and /healthz on this port of 127.0.0.1; 0 picks a free one",
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    values = vars(parser.parse_args(arguments))
    values["sources"] = tuple(values["sources"])
    return WatchFlags(**values)


def interval(text: str) -> float:
    """A length of time in seconds from such as 30s, 5m or 1h."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)([smh])", text)
    seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if not 0.0 < seconds <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 30s, 5m or 1h, up to 24h")
    return seconds


def port(text: str) -> int:
    """A port's number."""
    if not text.isascii() or not text.isdigit() or int(text[:6]) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def command_parser(command: str, usage: str) -> argparse.ArgumentParser:
    """The parser of a command that runs the pipeline."""
    parser = Parser(
        command,
        usage=f"wirewatch {command} {usage}",
        epilog="Any flag of Apache Beam's pipeline options is taken as well.",
    )
    add_common_arguments(parser)
    return parser


def parse(
    parser: argparse.ArgumentParser, arguments: list[str]
) -> tuple[dict[str, Any], PipelineOptions]:
    """The values of our flags, and Beam's options.

    One parser knows both, so that ``--runner FlinkRunner`` is a flag and its value and
    not a flag and a source.
    """
    ours = {action.dest for action in parser._actions} - {"help"}
    add_beam_arguments(parser)
    values = vars(parser.parse_args(arguments))
    given = {
        name: value
        for name, value in values.items()
        if name not in ours and value != parser.get_default(name)
    }
    return {name: values[name] for name in ours}, beam_options(given)


def add_beam_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds every pipeline option that Beam knows, hidden from the help."""
    known = {option for action in parser._actions for option in action.option_strings}
    for options in PipelineOptions.__subclasses__():
        shelf = argparse.ArgumentParser(add_help=False, conflict_handler="resolve")
        options._add_argparse_args(shelf)  # The hook Beam itself fills its parsers with.
        for action in shelf._actions:
            if not known.intersection(action.option_strings):
                known.update(action.option_strings)
                action.help = argparse.SUPPRESS
                parser._add_action(action)


def beam_options(given: dict[str, Any]) -> PipelineOptions:
    """Beam's options, with the local engine named where the user named none.

    Raises UserError for a runner that is not there.
    """
    runner = given.get("runner")
    if runner is None or runner in LOCAL_ALIASES:
        runner = LOCAL_RUNNER
    try:
        create_runner(runner)
    except (ValueError, ImportError, AttributeError) as error:
        raise UserError(f"--runner: {error}") from error
    return PipelineOptions(flags=[], **{**given, "runner": runner})
