"""Closes dead letters: those that a run tried again and that did not fail again."""

import dataclasses
from collections.abc import Iterator
from datetime import UTC, datetime

import apache_beam as beam

from schemas.records import DeadLetter
from transforms.count import count
from transforms.ledger import Ledger, LedgerPolicy, open_ledger


class CloseLetter(beam.DoFn):
    """Gives the row that closes a letter, where the lake has no newer failure of it."""

    _ledger: Ledger

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        self._lake = lake
        self._policy = ledger
        self._closed: set[str] = set()

    def start_bundle(self) -> None:
        # Now, and not at setup: what this run has failed at is in the lake by now.
        self._ledger = open_ledger(self._lake, self._policy)
        self._closed = set()

    def process(self, element: DeadLetter) -> Iterator[DeadLetter]:
        newest = self._ledger.letters.get(element.letter_id)
        # Not "later": the clock may have been set back since the earlier failure.
        if newest is not None and newest.occurred_at != element.occurred_at:
            return
        if element.letter_id not in self._closed:
            self._closed.add(element.letter_id)
            count("letters_done")
            yield dataclasses.replace(element, content=None, done_at=datetime.now(UTC))


@beam.typehints.with_input_types(DeadLetter)
@beam.typehints.with_output_types(DeadLetter)
class CloseLetters(beam.PTransform):
    """Letters that were tried to the rows that close them.

    To be applied after passages and errors are written: a run that is killed before
    leaves its letters open, and the next one finds that there is nothing left to do.
    """

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        super().__init__()
        self._close = CloseLetter(lake, ledger)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._close)
