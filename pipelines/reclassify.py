"""``wirewatch reclassify``: the current model and topics for the passages in the lake.

``build`` is the pipeline as a diagram. Nothing is fetched. Interrupted, it can be run again:
files that are done are skipped.
"""

import argparse
import dataclasses
import json
import os
from collections import Counter
from datetime import date
from pathlib import Path

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from configs.settings import UserError, load_settings
from configs.topics import load_topics
from pipelines.arguments import Parser, day
from pipelines.environment import machine_failures
from pipelines.options import add_beam_arguments, beam_options
from pipelines.policy import open_model, topic_policy
from pipelines.prepare import check_lake
from pipelines.progress import show_progress
from pipelines.summary import read_counters
from schemas.tables import PASSAGES
from transforms.classify import TopicPolicy
from transforms.lake import file_date, is_remote, table_files
from transforms.reclassify import ReadStaleFiles, ReplaceFiles, ScoreFiles

# How often it begins again because files were compacted meanwhile.
ROUNDS = 5
SHOWN = ("files_replaced", "files_current", "passages", "passages_hit")


@dataclasses.dataclass(frozen=True)
class ReclassifyPlan:
    """Which files to give which model's topics; workers receive these values only."""

    lake: str
    files: tuple[str, ...]
    topics: TopicPolicy


def build(pipeline: beam.Pipeline, plan: ReclassifyPlan) -> None:
    """Adds the pipeline. Each file passes all steps before the next, so one is in memory."""
    files = pipeline | "Files" >> beam.Create(plan.files)
    spread = files | "SpreadFiles" >> beam.Reshuffle()
    stale = spread | "ReadStaleFiles" >> ReadStaleFiles(plan.lake, plan.topics)
    scored = stale | "ScoreFiles" >> ScoreFiles(plan.topics)
    scored | "ReplaceFiles" >> ReplaceFiles(plan.lake, plan.topics)


def run_plan(plan: ReclassifyPlan, options: PipelineOptions) -> PipelineResult:
    """Runs the pipeline and waits until it is done."""
    pipeline = beam.Pipeline(options=options)
    build(pipeline, plan)
    result = pipeline.run()
    result.wait_until_finish()
    return result


def make_plan(config: Path | None, lake: str | None, since: date | None) -> ReclassifyPlan:
    """The plan of a run. Raises UserError for a mistake in configuration, model or paths."""
    settings, path = load_settings(config)
    policy = topic_policy(settings, path, load_topics(path, settings.topics))
    open_model(policy)  # What is wrong with a model shows before a file is read.
    lake = lake or settings.lake
    if not is_remote(lake) and not os.path.isdir(lake):
        raise UserError(f"{lake}: no such lake")
    check_lake(lake)
    return ReclassifyPlan(lake, chosen_files(lake, since), policy)


def chosen_files(lake: str, since: date | None) -> tuple[str, ...]:
    """The files of passages from a day on."""
    files = table_files(lake, PASSAGES)
    return tuple(path for path in files if since is None or file_date(path) >= since)


def run_until_done(
    plan: ReclassifyPlan, since: date | None, options: PipelineOptions
) -> Counter[str]:
    """Runs the pipeline, anew where files were compacted meanwhile.

    Gives the sums of its counters, and as ``files`` how many there were in the end.
    """
    total: Counter[str] = Counter()
    for _ in range(ROUNDS):
        counters = read_counters(run_plan(plan, options))
        total.update(counters)
        if not counters.get("files_gone"):
            break
        plan = dataclasses.replace(plan, files=chosen_files(plan.lake, since))
    total["files"] = len(plan.files)
    return total


def reclassify(arguments: list[str]) -> int:
    """Reclassifies the lake and prints what changed."""
    flags, options = parse_reclassify(arguments)
    plan = make_plan(flags.config, flags.lake, flags.since)
    total = len(plan.files)
    counted = show_progress(SHOWN, lambda n: (n["files_replaced"] + n["files_current"], total))
    with machine_failures(plan.lake), counted:
        counters = run_until_done(plan, flags.since, options)
    found = {
        "lake": plan.lake,
        "model": plan.topics.label,
        "files": counters["files"],
        "files_replaced": counters.get("files_replaced", 0),
        "passages": counters.get("passages", 0),
        "passages_unsupported": counters.get("passages_unsupported", 0),
        "passages_hit": counters.get("passages_hit", 0),
        "hits": {topic: counters.get(f"hits_{topic}", 0) for topic, _ in plan.topics.thresholds},
    }
    print(json.dumps(found, indent=2) if flags.json else "\n".join(result_lines(found)))
    return 0


def result_lines(found: dict) -> list[str]:
    """What was done as lines of plain text."""
    current = max(found["files"] - found["files_replaced"], 0)
    lines = [
        f"{found['files_replaced']:,} files reclassified, {current:,} were current, "
        f"{found['passages']:,} passages, {found['passages_hit']:,} with a topic, "
        f"by {found['model']}"
    ]
    if found["passages"]:
        lines += ["", "Passages by topic"]
        lines += [f"  {topic:<12} {number:>6,}" for topic, number in found["hits"].items()]
    if found["passages_unsupported"]:
        lines.append(f"  (language not read by the model: {found['passages_unsupported']:,})")
    return lines


def parse_reclassify(arguments: list[str]) -> tuple[argparse.Namespace, PipelineOptions]:
    """Our flags and Beam's options."""
    parser = Parser(
        "reclassify",
        usage="wirewatch reclassify [--since DATE] [--lake LAKE] [--config FILE] [--json]",
        epilog="Any flag of Apache Beam's pipeline options is taken as well.",
    )
    parser.add_argument("--since", type=day, metavar="DATE", help="from this day on: YYYY-MM-DD")
    parser.add_argument("--lake", help="default: the configuration's")
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    ours = {action.dest for action in parser._actions}
    add_beam_arguments(parser)
    flags = parser.parse_args(arguments)
    given = {
        name: value
        for name, value in vars(flags).items()
        if name not in ours and value != parser.get_default(name)
    }
    return flags, beam_options(given)


if __name__ == "__main__":
    import sys

    from pipelines.cli import main

    sys.exit(main(["reclassify", *sys.argv[1:]]))
