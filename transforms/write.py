"""Writes rows to the tables of the lake, in whole files."""

import dataclasses
import time
from collections import defaultdict
from datetime import date

import apache_beam as beam

from schemas.records import Check, ClassifiedArticle, DeadLetter, Poll
from schemas.rows import event_date, passage_rows, passages_date
from schemas.table import Table
from schemas.tables import PASSAGES, stable_id
from transforms.count import count
from transforms.lake import put_rows
from transforms.ledger import Ledger, LedgerPolicy, open_ledger
from transforms.writer import check_lake_is_there

# Bounds the memory of a bundle: about 20 MB of text.
ROWS_IN_MEMORY = 20_000
# Bounds what an interrupted run has to do again. The wait doubles with each file of a bundle, so
# that one that is interrupted again and again gets on, and one that is not makes few files.
FIRST_SECONDS, SECONDS_IN_MEMORY = 2.0, 30.0


class WriteClassified(beam.DoFn):
    """Writes classified articles; an article's passages all go to one file."""

    _ledger: Ledger

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        self._lake = lake
        self._policy = ledger
        self._buffer: dict[date, list[ClassifiedArticle]] = {}
        self._rows = 0
        self._began = 0.0
        self._patience = FIRST_SECONDS

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)

    def start_bundle(self) -> None:
        self._buffer, self._rows, self._patience = defaultdict(list), 0, FIRST_SECONDS

    def process(self, element: ClassifiedArticle) -> None:
        if not self._buffer:
            self._began = time.monotonic()
        article = element.split.article
        self._buffer[passages_date(article.published_at, article.fetched_at)].append(element)
        self._rows += len(element.results)
        if self._rows >= ROWS_IN_MEMORY or time.monotonic() > self._began + self._patience:
            self._flush()
            self._patience = min(2 * self._patience, SECONDS_IN_MEMORY)

    def finish_bundle(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._buffer:
            check_lake_is_there(self._lake)
        for day, classified in self._buffer.items():
            rows = [row for one in classified for row in passage_rows(one)]
            ids = [row["passage_id"] for row in rows]
            path = put_rows(self._lake, PASSAGES, day, ids, rows)
            count("passages_written", len(rows))
            for one in classified:
                self._ledger.add(one.split.article, path)
        self._buffer, self._rows = defaultdict(list), 0


@beam.typehints.with_input_types(ClassifiedArticle)
class WritePassages(beam.PTransform):
    """Classified articles into the table of passages."""

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        super().__init__()
        self._write = WriteClassified(lake, ledger)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._write)


class After(beam.PTransform):
    """Passes elements on once others are done: when all that writes them has finished.

    It is what makes a poll the commit of all it listed: a run that is killed before has
    not polled, and the next one reads the feed again.
    """

    def __init__(self, *others: beam.PCollection):
        super().__init__()
        self._others = [beam.pvalue.AsIter(other) for other in others]

    def expand(self, pcoll):
        return pcoll | beam.Map(lambda element, *_: element, *self._others).with_output_types(
            pcoll.element_type
        )


class WriteEvent(beam.DoFn):
    """Writes polls, checks or dead letters, one file a bundle and date."""

    def __init__(self, lake: str, table: Table):
        self._lake = lake
        self._table = table
        self._buffer: dict[date, list[dict]] = {}
        self._rows = 0

    def start_bundle(self) -> None:
        self._buffer, self._rows = defaultdict(list), 0

    def process(self, element: DeadLetter | Poll | Check) -> None:
        self._buffer[event_date(element)].append(dataclasses.asdict(element))
        self._rows += 1
        if self._rows >= ROWS_IN_MEMORY:
            self._flush()

    def finish_bundle(self) -> None:
        self._flush()

    def _flush(self) -> None:
        if self._buffer:
            check_lake_is_there(self._lake)
        for day, rows in self._buffer.items():
            ids = [stable_id(*map(str, row.values())) for row in rows]
            put_rows(self._lake, self._table, day, ids, rows)
        self.start_bundle()


class WriteEvents(beam.PTransform):
    """Polls, checks or dead letters into their table."""

    def __init__(self, lake: str, table: Table):
        super().__init__()
        self._write = WriteEvent(lake, table)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._write)
