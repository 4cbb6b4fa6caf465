"""The flags of ``wirewatch run`` and ``wirewatch retry``: ours, and all of Beam's."""

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import create_runner

from configs.settings import UserError

# DirectRunner is a switch that may try to download another engine and hang where the
# network swallows packets; this is the engine it stands for.
LOCAL_RUNNER = "FnApiRunner"
LOCAL_ALIASES = ("DirectRunner", "direct", "directrunner", "SwitchingDirectRunner")


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
class RetryFlags:
    """The flags of a retry that are ours."""

    stage: str | None
    everything: bool
    config: Path | None
    lake: str | None
    json: bool


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that ``run`` and ``retry`` share."""
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--lake", help="folder or object store for the tables; default: lake")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def parse_run(arguments: list[str]) -> tuple[RunFlags, PipelineOptions]:
    """Our flags of a run and Beam's options; an unknown flag exits with code 2."""
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
    """Our flags of a retry and Beam's options; an unknown flag exits with code 2."""
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


def command_parser(command: str, usage: str) -> argparse.ArgumentParser:
    """The parser of a command that runs the pipeline."""
    parser = argparse.ArgumentParser(
        prog=f"wirewatch {command}",
        allow_abbrev=False,
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
