"""The monitor: from sources to topic-labelled passages in a lake of Parquet.

``build`` is the pipeline as a diagram. ``python -m pipelines.monitor`` takes the same
arguments as ``wirewatch run``.
"""

import dataclasses

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from schemas.records import Source
from schemas.tables import ERRORS, POLLS
from transforms.classify import ClassifyPassages, TopicPolicy
from transforms.drop import DropKnownArticles, DropKnownEntries
from transforms.extract import ExtractArticles
from transforms.fetch import FetchPages
from transforms.http import HttpPolicy
from transforms.processes import ExtractPolicy
from transforms.read import ReadSources
from transforms.split import SplitPassages
from transforms.write import WriteEvents, WritePassages


@dataclasses.dataclass(frozen=True)
class MonitorPlan:
    """Everything the pipeline needs to know; workers receive these values only."""

    sources: tuple[Source, ...]
    lake: str
    http: HttpPolicy
    threads: int
    extract: ExtractPolicy
    min_chars: int
    max_chars: int
    topics: TopicPolicy


def build(pipeline: beam.Pipeline, plan: MonitorPlan) -> None:
    """Adds the monitor to a pipeline. Step names are stable, for runners that update jobs."""
    sources = pipeline | "Sources" >> beam.Create(plan.sources)
    read = sources | "ReadSources" >> ReadSources(plan.http, plan.threads, plan.lake)
    listed = read["listed"] | "ReadListed" >> ReadSources(
        plan.http, plan.threads, plan.lake, nested=True
    )
    entries = (read["entries"], listed["entries"]) | "Entries" >> beam.Flatten()

    new_entries = entries | "DropKnownEntries" >> DropKnownEntries(plan.lake)
    fetched = new_entries | "FetchPages" >> FetchPages(plan.http, plan.threads)
    extracted = fetched.pages | "ExtractArticles" >> ExtractArticles(plan.extract)
    new_articles = extracted.articles | "DropKnownArticles" >> DropKnownArticles(plan.lake)
    split = new_articles | "SplitPassages" >> SplitPassages(
        plan.min_chars, plan.max_chars, plan.topics.model_dir
    )
    classified = split | "ClassifyPassages" >> ClassifyPassages(plan.topics)
    classified | "WritePassages" >> WritePassages(plan.lake)

    polls = (read["polls"], listed["polls"]) | "Polls" >> beam.Flatten()
    polls | "WritePolls" >> WriteEvents(plan.lake, POLLS)
    errors = (
        read["errors"],
        listed["errors"],
        fetched.errors,
        extracted.errors,
    ) | "Errors" >> beam.Flatten()
    errors | "WriteErrors" >> WriteEvents(plan.lake, ERRORS)


def run_plan(plan: MonitorPlan, options: PipelineOptions) -> PipelineResult:
    """Runs the monitor once over its sources and waits until it is done."""
    pipeline = beam.Pipeline(options=options)
    build(pipeline, plan)
    result = pipeline.run()
    result.wait_until_finish()
    return result


if __name__ == "__main__":
    import sys

    from pipelines.cli import main

    sys.exit(main(["run", *sys.argv[1:]]))
