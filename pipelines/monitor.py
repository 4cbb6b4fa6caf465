"""The monitor: from sources to topic-labelled passages in a lake of Parquet.

``build`` is the pipeline as a diagram. ``python -m pipelines.monitor`` takes the same
arguments as ``wirewatch run``.
"""

import dataclasses

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineResult

from schemas.records import DeadLetter, Entry, Source
from schemas.tables import CHECKS, ERRORS, POLLS
from transforms.classify import ClassifyPassages, TopicPolicy
from transforms.close import CloseLetters
from transforms.cluster import ClusterArticles, CopyPolicy
from transforms.deadletter import letter_input
from transforms.drop_articles import DropKnownArticles
from transforms.drop_entries import DropKnownEntries
from transforms.extract import ExtractArticles
from transforms.fetch import FetchPages
from transforms.http import HttpPolicy
from transforms.ledger import LedgerPolicy
from transforms.poll import PollPolicy
from transforms.processes import ExtractPolicy
from transforms.read import ReadSources
from transforms.recent import RevisionPolicy
from transforms.split import SplitPassages
from transforms.write import After, WriteEvents, WritePassages


@dataclasses.dataclass(frozen=True)
class MonitorPlan:
    """Everything the pipeline needs to know; workers receive these values only.

    ``letters`` are dead letters whose entries are put through again; ``listed`` are sources
    that a list named when it was last read, and are read as what it names now.
    """

    sources: tuple[Source, ...]
    lake: str
    http: HttpPolicy
    threads: int
    extract: ExtractPolicy
    min_chars: int
    max_chars: int
    topics: TopicPolicy
    polls: PollPolicy
    ledger: LedgerPolicy
    revisions: RevisionPolicy
    copies: CopyPolicy
    letters: tuple[DeadLetter, ...] = ()
    listed: tuple[Source, ...] = ()

    @property
    def past(self) -> tuple[str, PollPolicy, LedgerPolicy, RevisionPolicy]:
        """Where the lake is, and what decides which of it counts."""
        return self.lake, self.polls, self.ledger, self.revisions


def letter_entries(letter: DeadLetter) -> list[Entry]:
    """The entry that a dead letter stands for; none where it is of a source."""
    given = letter_input(letter)
    return [given] if isinstance(given, Entry) else []


def read_all(pipeline: beam.Pipeline, plan: MonitorPlan) -> tuple[dict, dict]:
    """What the plan's sources list, and what the feeds do that lists among them name."""
    sources = pipeline | "Sources" >> beam.Create(plan.sources)
    read = sources | "ReadSources" >> ReadSources(plan.http, plan.threads, *plan.past)
    known = pipeline | "KnownListed" >> beam.Create(plan.listed)
    named = frozenset(source.location for source in plan.sources)
    lists = (known, read["listed"]) | "Listed" >> beam.Flatten()
    others = lists | "NotNamed" >> beam.Filter(lambda source: source.location not in named)
    listed = others | "ReadListed" >> ReadSources(plan.http, plan.threads, *plan.past, nested=True)
    return read, listed


def build(pipeline: beam.Pipeline, plan: MonitorPlan) -> None:
    """Adds the monitor to a pipeline. Step names are stable, for runners that update jobs."""
    letters = pipeline | "Letters" >> beam.Create(plan.letters)
    retried = letters | "Retry" >> beam.FlatMap(letter_entries).with_output_types(Entry)
    read, listed = read_all(pipeline, plan)
    entries = (retried, read["entries"], listed["entries"]) | "Entries" >> beam.Flatten()

    new = entries | "DropKnownEntries" >> DropKnownEntries(*plan.past)
    fetched = new["entries"] | "FetchPages" >> FetchPages(plan.http, plan.threads, plan.polls.tries)
    extracted = fetched.pages | "ExtractArticles" >> ExtractArticles(plan.extract)
    said = extracted.articles | "DropKnownArticles" >> DropKnownArticles(
        plan.lake, plan.ledger, plan.revisions
    )
    clustered = said.articles | "ClusterArticles" >> ClusterArticles(plan.lake, plan.copies)
    split = clustered | "SplitPassages" >> SplitPassages(
        plan.min_chars, plan.max_chars, plan.topics.model
    )
    classified = split | "ClassifyPassages" >> ClassifyPassages(plan.topics)
    written = classified | "WritePassages" >> WritePassages(plan.lake, plan.ledger)

    errors = (
        read["errors"],
        listed["errors"],
        fetched.errors,
        extracted.errors,
    ) | "Errors" >> beam.Flatten()
    noted = errors | "WriteErrors" >> WriteEvents(plan.lake, ERRORS)

    # From here on nothing is done before all that was found is in passages or errors.
    checks = (fetched.checks, extracted.checks, said.checks) | "Checks" >> beam.Flatten()
    looked = checks | "Looked" >> After(written, noted)
    looked_at = looked | "WriteChecks" >> WriteEvents(plan.lake, CHECKS)
    polls = (read["polls"], listed["polls"]) | "Polls" >> beam.Flatten()
    committed = polls | "Commit" >> After(written, noted, looked_at)
    committed | "WritePolls" >> WriteEvents(plan.lake, POLLS)
    tried = (letters, read["tried"], listed["tried"], new["tried"]) | "Tried" >> beam.Flatten()
    settled = tried | "Settle" >> After(written, noted)
    done = settled | "CloseLetters" >> CloseLetters(plan.lake, plan.ledger)
    done | "WriteDone" >> WriteEvents(plan.lake, ERRORS)


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
