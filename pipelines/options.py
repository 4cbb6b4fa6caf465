"""The flags of ``wirewatch run``: ours, and all of Beam's."""

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


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of ``wirewatch run`` that are ours."""
    parser.add_argument(
        "sources",
        nargs="*",
        metavar="SOURCE",
        help="a path, glob, folder or URL in place of the configuration's sources; "
        "- reads URLs from standard input",
    )
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--lake", help="folder or object store for the tables; default: lake")
    parser.add_argument("--strict", action="store_true", help="exit 1 if there are dead letters")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def parse_run(arguments: list[str]) -> tuple[RunFlags, PipelineOptions]:
    """Our flags and Beam's options; an unknown flag exits with code 2.

    One parser knows both, so that ``--runner FlinkRunner`` is a flag and its value and
    not a flag and a source.
    """
    parser = argparse.ArgumentParser(
        prog="wirewatch run",
        allow_abbrev=False,
        usage="wirewatch run [SOURCE ...] [flags]",
        epilog="Any flag of Apache Beam's pipeline options is taken as well.",
    )
    add_run_arguments(parser)
    ours = {action.dest for action in parser._actions}
    add_beam_arguments(parser)
    values = vars(parser.parse_args(arguments))
    flags = RunFlags(
        sources=tuple(values["sources"]),
        config=values["config"],
        lake=values["lake"],
        strict=values["strict"],
        json=values["json"],
    )
    given = {
        name: value
        for name, value in values.items()
        if name not in ours and value != parser.get_default(name)
    }
    return flags, beam_options(given)


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
